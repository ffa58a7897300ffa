"""The part of a pipeline's template for its lake: the bucket."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, Sub, s3

from sluice.aws.template import Export, Fragment, Statement, arn, bucket_name, lake_arn
from sluice.declaration.pipeline import Pipeline
from sluice.lake.layout import PARTS, Folder

LAKE = "Lake"


def lake_template(pipeline: Pipeline) -> Fragment:
    """Return the bucket, which allows requests over TLS only, and the workers' rights in it."""
    return Fragment(
        resources=(_bucket(pipeline), _tls_only()),
        exports=(Export("Bucket", "bucket", Ref(LAKE), "The lake."),),
        statements=(*lake_rights(pipeline), _clean(pipeline)),
    )


def lake_rights(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to find the lake, to read it and to write it: a worker's, and those of a step elsewhere."""
    name = pipeline.name
    return (
        Statement(
            "FindResources",
            ("ssm:GetParametersByPath",),
            (arn("ssm", f"parameter/sluice/{name}"), arn("ssm", f"parameter/sluice/{name}/*")),
        ),
        # Without the right to list the bucket, S3 returns 403 for an absent object; the code relies on 404.
        Statement("ListTheLake", ("s3:ListBucket",), (lake_arn(name),)),
        Statement("ReadTheLake", ("s3:GetObject",), (lake_arn(name, f"/{name}/*"),)),
        Statement("WriteTheLake", ("s3:PutObject", "s3:AbortMultipartUpload"), (lake_arn(name, f"/{name}/*"),)),
    )


def _clean(pipeline: Pipeline) -> Statement:
    """Return the right to remove what the housekeeping removes of datasets. No manifest is among it."""
    column = pipeline.calendar.windows.column
    marks = (f"{folder}/*/{column}=*" for folder in (Folder.ANNOUNCED, Folder.IDS))
    objects = (f"*{PARTS}*", *marks)
    resources = tuple(lake_arn(pipeline.name, f"/{pipeline.name}/{each}") for each in objects)
    return Statement("DeleteWhatNothingNames", ("s3:DeleteObject",), resources)


def _bucket(pipeline: Pipeline) -> s3.Bucket:
    return s3.Bucket(
        LAKE,
        # The lake is kept when its stack is deleted. To create the stack again, import the bucket or delete it first.
        DeletionPolicy="RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
        BucketName=Sub(bucket_name(pipeline.name)),
        PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        OwnershipControls=s3.OwnershipControls(Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]),
        BucketEncryption=s3.BucketEncryption(ServerSideEncryptionConfiguration=[_encryption(pipeline.kms_key)]),
        # Parts are never overwritten, manifests are: a month of their versions repairs a mistake.
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        LifecycleConfiguration=s3.LifecycleConfiguration(
            Rules=[
                s3.LifecycleRule(
                    Id="abort-unfinished-uploads",
                    Status="Enabled",
                    AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
                ),
                s3.LifecycleRule(
                    Id="expire-old-versions",
                    Status="Enabled",
                    NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=30),
                ),
                # Who waits for a step elsewhere has read its record long before.
                s3.LifecycleRule(
                    Id="expire-computed",
                    Status="Enabled",
                    Prefix=f"{pipeline.name}/{Folder.COMPUTED}/",
                    ExpirationInDays=30,
                ),
            ]
        ),
    )


def _encryption(kms_key: str | None) -> s3.ServerSideEncryptionRule:
    if kms_key is None:
        return s3.ServerSideEncryptionRule(
            ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
        )
    return s3.ServerSideEncryptionRule(
        # With a bucket key, S3 calls KMS seldom instead of once for each object. AWS bills every call.
        BucketKeyEnabled=True,
        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms", KMSMasterKeyID=kms_key),
    )


def _tls_only() -> s3.BucketPolicy:
    refused: dict[str, Any] = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [GetAtt(LAKE, "Arn"), Sub(f"${{{LAKE}.Arn}}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return s3.BucketPolicy(
        "LakePolicy", Bucket=Ref(LAKE), PolicyDocument={"Version": "2012-10-17", "Statement": [refused]}
    )

"""The role with which SageMaker trains, scores and serves."""

from __future__ import annotations

from troposphere import Ref, iam

from sluice.aws.template import Statement, arn, lake_arn
from sluice.declaration.pipeline import Pipeline
from sluice.lake.layout import Folder
from sluice.provisioning.policies import policy_document
from sluice.serving.rollout import alarm_names
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.log import GROUP as LOG_GROUP

ROLE = "TrainingRole"
MADE = ("snapshots", "models", "evaluations/scores")  # folders of the lake


def role(pipeline: Pipeline) -> iam.Role:
    """Return the role of a pipeline that declares a training."""
    trusted = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")}},
    }
    return iam.Role(
        ROLE,
        Description=f"What SageMaker may do while it trains and serves the pipeline {pipeline.name}.",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trusted]},
        Policies=[iam.Policy(PolicyName="train-and-serve", PolicyDocument=policy_document(_role_statements(pipeline)))],
    )


def batch_folders(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the folder of what is scored in batch, if that is declared."""
    return (Folder.BATCHES,) if pipeline.scoring else ()


def grants(kms_key: str) -> tuple[Statement, ...]:
    """Return the right to let SageMaker encrypt the disks of instances.

    The caller or the role creates a grant for it (SageMaker developer guide, "API permissions reference").
    """
    for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return (Statement("LetSageMakerUseTheKey", ("kms:CreateGrant",), (kms_key,), for_aws),)


def _role_statements(pipeline: Pipeline) -> list[Statement]:
    """Return the rights of the role (SageMaker developer guide, "How to use SageMaker execution roles")."""
    name, candidates = pipeline.name, pipeline.require_training().candidates
    repositories = sorted({algorithm_named(candidate.algorithm).repository for candidate in candidates})
    snapshots, models, scores = (lake_arn(name, f"/{name}/{folder}/*") for folder in MADE)
    rows, answers = (
        tuple(lake_arn(name, f"/{name}/{each}/*/{part}/*") for each in batch_folders(pipeline))
        for part in ("rows", "answers")
    )
    statements = [
        Statement(
            "FindTheData",
            ("s3:ListBucket",),
            (lake_arn(name),),
            {
                "StringLike": {
                    "s3:prefix": [f"{name}/{each}/*" for each in ("snapshots", "models", *batch_folders(pipeline))]
                }
            },
        ),
        Statement("ReadSnapshotsAndModels", ("s3:GetObject",), (snapshots, models, *rows)),
        Statement("WriteModelsAndScores", ("s3:PutObject", "s3:AbortMultipartUpload"), (models, scores, *answers)),
        Statement(
            "WriteLogs",
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
            tuple(arn("logs", f"log-group:{group}") for group in _log_groups(pipeline)),
        ),
        Statement(
            "WriteMetrics",
            ("cloudwatch:PutMetricData",),
            ("*",),
            {"StringLike": {"cloudwatch:namespace": "*/aws/sagemaker/*"}},
        ),
        Statement(
            "PullBuiltInImages",
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            # The built-in images are in accounts of AWS that differ by region.
            tuple(f"arn:${{AWS::Partition}}:ecr:${{AWS::Region}}:*:repository/{each}" for each in repositories),
        ),
        Statement("LogInToTheImageRegistry", ("ecr:GetAuthorizationToken",), ("*",)),
    ]
    if pipeline.kms_key:
        use = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
        statements += [Statement("UseTheKey", use, (pipeline.kms_key,)), *grants(pipeline.kms_key)]
    if pipeline.deployment and pipeline.deployment.canary:
        statements.append(
            Statement(
                "WatchTheAlarms",
                ("cloudwatch:DescribeAlarms",),
                tuple(arn("cloudwatch", f"alarm:{name}") for name in alarm_names(pipeline)),
            )
        )
    if pipeline.network:
        statements.append(Statement("JoinTheNetwork", _JOIN_A_NETWORK, ("*",)))
    return statements


_JOIN_A_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


def _log_groups(pipeline: Pipeline) -> list[str]:
    """Return the log groups of the pipeline's jobs and endpoint, each also with its streams."""
    groups = [LOG_GROUP, "/aws/sagemaker/TransformJobs"]
    if pipeline.deployment:
        groups.append(f"/aws/sagemaker/Endpoints/{pipeline.deployment.endpoint}")
    return [f"{group}{streams}" for group in groups for streams in ("", ":*")]

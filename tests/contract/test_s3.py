"""What Sluice relies on in S3: conditional writes, entity tags and listings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def status(error: pytest.ExceptionInfo[ClientError]) -> int:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_entity_tag_is_the_md5(s3: S3Client, bucket: str) -> None:
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    assert answer["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == answer["ETag"]


def test_only_the_first_put_if_none_match_wins(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert status(refused) == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_put_if_match_needs_the_current_entity_tag(s3: S3Client, bucket: str) -> None:
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=old)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=old)
    assert status(refused) == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_put_if_match_of_a_missing_key_is_refused(s3: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch='"0cc175b9c0f1b6a831c399e269772661"')
    assert status(refused) in (404, 412)


def test_listing_is_in_key_order_and_in_pages(s3: S3Client, bucket: str) -> None:
    keys = [f"raw/dt=2013-01-{day:02d}/part" for day in range(1, 8)]
    for key in [*reversed(keys), "other/x"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="raw/", PaginationConfig={"PageSize": 3})
    )
    assert [[each["Key"] for each in page["Contents"]] for page in pages] == [keys[:3], keys[3:6], keys[6:]]


def test_delimiter_returns_each_folder_once(s3: S3Client, bucket: str) -> None:
    for key in ("raw/dt=1/a", "raw/dt=1/b", "raw/dt=2/a", "raw/_top"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = s3.list_objects_v2(Bucket=bucket, Prefix="raw/", Delimiter="/")
    assert [each["Prefix"] for each in answer["CommonPrefixes"]] == ["raw/dt=1/", "raw/dt=2/"]
    assert [each["Key"] for each in answer["Contents"]] == ["raw/_top"]


def test_missing_key_and_missing_bucket_are_different_errors(s3: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as no_key:
        s3.get_object(Bucket=bucket, Key="nothing")
    with pytest.raises(ClientError) as no_bucket:
        s3.get_object(Bucket="does-not-exist", Key="nothing")
    assert no_key.value.response["Error"]["Code"] == "NoSuchKey"
    assert no_bucket.value.response["Error"]["Code"] == "NoSuchBucket"


def test_metadata_is_returned(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"revision": "3"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"revision": "3"}

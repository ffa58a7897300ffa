"""What Sluice relies on in S3."""

from __future__ import annotations

from conftest import Cloud


def test_an_object_is_read_back(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="contract-s3")
    s3.put_object(Bucket="contract-s3", Key="k", Body=b"x")
    assert s3.get_object(Bucket="contract-s3", Key="k")["Body"].read() == b"x"

"""The objects below a channel's prefix."""

from __future__ import annotations

from localcloud.sagemaker.data import aws
from localcloud.sagemaker.data.data_sources import inputs_of
from localcloud.sagemaker.data.s3 import Location, Objects
from localcloud.testing.clouds import Cloud


def test_a_folder_marker_is_no_file(cloud: Cloud) -> None:
    """A marker is what a console's "create folder" makes: an empty object whose key ends in a slash."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="markers")
    for key in ("train/", "train/more/", "train/more/part-1", "train/part-0"):
        s3.put_object(Bucket="markers", Key=key, Body=b"" if key.endswith("/") else b"1,2\n")
    objects = Objects(aws.s3_client(cloud.endpoint_url))

    assert list(objects.keys(Location("markers", "train/"))) == ["train/more/part-1", "train/part-0"]
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://markers/train"}
    assert [found.name for found in inputs_of(objects, source)] == ["more/part-1", "part-0"]

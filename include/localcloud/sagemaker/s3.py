"""The objects that jobs read and write, in the S3 of the endpoint that the stand-in was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.sagemaker.arns import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class MissingObjectsError(Exception):
    """Nothing is there; the message is what S3 said."""


@dataclass(frozen=True)
class Location:
    """A bucket and a key or key prefix."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """Of an ``s3://bucket/key`` URI; the service model's pattern has already been checked."""
        bucket, _, key = uri.partition("://")[2].partition("/")
        return cls(bucket, key)

    def child(self, *names: str) -> Location:
        """The location below this one."""
        return Location(self.bucket, "/".join([*filter(None, [self.key.rstrip("/")]), *names]))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """Reads and writes of objects; every call has a time-out and a bound on retries."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    @classmethod
    def at(cls, endpoint: str) -> Objects:
        """Those of the S3 endpoint, with credentials that an emulator accepts."""
        return cls(
            boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name=REGION,
                aws_access_key_id="localcloud",
                aws_secret_access_key="localcloud",  # noqa: S106 an emulator's, not a secret
                config=Config(
                    connect_timeout=5,
                    read_timeout=60,
                    retries={"total_max_attempts": 3, "mode": "standard"},
                    s3={"addressing_style": "path"},
                ),
            )
        )

    def keys(self, prefix: Location) -> Iterator[str]:
        """The keys that begin with the prefix, in their order; folder markers (``…/``) are left out.

        Raises:
            MissingObjectsError: the bucket doesn't exist.
        """
        try:
            for found in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=prefix.bucket, Prefix=prefix.key
            ):
                yield from (each["Key"] for each in found.get("Contents", []) if not each["Key"].endswith("/"))
        except ClientError as error:
            raise MissingObjectsError(error.response["Error"].get("Message", str(error))) from error

    def exists(self, location: Location) -> bool:
        """Whether there is an object of exactly this key."""
        try:
            self._client.head_object(Bucket=location.bucket, Key=location.key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def download(self, location: Location, to: Path) -> None:
        """Copy an object into a file; its folder is made.

        Raises:
            MissingObjectsError: there is no such object.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client.download_file(location.bucket, location.key, str(to))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise MissingObjectsError(f"no object at {location.uri}") from error
            raise

    def upload(self, file: Path, to: Location) -> None:
        """Copy a file into an object."""
        self._client.upload_file(str(file), to.bucket, to.key)

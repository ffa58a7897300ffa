"""The objects that jobs read and write, in the S3 of the endpoint that the stand-in was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class MissingObjectsError(Exception):
    """Nothing is there, nothing can be there, or S3 can't be asked; the message is what S3 or its client said."""


class UnsafeKeyError(Exception):
    """The key would become a file outside of the folder that it is for."""


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

    def sibling(self, name: str) -> Location:
        """The location of another name beside this one."""
        return Location(self.bucket, "/".join([*filter(None, [self.key.rpartition("/")[0]]), name]))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """Reads and writes of objects."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

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
        except BotoCoreError as error:
            raise MissingObjectsError(str(error)) from error

    def exists(self, location: Location) -> bool:
        """Whether there is an object of exactly this key."""
        if not location.key:
            return False
        try:
            self._client.head_object(Bucket=location.bucket, Key=location.key)
        except ParamValidationError:  # no bucket can have this name
            return False
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404):
                return False
            raise
        return True

    def download(self, location: Location, to: Path) -> None:
        """Copy an object into a file; its folder is made.

        Raises:
            MissingObjectsError: there is no such object.
            UnsafeKeyError: the file can't be made, as where another has the name of its folder.
        """
        if not location.key:
            raise MissingObjectsError(f"no object at {location.uri}")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            self._client.download_file(location.bucket, location.key, str(to))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise MissingObjectsError(f"no object at {location.uri}") from error
            raise MissingObjectsError(f"{location.uri}: {error}") from error
        except BotoCoreError as error:
            raise MissingObjectsError(f"{location.uri}: {error}") from error
        except OSError as error:
            raise UnsafeKeyError(f"{location.uri} can't become a file: {error.strerror}") from error

    def download_below(self, location: Location, folder: Path, name: str) -> Path:
        """Copy an object into the file of that name below a folder; the file.

        Raises:
            MissingObjectsError: there is no such object.
            UnsafeKeyError: the name leaves the folder.
        """
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise UnsafeKeyError(f"the key {location.key} leaves its folder")
        self.download(location, target)
        return target

    def read(self, location: Location, most: int) -> bytes:
        """The first bytes of an object that exists, at most so many."""
        body = self._client.get_object(Bucket=location.bucket, Key=location.key)["Body"]
        try:
            return body.read(most)
        finally:
            body.close()

    def upload(self, file: Path, to: Location) -> None:
        """Copy a file into an object.

        Raises:
            MissingObjectsError: there is no such bucket.
        """
        try:
            self._client.upload_file(str(file), to.bucket, to.key)
        except (S3UploadFailedError, ClientError, BotoCoreError) as error:
            raise MissingObjectsError(f"{to.uri}: {error}") from error

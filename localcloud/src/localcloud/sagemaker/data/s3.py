"""Reads and writes of objects in S3."""

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
    """There is no such object or bucket, or S3 doesn't answer; the message is that of S3 or its client."""


class UnsafeKeyError(Exception):
    """The key can't become a file in its folder."""


@dataclass(frozen=True)
class Location:
    """A bucket and a key or key prefix."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """Return the location of an ``s3://bucket/key`` URI, whose form the service model has checked."""
        bucket, _, key = uri.partition("://")[2].partition("/")
        return cls(bucket, key)

    def child(self, *names: str) -> Location:
        """Return the location with these names appended to the key."""
        return Location(self.bucket, "/".join([*filter(None, [self.key.rstrip("/")]), *names]))

    def sibling(self, name: str) -> Location:
        """Return the location with another last part of the key."""
        return Location(self.bucket, "/".join([*filter(None, [self.key.rpartition("/")[0]]), name]))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def uri(self) -> str:
        """The ``s3://`` URI."""
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """The objects of an S3.

    Args:
        client: A client of S3.
    """

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def keys(self, prefix: Location) -> Iterator[str]:
        """Yield the keys that begin with a prefix, sorted; folder markers (``…/``) are left out.

        Raises:
            MissingObjectsError: The bucket doesn't exist.
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
        """Return whether there is an object with exactly this key."""
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
        """Copy an object into a file, whose folder is made if it is missing.

        Args:
            location: The object.
            to: The file.

        Raises:
            MissingObjectsError: There is no such object.
            UnsafeKeyError: The file can't be made, because a file has the name of its folder for instance.
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
        """Copy an object into a file below a folder, and return the file.

        Args:
            location: The object.
            folder: The folder.
            name: The file's name below the folder, perhaps with sub-folders.

        Raises:
            MissingObjectsError: There is no such object.
            UnsafeKeyError: The name leaves the folder.
        """
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise UnsafeKeyError(f"the key {location.key} leaves its folder")
        self.download(location, target)
        return target

    def read(self, location: Location, most: int) -> bytes:
        """Return the first bytes, at most ``most``, of an object that exists."""
        body = self._client.get_object(Bucket=location.bucket, Key=location.key)["Body"]
        try:
            return body.read(most)
        finally:
            body.close()

    def upload(self, file: Path, to: Location) -> None:
        """Copy a file into an object.

        Args:
            file: The file.
            to: The object, which is replaced if it exists.

        Raises:
            MissingObjectsError: There is no such bucket.
        """
        try:
            self._client.upload_file(str(file), to.bucket, to.key)
        except (S3UploadFailedError, ClientError, BotoCoreError) as error:
            raise MissingObjectsError(f"{to.uri}: {error}") from error

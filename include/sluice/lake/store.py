"""The lake: reads and writes one pipeline's objects, and commits partitions. The layout makes the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel

from sluice.aws.failures import error_code
from sluice.aws.retrying import retrying
from sluice.aws.wire import BucketWire
from sluice.errors import ConflictingWrite, MissingResource
from sluice.lake.layout import MANIFEST, Layout
from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Partition

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Model = TypeVar("Model", bound=BaseModel)

# AWS answers a lost race of conditional puts with either of the two (S3 user guide, "Conditional writes").
_LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict"}
_ABSENT = {"NoSuchKey", "404"}
_AGAINST_OTHERS = retrying(ConflictingWrite, attempts=20, first=0.05, longest=2)
_HEADERS = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match"}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Stored(Generic[Model]):
    """An object as it is in S3. Both members are None if there is none yet."""

    value: Model | None
    etag: str | None


@dataclass(frozen=True)
class Lake:
    """One pipeline's part of a bucket. ``now`` is the clock (UTC) of manifests; no name or content depends on it."""

    s3: S3Client
    bucket: str
    pipeline: str
    now: Callable[[], datetime] = _utc_now

    @cached_property
    def layout(self) -> Layout:
        """The keys of the pipeline's objects."""
        return Layout(self.pipeline)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    # Objects

    def put(self, key: str, body: bytes, rows: int = 0) -> File:
        """Write one immutable object and return its description."""
        return File(key=key, size=len(body), etag=self._put(key, body, {}).strip('"'), rows=rows)

    def _put(self, key: str, body: bytes, condition: Mapping[str, Any]) -> str:
        """The ETag as S3 gives it. Raises ClientError, as the client does, where the condition does not hold."""
        etag = self._wire.put(key, body, {_HEADERS[name]: value for name, value in condition.items()})
        return etag or self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)["ETag"]

    @cached_property
    def _wire(self) -> BucketWire:
        return BucketWire(self.s3, self.bucket)

    def get(self, key: str) -> bytes:
        """The whole object.

        Raises:
            MissingResource: there is no such object.
        """
        body = self.read(key)
        if body is None:
            raise MissingResource(
                f"{self.uri(key)} is gone; something outside Sluice deleted it: restore it, or land the source again"
            )
        return body

    def create(self, key: str, body: bytes) -> bool:
        """Write the object unless it exists; True if this call wrote it."""
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) not in _LOST_RACE:
                raise
            return False
        return True

    def read(self, key: str) -> bytes | None:
        """The whole object, or None where there is none."""
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error_code(error) not in _ABSENT:
                raise
            return None

    def objects(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """(key, size in bytes, ETag) of every object whose key begins with ``prefix``, in key order."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                yield entry["Key"], entry["Size"], entry["ETag"].strip('"')

    # Objects that change: each holds one model, as JSON. A conditional put replaces it, so that no change is lost.

    def stored(self, key: str, kind: type[Model]) -> Stored[Model]:
        """The object as it is, with the ETag that a conditional put needs."""
        try:
            response = self.s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) not in _ABSENT:
                raise
            return Stored(None, None)
        return Stored(kind.model_validate_json(response["Body"].read()), response["ETag"])

    def replace(self, key: str, before: Stored[Model], after: Model) -> Stored[Model]:
        """Replace ``before`` by ``after``; if they are equal, nothing is written.

        Raises:
            ConflictingWrite: the object is no longer ``before``.
        """
        if after == before.value:
            return before
        condition = {"IfNoneMatch": "*"} if before.etag is None else {"IfMatch": before.etag}
        try:
            return Stored(after, self._put(key, after.model_dump_json().encode(), condition))
        except ClientError as error:
            if error_code(error) not in _LOST_RACE | _ABSENT:
                raise
            found = self.stored(key, type(after))
            if found.value == after:
                return found  # this call's own put: the client retried it because the first response was lost
            raise ConflictingWrite(
                f"{self.uri(key)} keeps being changed by another writer; wait for the other run and clear this task"
            ) from error

    def update(self, key: str, kind: type[Model], change: Callable[[Model | None], Model]) -> Model:
        """Replace the object by what ``change`` makes of it, so that no other writer's change is lost.

        Args:
            change: Returns the new value. It is called again when another writer was faster. A value that it returns
                unchanged is not written.

        Returns:
            The value of the object afterwards.

        Raises:
            ConflictingWrite: other writers were faster twenty times in a row.
        """

        def once() -> Model:
            before = self.stored(key, kind)
            after = change(before.value)
            self.replace(key, before, after)
            return after

        return _AGAINST_OTHERS(once)

    # Manifests

    def manifest(self, dataset: str, partition: Partition) -> Manifest | None:
        return self.stored(self.layout.manifest(dataset, partition), Manifest).value

    def update_manifest(
        self, dataset: str, partition: Partition, change: Callable[[Manifest | None], Manifest]
    ) -> Manifest:
        """:meth:`update` of a partition's manifest."""
        return self.update(self.layout.manifest(dataset, partition), Manifest, change)

    def partitions(self, dataset: str) -> list[Partition]:
        """The partitions of a dataset that have a manifest, in order."""
        return sorted(self.manifest_etags(dataset))

    def manifest_etags(self, dataset: str, partition: Partition | None = None) -> dict[Partition, str]:
        """The ETag of each manifest of a dataset, or of one partition's; it changes when the manifest does."""
        prefix = self.layout.dataset(dataset)
        return {
            Partition.parse(key.removeprefix(prefix).removesuffix("/" + MANIFEST)): etag
            for key, _, etag in self.objects(prefix if partition is None else self.layout.partition(dataset, partition))
            if key.endswith("/" + MANIFEST)
        }

    def first_partition(self, dataset: str, since: Partition) -> Partition | None:
        """The first partition of a dataset, from ``since`` on, that holds anything; None if there is none."""
        prefix = self.layout.dataset(dataset)
        response = self.s3.list_objects_v2(
            Bucket=self.bucket, Prefix=f"{prefix}dt=", StartAfter=f"{prefix}{since.key}", MaxKeys=1
        )
        for entry in response.get("Contents", ()):
            return Partition.parse(entry["Key"].removeprefix(prefix).rpartition("/")[0])
        return None

    def manifests(self, dataset: str) -> list[Manifest]:
        """Every manifest of a dataset, in partition order."""
        with ThreadPoolExecutor(16) as pool:
            found = pool.map(lambda partition: self.manifest(dataset, partition), self.partitions(dataset))
            return [manifest for manifest in found if manifest is not None]

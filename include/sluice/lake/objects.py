"""The objects of a bucket: immutable ones, and those that change, which conditional puts replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel

from sluice.aws.failures import error_code
from sluice.aws.retrying import retrying
from sluice.aws.wire import BucketWire
from sluice.errors import ConflictingWrite, MissingResource
from sluice.lake.manifests import File
from sluice.lake.parsing import parsed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Model = TypeVar("Model", bound=BaseModel)

# S3's errors for a conditional put when another was faster, or writes at the same time. After the second one it may be
# that nobody has written, so the put is repeated (S3 user guide, "Conditional writes").
_EXISTS, _AT_ONCE = "PreconditionFailed", "ConditionalRequestConflict"
_CONFLICT = {_EXISTS, _AT_ONCE}
_ABSENT = {"NoSuchKey", "404"}
_AGAINST_OTHERS = retrying(ConflictingWrite, attempts=20, first=0.05, longest=2)
_PAGE = 1000  # keys, the most that S3 lists in one call
_HEADERS = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match"}


@dataclass(frozen=True)
class Stored(Generic[Model]):
    """An object as it is in S3. Both members are None if there is no such object.

    Attributes:
        value: The parsed content.
        etag: The ETag with its quotes, as a conditional put needs it.
    """

    value: Model | None
    etag: str | None


@dataclass(frozen=True)
class Bucket:
    """Reads, lists and writes the objects of a bucket.

    Attributes:
        s3: A client of S3.
        bucket: The name of the bucket.
    """

    s3: S3Client
    bucket: str

    def uri(self, key: str) -> str:
        """Return the ``s3://`` URI of an object."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, body: bytes, rows: int = 0) -> File:
        """Write one immutable object and return its description.

        Args:
            key: The key of the object, which contains a digest of the content.
            body: The content.
            rows: How many rows the object holds.
        """
        return File(key=key, size=len(body), etag=self._put(key, body, {}).strip('"'), rows=rows)

    def _put(self, key: str, body: bytes, condition: Mapping[str, Any]) -> str:
        """Write an object and return its ETag with quotes. Raise ClientError if the condition does not hold."""
        etag = self._wire.put(key, body, {_HEADERS[name]: value for name, value in condition.items()})
        return etag or self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)["ETag"]

    @cached_property
    def _wire(self) -> BucketWire:
        return BucketWire(self.s3, self.bucket)

    def get(self, key: str) -> bytes:
        """Read a whole object.

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
        """Write an object unless it exists.

        Args:
            key: The key of the object.
            body: The content.

        Returns:
            Whether this call wrote the object.

        Raises:
            ConflictingWrite: others wrote it at once twenty times in a row.
        """

        def once() -> bool:
            try:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) == _EXISTS:
                    return False
                if error_code(error) == _AT_ONCE:
                    raise ConflictingWrite(f"{self.uri(key)} is being written by others at once; try again") from error
                raise
            return True

        return _AGAINST_OTHERS(once)

    def read(self, key: str) -> bytes | None:
        """Read a whole object; return None if there is no such object."""
        body, etag = self._get(key)
        return None if etag is None else body

    def _get(self, key: str) -> tuple[bytes, str | None]:
        """Return an object and its ETag with quotes, which is None if there is no such object."""
        response = self._wire.get(key)
        if response is not None:
            return response.body, response.headers.get("ETag") if response.status == HTTPStatus.OK else None
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) not in _ABSENT:
                raise
            return b"", None
        return found["Body"].read(), found["ETag"]

    def objects(
        self, prefix: str, after: str = "", before: str = "", without: str = "", about: int = 0
    ) -> Iterator[tuple[str, int, str]]:
        """Yield the key, the size in bytes and the ETag (unquoted) of each object under a prefix, in key order.

        A key that ends in a slash is left out: S3's console represents a folder by it.

        Args:
            prefix: What the keys begin with.
            after: Only keys after this one; empty for all.
            before: Only keys before this one; empty for all.
            without: Only keys that don't have this after the prefix: those of a folder count as one in a page. Empty
                for all.
            about: How many keys there are likely to be. The first page has no more, so it has few after ``before``. 0
                if nothing is known: a page has a thousand.
        """
        parameters: dict[str, Any]
        parameters = {"Prefix": prefix, "StartAfter": after, "Delimiter": without, "MaxKeys": min(about, _PAGE)}
        parameters = {name: value for name, value in parameters.items() if value}
        while True:
            page = self._list(parameters)
            for entry in page.get("Contents", ()):
                if before and entry["Key"] >= before:
                    return
                if not entry["Key"].endswith("/"):
                    yield entry["Key"], entry["Size"], entry["ETag"].strip('"')
            if "NextContinuationToken" not in page:
                return
            parameters |= {"ContinuationToken": page["NextContinuationToken"], "MaxKeys": _PAGE}

    def _list(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._wire.list(parameters) or self.s3.list_objects_v2(Bucket=self.bucket, **parameters)

    def documents(self, folder: str) -> list[str]:
        """Return the keys of the JSON objects directly in a folder. Whatever else lies there is passed over.

        Args:
            folder: The folder, with the slash at its end.
        """
        keys = (key for key, _, _ in self.objects(folder))
        return [key for key in keys if key.endswith(".json") and "/" not in key.removeprefix(folder)]

    # Objects that change: each holds one model, as JSON. A conditional put replaces it, so that no change is lost.

    def stored(self, key: str, kind: type[Model]) -> Stored[Model]:
        """Read an object that changes, with the ETag that a conditional put needs.

        Args:
            key: The key of the object.
            kind: The model that parses its JSON.

        Raises:
            UnreadableObject: the object is no such JSON.
        """
        body, etag = self._get(key)
        return Stored(None, None) if etag is None else Stored(parsed(self.uri(key), body, kind), etag)

    def replace(self, key: str, before: Stored[Model], after: Model) -> Stored[Model]:
        """Replace the value of an object that changes. If it is already the new one, nothing is written.

        Args:
            key: The key of the object.
            before: The object as it was read.
            after: The new value.

        Returns:
            The object as it is now.

        Raises:
            ConflictingWrite: the object is no longer ``before``.
        """
        if after == before.value:
            return before
        condition = {"IfNoneMatch": "*"} if before.etag is None else {"IfMatch": before.etag}
        try:
            return Stored(after, self._put(key, after.model_dump_json().encode(), condition))
        except ClientError as error:
            if error_code(error) not in _CONFLICT | _ABSENT:
                raise
            found = self.stored(key, type(after))
            if found.value == after:
                return found  # this call's own put: the client retried it because the first response was lost
            raise ConflictingWrite(
                f"{self.uri(key)} keeps being changed by another writer; wait for the other run and clear this task"
            ) from error

    def update(
        self,
        key: str,
        kind: type[Model],
        change: Callable[[Model | None], Model],
        seen: Stored[Model] | None = None,
    ) -> Model:
        """Change an object so that no other writer's change is lost.

        Args:
            key: The key of the object.
            kind: The model that parses its JSON.
            change: Returns the new value for the current one, which is None if there is no object. It is called again
                if another writer was faster. An equal value is not written.
            seen: The object as this writer has read it already, which saves a read. It may be an older one, if the
                change makes another value of it in any case.

        Returns:
            The value of the object afterwards.

        Raises:
            ConflictingWrite: other writers were faster twenty times in a row.
        """
        after, _ = self.updated(key, kind, change, seen)
        return after

    def updated(
        self,
        key: str,
        kind: type[Model],
        change: Callable[[Model | None], Model],
        seen: Stored[Model] | None = None,
    ) -> tuple[Model, Stored[Model]]:
        """Change an object as :meth:`update` does; return its value, and the object as it is then.

        Args:
            key: The key of the object.
            kind: The model that parses its JSON.
            change: As for :meth:`update`.
            seen: As for :meth:`update`.

        Raises:
            ConflictingWrite: as for :meth:`update`.
        """
        known = [seen] if seen is not None else []

        def once() -> tuple[Model, Stored[Model]]:
            before = known.pop() if known else self.stored(key, kind)
            after = change(before.value)
            return after, self.replace(key, before, after)

        return _AGAINST_OTHERS(once)

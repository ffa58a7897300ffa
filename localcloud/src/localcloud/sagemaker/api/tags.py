"""AddTags, ListTags and DeleteTags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

from localcloud.sagemaker.api.errors import validation_error
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Store

_MOST = 50  # tags a resource may have


class Tag(TypedDict):
    """A tag, as requests and answers have it."""

    Key: str
    Value: str


class Tags:
    """The tags of anything that has an ARN."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def put(self, arn: str, tags: Iterable[Tag]) -> None:
        """Add tags to, or replace their values at, an ARN.

        Raises:
            ServiceError: there would be more than 50.
        """

        def merged(present: dict[str, str]) -> dict[str, str]:
            all_tags = present | {tag["Key"]: tag["Value"] for tag in tags}
            if len(all_tags) > _MOST:
                raise validation_error(f"The number of tags on {arn} would exceed the limit of {_MOST}.")
            return all_tags

        self._store.update_tags(arn, merged)

    def drop(self, arn: str) -> None:
        """Forget all tags of an ARN."""
        self._store.update_tags(arn, lambda _: {})

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        self._require_resource(request["ResourceArn"])
        self.put(request["ResourceArn"], request["Tags"])
        return self._list(request)

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        self._require_resource(request["ResourceArn"])
        tags = self._store.tags(request["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._require_resource(request["ResourceArn"])
        self._store.update_tags(
            request["ResourceArn"],
            lambda present: {key: value for key, value in present.items() if key not in request["TagKeys"]},
        )
        return {}

    def _require_resource(self, arn: str) -> None:
        kind = arn.split(":", 5)[5].partition("/")[0]
        if not any(arn in document.values() for document in self._store.all(kind)):
            raise validation_error(f"Could not find the resource {arn}.")

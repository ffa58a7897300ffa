"""AddTags, ListTags and DeleteTags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import DocumentKind, OpaqueDocument, Store
from localcloud.service_model.errors import validation_error

_MOST = 50  # tags of a resource


class Tag(TypedDict):
    """A tag, as requests and answers have it."""

    Key: str
    Value: str


class ListTags(TypedDict):
    """The request of ListTags."""

    ResourceArn: str


class AddTags(ListTags):
    """The request of AddTags."""

    Tags: list[Tag]


class DeleteTags(ListTags):
    """The request of DeleteTags."""

    TagKeys: list[str]


class TagsAnswer(TypedDict):
    """The answer of AddTags and of ListTags."""

    Tags: list[Tag]


class Tags:
    """The tags of anything that has an ARN."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def put(self, arn: str, tags: Iterable[Tag]) -> None:
        """Add tags to an ARN, or replace their values.

        Args:
            arn: The ARN; whether anything has it isn't checked.
            tags: The tags; of one key, the last counts.

        Raises:
            ServiceError: There would be more than 50.
        """

        def merged(present: dict[str, str]) -> dict[str, str]:
            all_tags = present | {tag["Key"]: tag["Value"] for tag in tags}
            if len(all_tags) > _MOST:
                raise validation_error(f"The number of tags on {arn} would exceed the limit of {_MOST}.")
            return all_tags

        self._store.update_tags(arn, merged)

    def drop(self, arn: str) -> None:
        """Remove all tags of an ARN."""
        self._store.update_tags(arn, lambda _: {})

    def _add(self, request: AddTags) -> TagsAnswer:
        self._require_resource(request["ResourceArn"])
        self.put(request["ResourceArn"], request["Tags"])
        return self._list(request)

    def _list(self, request: ListTags) -> TagsAnswer:
        self._require_resource(request["ResourceArn"])
        return {"Tags": as_tags(self._store.tags(request["ResourceArn"]))}

    def _delete(self, request: DeleteTags) -> dict[str, str]:
        self._require_resource(request["ResourceArn"])
        self._store.update_tags(
            request["ResourceArn"],
            lambda present: {key: value for key, value in present.items() if key not in request["TagKeys"]},
        )
        return {}

    def _require_resource(self, arn: str) -> None:
        kind = DocumentKind[OpaqueDocument](arn.split(":", 5)[5].partition("/")[0])
        if not any(arn in document.values() for document in self._store.all(kind)):
            raise validation_error(f"Could not find the resource {arn}.")


def as_tags(values: Mapping[str, str]) -> list[Tag]:
    """Return tags as answers have them, of their values by key."""
    return [{"Key": key, "Value": value} for key, value in values.items()]

"""The resources of one kind: what Create, Describe, Delete and List have in common, whatever the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from localcloud.sagemaker.api.arns import arn
from localcloud.sagemaker.api.errors import ServiceError, validation_error
from localcloud.sagemaker.api.listing import page
from localcloud.sagemaker.api.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tag, Tags

D = TypeVar("D", bound=Mapping[str, Any])
"""What a document of the kind holds: a TypedDict, or any Document."""


def could_not_find(what: str) -> Callable[[str], ServiceError]:
    """The error of hosting's kinds for a resource that doesn't exist."""
    return lambda resource_arn: validation_error(f'Could not find {what} "{resource_arn}".')


def already_existing(what: str) -> Callable[[str], ServiceError]:
    """The error of hosting's kinds for a name that is taken."""
    return lambda resource_arn: validation_error(f'Cannot create already existing {what} "{resource_arn}".')


@dataclass(frozen=True)
class Kind:
    """What is particular to the resources of a kind.

    Attributes:
        name: as an ARN spells it, such as ``endpoint-config``.
        prefix: of the members that name a resource, its ARN and its status, such as ``EndpointConfig``.
        missing: the error for an ARN that no resource has.
        taken: the error for an ARN that another resource has.
        summaries: the member of List's answer that holds the summaries.
        summary: the members that a summary has.
        order: List's default of SortOrder.
    """

    name: str
    prefix: str
    missing: Callable[[str], ServiceError]
    taken: Callable[[str], ServiceError]
    summaries: str
    summary: tuple[str, ...]
    order: str = "Descending"


class Collection(Generic[D]):
    """The resources of a kind in the store. A resource is found by its name or its ARN."""

    def __init__(self, store: Store, tags: Tags, kind: Kind) -> None:
        self._store = store
        self._tags = tags
        self.kind = kind

    def insert(self, name: str, document: Document, tags: Iterable[Tag]) -> str:
        """Add a resource and its tags.

        Args:
            document: gets its ARN.

        Returns:
            The ARN.

        Raises:
            ServiceError: the name is taken.
        """
        resource_arn = arn(self.kind.name, name)
        document[f"{self.kind.prefix}Arn"] = resource_arn
        try:
            self._store.insert(self.kind.name, name, document)
        except NameTakenError as error:
            raise self.kind.taken(resource_arn) from error
        self._tags.put(resource_arn, tags)
        return resource_arn

    def get(self, name_or_arn: str) -> D:
        """The document.

        Raises:
            ServiceError: there is no such resource.
        """
        name = name_of(name_or_arn)
        try:
            return cast("D", self._store.get(self.kind.name, name))
        except MissingResourceError as error:
            raise self.kind.missing(arn(self.kind.name, name)) from error

    def update(self, name_or_arn: str, change: Callable[[D], None]) -> D:
        """Let ``change`` alter the document in place, and return the result; nobody comes between.

        Raises:
            ServiceError: there is no such resource.
            Exception: what ``change`` raises; the document is then as before.
        """
        name = name_of(name_or_arn)
        try:
            untyped = cast("Callable[[Document], None]", change)
            return cast("D", self._store.update(self.kind.name, name, untyped))
        except MissingResourceError as error:
            raise self.kind.missing(arn(self.kind.name, name)) from error

    def all(self) -> list[D]:
        """Every document, by name."""
        return cast("list[D]", self._store.all(self.kind.name))

    def remove(self, name_or_arn: str) -> D:
        """Remove a resource with its tags, and return what it was.

        Raises:
            ServiceError: there is no such resource.
        """
        document = self.get(name_or_arn)
        self._store.delete(self.kind.name, name_of(name_or_arn))
        self._tags.drop(document[f"{self.kind.prefix}Arn"])
        return document

    def describe(self, request: dict[str, Any]) -> D:
        """The Describe operation."""
        return self.get(request[f"{self.kind.prefix}Name"])

    def delete(self, request: dict[str, Any]) -> None:
        """The Delete operation."""
        self.remove(request[f"{self.kind.prefix}Name"])

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """The List operation."""
        return page(
            self._store.all(self.kind.name),
            request,
            answer=self.kind.summaries,
            name=f"{self.kind.prefix}Name",
            status=f"{self.kind.prefix}Status",
            members=self.kind.summary,
            order=self.kind.order,
        )


def name_of(name_or_arn: str) -> str:
    """The name in what may be an ARN; ``group/version`` stays together."""
    return name_or_arn.partition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn

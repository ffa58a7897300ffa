"""The resources of one kind: what Create, Describe, Delete and List have in common, whatever the kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from localcloud.sagemaker.api.arns import arn, name_of
from localcloud.sagemaker.api.listing import ListRequest, Page, page
from localcloud.sagemaker.api.store import D, DocumentKind, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.service_model.errors import ServiceError, validation_error


def could_not_find(what: str) -> Callable[[str], ServiceError]:
    """Return the error of hosting's kinds for a resource that doesn't exist, as a function of its ARN."""
    return lambda resource_arn: validation_error(f'Could not find {what} "{resource_arn}".')


def already_existing(what: str) -> Callable[[str], ServiceError]:
    """Return the error of hosting's kinds for a name that is taken, as a function of the ARN."""
    return lambda resource_arn: validation_error(f'Cannot create already existing {what} "{resource_arn}".')


@dataclass(frozen=True)
class Kind(Generic[D]):
    """What is particular to the resources of a kind.

    Attributes:
        name: The kind in the store and in ARNs, such as ``endpoint-config``.
        prefix: The prefix of the members that hold a resource's name, ARN and status, such as ``EndpointConfig``.
        missing: The error for an ARN that no resource has.
        taken: The error for an ARN that another resource has.
        summaries: The member of List's answer that holds the summaries.
        summary: The members that a summary has.
        order: List's default of SortOrder.
    """

    name: DocumentKind[D]
    prefix: str
    missing: Callable[[str], ServiceError]
    taken: Callable[[str], ServiceError]
    summaries: str
    summary: tuple[str, ...]
    order: str = "Descending"


class Collection(Generic[D]):
    """The resources of a kind in the store. A resource is found by its name or its ARN."""

    def __init__(self, store: Store, tags: Tags, kind: Kind[D]) -> None:
        self._store = store
        self._tags = tags
        self.kind = kind

    def arn(self, name: str) -> str:
        """Return the ARN that a resource of this name has."""
        return arn(self.kind.name, name)

    def insert(self, name: str, document: D) -> str:
        """Add a resource and its tags.

        Args:
            name: The resource's name; of a model package's version, ``group/version``.
            document: The request with what the service adds, its ARN too. Its Tags are stored apart.

        Returns:
            The ARN.

        Raises:
            ServiceError: The name is taken.
        """
        resource_arn: str = document[f"{self.kind.prefix}Arn"]
        untagged = {member: value for member, value in document.items() if member != "Tags"}
        try:
            self._store.insert(self.kind.name, name, untagged)
        except NameTakenError as error:
            raise self.kind.taken(resource_arn) from error
        self._tags.put(resource_arn, document.get("Tags", []))
        return resource_arn

    def get(self, name_or_arn: str) -> D:
        """Return the document.

        Raises:
            ServiceError: There is no such resource.
        """
        name = name_of(name_or_arn)
        try:
            return self._store.get(self.kind.name, name)
        except MissingResourceError as error:
            raise self.kind.missing(self.arn(name)) from error

    def update(self, name_or_arn: str, change: Callable[[D], None]) -> D:
        """Change a document, with no other change in between, and return the result.

        Args:
            name_or_arn: The resource's name or ARN.
            change: Alters the document in place.

        Raises:
            ServiceError: There is no such resource.
            Exception: What ``change`` raises; the document is then as before.
        """
        name = name_of(name_or_arn)
        try:
            return self._store.update(self.kind.name, name, change)
        except MissingResourceError as error:
            raise self.kind.missing(self.arn(name)) from error

    def all(self) -> list[D]:
        """Return every document, sorted by name."""
        return self._store.all(self.kind.name)

    def remove(self, name_or_arn: str) -> D:
        """Remove a resource with its tags, and return its last document.

        Raises:
            ServiceError: There is no such resource.
        """
        document = self.get(name_or_arn)
        self._store.delete(self.kind.name, name_of(name_or_arn))
        self._tags.drop(document[f"{self.kind.prefix}Arn"])
        return document

    def describe(self, request: Mapping[str, str]) -> D:
        """Answer the Describe operation, whose request has the name."""
        return self.get(request[f"{self.kind.prefix}Name"])

    def delete(self, request: Mapping[str, str]) -> None:
        """Carry out the Delete operation, whose request has the name."""
        self.remove(request[f"{self.kind.prefix}Name"])

    def list(self, request: ListRequest) -> Page:
        """Answer the List operation."""
        return page(
            self.all(),
            request,
            answer=self.kind.summaries,
            name=f"{self.kind.prefix}Name",
            status=f"{self.kind.prefix}Status",
            members=self.kind.summary,
            order=self.kind.order,
        )

"""What all List operations share: filters, order and pages."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, TypeVar

from localcloud.sagemaker.api.store import OpaqueDocument
from localcloud.service_model.errors import validation_error

T = TypeVar("T")

ListRequest = Mapping[str, Any]
"""The request of any List operation; its filters are looked up by name."""

Page = Mapping[str, Any]
"""The answer of any List operation: the summaries, under the operation's own name, and perhaps a NextToken."""

_DEFAULT_RESULTS = 10

# The filters of List requests: whether a document passes, by the filter's value and the members of name and status.
_FILTERS: dict[str, Callable[[OpaqueDocument, Any, str, str], bool]] = {
    "NameContains": lambda document, value, name, _: value.lower() in document[name].lower(),
    "StatusEquals": lambda document, value, _, status: document[status] == value,
    "CreationTimeAfter": lambda document, value, _, __: document["CreationTime"] >= value,
    "CreationTimeBefore": lambda document, value, _, __: document["CreationTime"] <= value,
    "LastModifiedTimeAfter": lambda document, value, _, __: document["LastModifiedTime"] >= value,
    "LastModifiedTimeBefore": lambda document, value, _, __: document["LastModifiedTime"] <= value,
    "WarmPoolStatusEquals": lambda document, value, _, __: document.get("WarmPoolStatus", {}).get("Status") == value,
    "TrainingPlanArnEquals": lambda document, value, _, __: (
        document.get("ResourceConfig", {}).get("TrainingPlanArn") == value
    ),
}


class NextPage(TypedDict, total=False):
    """The part of an answer that leads to the next page; empty on the last."""

    NextToken: str


def page(
    documents: Iterable[OpaqueDocument],
    request: ListRequest,
    *,
    answer: str,
    name: str,
    members: tuple[str, ...],
    status: str = "",
    order: str = "Descending",
) -> Page:
    """Return one page of a List operation.

    Args:
        documents: All documents of the kind.
        request: The validated request; NextToken, MaxResults, SortBy, SortOrder and the filters are read.
        answer: The member of the answer that holds the summaries.
        name: The member with a document's name, which also breaks the ties of the order.
        members: The members of a summary; absent ones are left out.
        status: The member that StatusEquals and SortBy=Status look at.
        order: The operation's default of SortOrder.

    Raises:
        ServiceError: The token isn't one of ours.
    """
    kept = [document for document in documents if _passes(document, request, name, status)]
    kept.sort(key=_sort_key(request.get("SortBy", "CreationTime"), name, status))
    if request.get("SortOrder", order) == "Descending":
        kept.reverse()
    shown, token = cut(kept, request)
    return {answer: [{each: document[each] for each in members if each in document} for document in shown], **token}


def cut(documents: list[T], request: ListRequest) -> tuple[list[T], NextPage]:
    """Return the page that a request's MaxResults and NextToken choose, and what leads to the next one.

    Args:
        documents: What passes the filters, in its order.
        request: The validated request.

    Raises:
        ServiceError: The token isn't one of ours.
    """
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_RESULTS)
    return documents[start:end], {"NextToken": _token(end)} if end < len(documents) else {}


def _passes(document: OpaqueDocument, request: ListRequest, name: str, status: str) -> bool:
    return all(
        passes(document, request[each], name, status)
        for each, passes in _FILTERS.items()
        if request.get(each) is not None
    )


def _sort_key(sort_by: str, name: str, status: str) -> Callable[[OpaqueDocument], tuple[Any, str]]:
    member = {"Name": name, "Status": status}.get(sort_by, "CreationTime")
    return lambda document: (document[member], document[name])


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    with contextlib.suppress(ValueError):
        offset = int(base64.urlsafe_b64decode(token))
        if offset >= 0:
            return offset
    raise validation_error(f"Invalid pagination token: {token}")

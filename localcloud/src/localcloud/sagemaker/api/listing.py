"""What every List operation shares: filters, order and pages."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from localcloud.sagemaker.api.errors import validation_error
from localcloud.sagemaker.api.store import Document

_DEFAULT_RESULTS = 10

# What a List request may ask, and when a document passes.
_FILTERS: dict[str, Callable[[Document, Any, str, str], bool]] = {
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


def page(
    documents: Iterable[Document],
    request: dict[str, Any],
    *,
    answer: str,
    name: str,
    members: tuple[str, ...],
    status: str = "",
    order: str = "Descending",
) -> dict[str, Any]:
    """One page of a List operation.

    Args:
        documents: all of the kind.
        request: the validated request; NextToken, MaxResults, SortBy, SortOrder and the filters are read.
        answer: the member of the answer that holds the summaries.
        name: the member that names a document; ties of the order are broken by it.
        members: what a summary shows; absent ones are left out.
        status: the member that StatusEquals and SortBy=Status look at.
        order: the operation's default of SortOrder.

    Raises:
        ServiceError: the token isn't one of ours.
    """
    kept = [document for document in documents if _passes(document, request, name, status)]
    kept.sort(key=_sort_key(request.get("SortBy", "CreationTime"), name, status))
    if request.get("SortOrder", order) == "Descending":
        kept.reverse()
    shown, token = cut(kept, request)
    return {answer: [{each: document[each] for each in members if each in document} for document in shown], **token}


def cut(documents: list[Document], request: dict[str, Any]) -> tuple[list[Document], dict[str, str]]:
    """The page that a request asks for with MaxResults and NextToken, and the NextToken of the answer, if any.

    Raises:
        ServiceError: the token isn't one of ours.
    """
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _DEFAULT_RESULTS)
    return documents[start:end], {"NextToken": _token(end)} if end < len(documents) else {}


def _passes(document: Document, request: dict[str, Any], name: str, status: str) -> bool:
    return all(
        passes(document, request[asked], name, status)
        for asked, passes in _FILTERS.items()
        if request.get(asked) is not None
    )


def _sort_key(sort_by: str, name: str, status: str) -> Callable[[Document], tuple[Any, str]]:
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

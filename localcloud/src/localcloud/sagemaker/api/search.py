"""Search: resources by their properties, tags and metrics (API reference, Search and SearchExpression)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict

from botocore.model import StructureShape

from localcloud.sagemaker.api.listing import NextPage, cut
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import DocumentKind, OpaqueDocument, Store
from localcloud.sagemaker.api.tags import as_tags
from localcloud.service_model.errors import validation_error
from localcloud.service_model.validation import service_model

_DEFAULT_SORT = "LastModifiedTime"


@dataclass(frozen=True)
class _Resource:
    """A searchable resource: its kind in the store, the member with its ARN, its shape in the service model."""

    kind: DocumentKind[OpaqueDocument]
    arn: str
    shape: str


_RESOURCES = {
    "TrainingJob": _Resource(DocumentKind("training-job"), "TrainingJobArn", "TrainingJob"),
    "Model": _Resource(DocumentKind("model"), "ModelArn", "Model"),
    "Endpoint": _Resource(DocumentKind("endpoint"), "EndpointArn", "Endpoint"),
    "ModelPackage": _Resource(DocumentKind("model-package"), "ModelPackageArn", "ModelPackage"),
    "ModelPackageGroup": _Resource(DocumentKind("model-package-group"), "ModelPackageGroupArn", "ModelPackageGroup"),
}


class Filter(TypedDict):
    """A condition on the property of that name."""

    Name: str
    Operator: NotRequired[str]
    Value: NotRequired[str]


class NestedFilters(TypedDict):
    """Conditions that one item of a list has to meet."""

    NestedPropertyName: str
    Filters: list[Filter]


class SearchExpression(TypedDict, total=False):
    """Conditions that are joined by the Operator, And or Or."""

    Filters: list[Filter]
    NestedFilters: list[NestedFilters]
    SubExpressions: list[SearchExpression]
    Operator: str


class SearchRequest(TypedDict):
    """The request of Search."""

    Resource: str
    SearchExpression: NotRequired[SearchExpression]
    SortBy: NotRequired[str]
    SortOrder: NotRequired[str]
    CrossAccountFilterOption: NotRequired[str]
    VisibilityConditions: NotRequired[list[Mapping[str, str]]]
    MaxResults: NotRequired[int]
    NextToken: NotRequired[str]


class TotalHits(TypedDict):
    """How many resources are found, on all pages."""

    Value: int
    Relation: str


class SearchAnswer(NextPage):
    """The answer of Search; a result holds its resource under the resource's name."""

    Results: list[OpaqueDocument]
    TotalHits: TotalHits


class Search:
    """Looks at every document of a kind, as there are few."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {"Search": self._search}

    def _search(self, request: SearchRequest) -> SearchAnswer:
        name = request["Resource"]
        if name not in _RESOURCES:
            raise validation_error(f"This stand-in has no {name} to search. It knows {', '.join(_RESOURCES)}.")
        if request.get("VisibilityConditions"):
            raise validation_error("VisibilityConditions: this stand-in has one account, which sees all its own.")
        resource = _RESOURCES[name]
        expression: SearchExpression = request.get("SearchExpression", {})
        own = request.get("CrossAccountFilterOption", "SameAccount") == "SameAccount"  # there is no other account
        found = [each for each in self._documents(resource) if _satisfies(each, expression)] if own else []
        sort_by = request.get("SortBy", _DEFAULT_SORT)
        found.sort(key=lambda document: _sort_key(document, sort_by), reverse=request.get("SortOrder") != "Ascending")
        shown, token = cut(found, request)
        records = [_shown(each, resource.shape) for each in shown]
        return {
            "Results": [{name: {"Model": record} if name == "Model" else record} for record in records],
            "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
            **token,
        }

    def _documents(self, resource: _Resource) -> Iterator[OpaqueDocument]:
        for document in self._store.all(resource.kind):
            yield {**document, "Tags": as_tags(self._store.tags(document[resource.arn]))}


def _shown(document: OpaqueDocument, shape_name: str) -> OpaqueDocument:
    shape = service_model("sagemaker").shape_for(shape_name)
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {key: value for key, value in document.items() if key in members}


def _satisfies(document: OpaqueDocument, expression: SearchExpression) -> bool:
    held = [
        *(_holds(each, list(_values(document, each["Name"]))) for each in expression.get("Filters", [])),
        *(_holds_nested(document, each) for each in expression.get("NestedFilters", [])),
        *(_satisfies(document, each) for each in expression.get("SubExpressions", [])),
    ]
    return any(held) if held and expression.get("Operator") == "Or" else all(held)


def _holds_nested(document: OpaqueDocument, nested: NestedFilters) -> bool:
    """Return whether one item of the nested list passes all filters, whose names begin with the list's."""
    prefix = nested["NestedPropertyName"]
    return any(
        all(_holds(each, list(_values(item, each["Name"].removeprefix(f"{prefix}.")))) for each in nested["Filters"])
        for item in _values(document, prefix)
    )


def _values(value: Any, path: str) -> Iterator[Any]:
    """Yield the values at a dotted name: several where it leads through lists.

    ``Tags.Owner`` is the value of a tag, ``Metrics.validation:auc`` that of a final metric.
    """
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
        return
    if not isinstance(value, dict):
        return
    if path in value:
        found = value[path]
        yield from found if isinstance(found, list) else [found]
        return
    first, _, rest = path.partition(".")
    if first == "Tags":
        yield from (each["Value"] for each in value.get("Tags", []) if each["Key"] == rest)
    elif first == "Metrics":
        yield from (each["Value"] for each in value.get("FinalMetricDataList", []) if each["MetricName"] == rest)
    elif rest and first in value:
        yield from _values(value[first], rest)


def _holds(condition: Filter, values: list[Any]) -> bool:
    operator, wanted = condition.get("Operator", "Equals"), condition.get("Value")
    if operator == "Exists":
        return bool(values)
    if operator == "NotExists":
        return not values
    if wanted is None:
        raise validation_error(f"The filter on {condition['Name']} needs a Value for its operator {operator}.")
    if operator == "NotEquals":
        return not any(_OPERATORS["Equals"](value, wanted) for value in values)
    return any(_OPERATORS[operator](value, wanted) for value in values)


def _equals(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, (int, float)):
        return _number(wanted) == value
    return str(value) == wanted


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, str], bool]:
    def holds(value: Any, wanted: str) -> bool:
        left, right = _number(value), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return holds


_OPERATORS: Mapping[str, Callable[[Any, str], bool]] = {
    "Equals": _equals,
    "GreaterThan": _ordered(lambda value, wanted: value > wanted),
    "GreaterThanOrEqualTo": _ordered(lambda value, wanted: value >= wanted),
    "LessThan": _ordered(lambda value, wanted: value < wanted),
    "LessThanOrEqualTo": _ordered(lambda value, wanted: value <= wanted),
    "Contains": lambda value, wanted: wanted in str(value),
    "In": lambda value, wanted: any(_equals(value, each.strip()) for each in wanted.split(",")),
}


def _number(value: Any) -> float | None:
    """Return the number of a number, of its text, or of a time in ISO 8601 (UTC if it has no zone); else None."""
    if not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _sort_key(document: OpaqueDocument, path: str) -> tuple[bool, float, str]:
    """Return a key that sorts documents without the property first, then numbers by value, then text."""
    value = next(_values(document, path), None)
    number = _number(value)
    return value is not None, math.inf if number is None else number, str(value)

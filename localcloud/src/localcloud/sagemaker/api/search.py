"""Search: resources by their properties, tags and metrics (API reference, Search and SearchExpression)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.model import StructureShape

from localcloud.sagemaker.api.errors import validation_error
from localcloud.sagemaker.api.listing import cut
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.api.validation import service_model

_DEFAULT_SORT = "LastModifiedTime"


@dataclass(frozen=True)
class _Resource:
    """The kind that the store knows a searchable resource by, and the member of a document that is its ARN."""

    kind: str
    arn: str
    shape: str


_RESOURCES = {
    "TrainingJob": _Resource("training-job", "TrainingJobArn", "TrainingJob"),
    "Model": _Resource("model", "ModelArn", "Model"),
    "Endpoint": _Resource("endpoint", "EndpointArn", "Endpoint"),
    "ModelPackage": _Resource("model-package", "ModelPackageArn", "ModelPackage"),
    "ModelPackageGroup": _Resource("model-package-group", "ModelPackageGroupArn", "ModelPackageGroup"),
}


class Search:
    """Looks at every document of a kind; a stand-in has few."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {"Search": self._search}

    def _search(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Resource"]
        if name not in _RESOURCES:
            raise validation_error(f"This stand-in has no {name} to search. It knows {', '.join(_RESOURCES)}.")
        if request.get("VisibilityConditions"):
            raise validation_error("VisibilityConditions: this stand-in has one account, which sees all its own.")
        resource, expression = _RESOURCES[name], request.get("SearchExpression", {})
        own = request.get("CrossAccountFilterOption", "SameAccount") == "SameAccount"  # no other account shares any
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

    def _documents(self, resource: _Resource) -> Iterator[Document]:
        for document in self._store.all(resource.kind):
            tags = self._store.tags(document[resource.arn])
            yield document | {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _shown(document: Document, shape_name: str) -> Document:
    shape = service_model().shape_for(shape_name)
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {key: value for key, value in document.items() if key in members}


def _satisfies(document: Document, expression: Mapping[str, Any]) -> bool:
    held = [
        *(_holds(each, list(_values(document, each["Name"]))) for each in expression.get("Filters", [])),
        *(_holds_nested(document, each) for each in expression.get("NestedFilters", [])),
        *(_satisfies(document, each) for each in expression.get("SubExpressions", [])),
    ]
    return any(held) if held and expression.get("Operator") == "Or" else all(held)


def _holds_nested(document: Document, nested: Mapping[str, Any]) -> bool:
    """One and the same item of the nested list has to pass all filters, which name it in full."""
    prefix = nested["NestedPropertyName"]
    return any(
        all(_holds(each, list(_values(item, each["Name"].removeprefix(f"{prefix}.")))) for each in nested["Filters"])
        for item in _values(document, prefix)
    )


def _values(value: Any, path: str) -> Iterator[Any]:
    """What a dotted name stands for: several values where it goes through lists.

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


def _holds(condition: Mapping[str, Any], values: list[Any]) -> bool:
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
    """A number, a number's text, or a time in ISO 8601, which is UTC unless it says otherwise; None of all else."""
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


def _sort_key(document: Document, path: str) -> tuple[bool, float, str]:
    """Those without the property are the least; numbers by their value, and before text."""
    value = next(_values(document, path), None)
    number = _number(value)
    return value is not None, math.inf if number is None else number, str(value)

"""Checks a JSON body against a contract: pydantic, with the times that landing accepts, and with exact numbers.

The core schema of the model is changed where pydantic reads text or numbers in its own way. So a contract is an
ordinary model, and all that it says elsewhere holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator, core_schema

from sluice.contracts.exact import Number, is_marked, marked, unmarked
from sluice.errors import DeclarationError
from sluice.records.times import TimeFault, parse_time

Change = Callable[[dict[str, Any]], Any]
_TIMES_KEPT = 4096
_NUMBERS = {"int", "float", "decimal"}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")
# What a core schema holds that is no schema.
_VALUES = {"metadata", "serialization", "default", "default_factory", "expected", "members", "cls", "config"}


def body_validator(
    contract: type[BaseModel], unit: str | None = None, zone: str | None = None
) -> Callable[[str], BaseModel]:
    """Return the function that makes an instance of the contract from a JSON body; it raises ``ValidationError``.

    It raises ``DeclarationError`` if the contract's own code returns something that is no model.

    Args:
        contract: The model.
        unit: The unit of times that are numbers, as :func:`parse_time` takes it.
        zone: The zone of times without an offset, as :func:`parse_time` takes it.
    """
    schema = TypeAdapter(contract).core_schema
    text_unions = _rewritten(schema, _exact_union)
    exact = _holds(text_unions, "decimal")
    changes: Mapping[str, Change] = {"datetime": partial(_before, _time(unit, zone)), **(_EXACT if exact else {})}

    def change(node: dict[str, Any]) -> Any:
        return changes[node["type"]](node) if node["type"] in changes else node

    # A nested model must not use the validator that its class has already made.
    validator = SchemaValidator(_rewritten(text_unions, change), _use_prebuilt=False)

    def validate(body: str) -> BaseModel:
        instance = validator.validate_json(marked(body) if exact else body, strict=True)
        if not isinstance(instance, BaseModel):
            raise DeclarationError(
                f"contract {contract.__name__}: a validator of the model returns {type(instance).__name__} in place of "
                f"the model; let it return self"
            )
        return instance

    return validate


def _rewritten(node: Any, change: Change) -> Any:
    """Return a core schema in which each part, innermost first, is as ``change`` returns it."""
    if isinstance(node, list | tuple):
        return type(node)(_rewritten(each, change) for each in node)
    if not isinstance(node, Mapping):
        return node
    inner: dict[str, Any] = {}
    for name, each in node.items():
        if name == "fields" and isinstance(each, Mapping):  # the names are those of members
            inner[name] = {member: _rewritten(field, change) for member, field in each.items()}
        else:
            inner[name] = each if name in _VALUES else _rewritten(each, change)
    return change(inner) if "type" in inner else inner


def _holds(node: Any, kind: str) -> bool:
    found: list[str] = []

    def look(part: dict[str, Any]) -> dict[str, Any]:
        found.append(part["type"])
        return part

    _rewritten(node, look)
    return kind in found


def _exact_union(node: dict[str, Any]) -> dict[str, Any]:
    """Change a union of number and text: its numbers keep their digits, and a fault names the member alone."""
    choices = node.get("choices", ())
    kinds = {choice["type"] for choice in choices if isinstance(choice, Mapping)}
    if node["type"] != "union" or "str" not in kinds or not kinds & _NUMBERS:
        return node
    exact = [_as_decimal(choice) if choice["type"] == "float" else choice for choice in choices]
    fault = {"custom_error_type": "number_or_text", "custom_error_message": "must be a number or text"}
    return {**node, "choices": exact, **fault}


def _as_decimal(choice: Mapping[str, Any]) -> Any:
    return {"type": "decimal", **{name: choice[name] for name in _BOUNDS if name in choice}}


def _before(function: Callable[[Any], Any], node: dict[str, Any]) -> Any:
    schema: Any = node
    return core_schema.no_info_before_validator_function(function, schema)


def _time(unit: str | None, zone: str | None) -> Callable[[Any], Any]:
    @lru_cache(_TIMES_KEPT)  # the events of one thing have some times in common
    def parse_text(text: str) -> datetime:
        return parse_time(unmarked(text), unit, zone)

    def parse(value: Any) -> Any:
        try:
            return parse_text(value) if isinstance(value, str) else parse_time(value, unit, zone)
        except TimeFault as fault:
            kind: Any = str(fault)
            raise PydanticCustomError(kind, "is no time that is accepted") from fault

    return parse


def _decimal(value: Any) -> Decimal:
    """Pydantic takes only a Decimal of what a function has read, so the text that JSON may have is read here."""
    number = unmarked(value)
    if isinstance(number, bool) or not isinstance(number, str | int | float | Decimal):
        raise PydanticKnownError("decimal_type")
    try:
        return Decimal(number.digits if isinstance(number, Number) else str(number))
    except InvalidOperation as error:
        raise PydanticKnownError("decimal_parsing") from error


def _text(node: dict[str, Any]) -> Any:
    kind: Any = {"str": "string_type", "bytes": "bytes_type"}[node["type"]]

    def check(value: Any) -> Any:
        if is_marked(value):
            raise PydanticKnownError(kind)
        return value

    schema: Any = node
    return core_schema.no_info_after_validator_function(check, schema)


_EXACT: Mapping[str, Change] = {
    "decimal": partial(_before, _decimal),
    "float": partial(_before, unmarked),
    "str": _text,
    "bytes": _text,
    **{kind: partial(_before, unmarked) for kind in ("function-before", "function-wrap", "function-plain")},
}

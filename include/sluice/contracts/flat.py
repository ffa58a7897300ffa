"""Finds out whether a contract is flat: only members that Arrow's JSON reader reads as pydantic does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator

from sluice.contracts.letters import letters_of

Check: TypeAlias = "Callable[[pa.Array[Any]], pa.Array[Any]]"

# The common form of a time. Others are left to the parser of times.
_TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
# The least and the greatest letter at each place of its commonest spelling.
_LEAST, _GREATEST = (np.frombuffer(each, np.uint8) for each in (b"1000-00-00T00:00:00Z", b"2999-99-99T99:99:99Z"))
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": pc.greater,
    "ge": pc.greater_equal,
    "lt": pc.less,
    "le": pc.less_equal,
}
_TEXT_RULES = {"pattern", "min_length", "max_length"}
_ALLOWED = {"type", "metadata"}


@dataclass(frozen=True)
class Member:
    """How a member is read.

    Attributes:
        read_as: The type that Arrow reads.
        may_lack: Whether None stands for a member that is null, and for one that is absent.
        is_time: Whether it is a time, which is read as text.
        fits: Returns which values fit; None: all that Arrow reads.
    """

    read_as: pa.DataType
    may_lack: bool = False
    is_time: bool = False
    fits: Check | None = None


def flat_members(contract: type[BaseModel]) -> tuple[dict[str, Member], bool] | None:
    """Return how the members of a contract are read, and whether a body may have others; None if it is not flat."""
    schema: Mapping[str, Any] = TypeAdapter(contract).core_schema
    fields = schema.get("schema", {})
    if schema["type"] != "model" or fields["type"] != "model-fields" or contract.__pydantic_post_init__:
        return None
    config = schema.get("config", {})
    others = config.get("extra_fields_behavior", "ignore")
    if schema.get("custom_init") or config.keys() - {"title", "frozen", "extra_fields_behavior"} or others == "allow":
        return None
    members = {name: _member(field) for name, field in fields["fields"].items()}
    found = {name: member for name, member in members.items() if member is not None}
    return (found, others == "ignore") if found.keys() == members.keys() else None


def _member(field: Mapping[str, Any]) -> Member | None:
    if field.keys() - {"type", "schema", "metadata"}:  # such as an alias
        return None
    schema, lacks, takes_none = field["schema"], False, False
    if schema["type"] == "default" and schema.keys() <= {"type", "schema", "default"}:
        schema, lacks = schema["schema"], schema["default"] is None
    if schema["type"] == "nullable" and schema.keys() <= {"type", "schema"}:
        schema, takes_none = schema["schema"], True
    leaf = _leaf(schema)
    return None if leaf is None else Member(leaf.read_as, lacks and takes_none, leaf.is_time, leaf.fits)


def _leaf(schema: Mapping[str, Any]) -> Member | None:
    rules = schema.keys() - _ALLOWED
    match schema["type"]:
        case "str" if rules <= _TEXT_RULES:
            return Member(pa.string(), fits=partial(_each_text, SchemaValidator(schema)) if rules else None)
        case "literal" if all(type(choice) is str for choice in schema["expected"]):
            return Member(pa.string(), fits=partial(_each_text, SchemaValidator(schema)))
        case "int" if rules <= _COMPARISONS.keys() and all(type(schema[rule]) is int for rule in rules):
            return Member(pa.int64(), fits=partial(_compared, schema, rules) if rules else None)
        case "float" if rules <= _COMPARISONS.keys():
            return Member(pa.float64(), fits=partial(_finite, schema, rules))
        case "bool" if not rules:
            return Member(pa.bool_())
        case "datetime" if rules <= {"microseconds_precision", "tz_constraint"}:
            if schema.get("tz_constraint") in {None, "aware"}:
                return Member(pa.string(), is_time=True, fits=_in_common_form)
    return None


def _in_common_form(column: pa.Array[Any]) -> pa.Array[Any]:
    if _are_whole_seconds(column):
        return pa.repeat(pa.scalar(True), len(column))
    common: pa.Array[Any] = pc.match_substring_regex(column, _TIME)
    return common


def _are_whole_seconds(column: Any) -> bool:
    """Return whether all texts are spelled as ``2013-01-15T10:00:00Z``: half the work of a pattern for each."""
    lengths: Any = pc.min_max(pc.binary_length(column)).as_py()
    if column.null_count or set(lengths.values()) != {len(_LEAST)}:
        return False
    letters = letters_of(column).reshape(-1, len(_LEAST))
    return bool((letters.min(axis=0) >= _LEAST).all() and (letters.max(axis=0) <= _GREATEST).all())


def _each_text(validator: SchemaValidator, column: pa.Array[Any]) -> pa.Array[Any]:
    """Return which texts pydantic takes; it is asked once for each of them."""
    encoded = column.dictionary_encode()
    taken = [validator.isinstance_python(text, strict=True) for text in encoded.dictionary.to_pylist()]
    return pa.array(taken, pa.bool_()).take(encoded.indices)


def _finite(schema: Mapping[str, Any], rules: set[str], column: pa.Array[Any]) -> pa.Array[Any]:
    """Return which numbers are finite and in range. ``-0`` is left to pydantic: it is zero there, and -0.0 in Arrow."""
    is_minus_zero = pc.equal(pc.divide(pa.scalar(1.0), column), pa.scalar(-math.inf))
    fits = pc.and_(pc.is_finite(column), _compared(schema, rules, column))
    settled: pa.Array[Any] = pc.and_not(fits, is_minus_zero)
    return settled


def _compared(schema: Mapping[str, Any], rules: set[str], column: pa.Array[Any]) -> pa.Array[Any]:
    fits: pa.Array[Any] = column.is_valid()
    for rule in rules:
        fits = pc.and_(fits, _COMPARISONS[rule](column, pa.scalar(schema[rule], column.type)))
    return fits

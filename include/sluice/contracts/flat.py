"""Finds out whether a contract is flat: only members that Arrow's JSON reader reads as pydantic does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator

from sluice.contracts.followed import can_be_followed
from sluice.contracts.letters import letters_of

Check: TypeAlias = "Callable[[pa.Array[Any]], pa.Array[Any]]"
Schema: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[[Any], Any]

# The common form of a time. Others are left to the parser of times.
_TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
# The least and the greatest letter at each place of its commonest spelling.
_LEAST, _GREATEST = (np.frombuffer(each, np.uint8) for each in (b"1000-00-00T00:00:00Z", b"2999-99-99T99:99:99Z"))
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": pc.greater,
    "ge": pc.greater_equal,
    "lt": pc.less,
    "le": pc.less_equal,
    "min_length": pc.greater_equal,
    "max_length": pc.less_equal,
}
_OF_NUMBERS, _OF_LENGTHS = {"gt", "ge", "lt", "le"}, {"min_length", "max_length"}
_ALLOWED = {"type", "metadata"}


@dataclass(frozen=True)
class Member:
    """How a member is read.

    Attributes:
        read_as: The type that Arrow reads.
        may_be_null: Whether None stands for a member that is null.
        may_lack: Whether None stands for it, and for a member that is absent as well.
        is_time: Whether it is a time, which is read as text.
        fits: Returns which values fit; None: all that Arrow reads.
        function: The member's own functions, which take a value that fits; None if there are none.
    """

    read_as: pa.DataType
    may_be_null: bool = False
    may_lack: bool = False
    is_time: bool = False
    fits: Check | None = None
    function: SchemaValidator | None = None


@dataclass(frozen=True)
class Flat:
    """A flat contract.

    Attributes:
        contract: The contract.
        members: How each member is read.
        takes_others: Whether a body may have other members.
        functions: The functions that take an instance, in their order.
    """

    contract: type[BaseModel]
    members: Mapping[str, Member]
    takes_others: bool
    functions: tuple[Function, ...]


def as_flat(contract: type[BaseModel]) -> Flat | None:
    """Return how a contract is read; None if it is not flat."""
    outer, schema = _peeled(TypeAdapter(contract).core_schema, _is_function)
    functions = tuple(each["function"]["function"] for each in reversed(outer))
    fields = schema.get("schema", {})
    if schema["type"] != "model" or fields["type"] != "model-fields" or contract.__pydantic_post_init__:
        return None
    config = schema.get("config", {})
    others = config.get("extra_fields_behavior", "ignore")
    if schema.get("custom_init") or config.keys() - {"title", "frozen", "extra_fields_behavior"} or others == "allow":
        return None
    members = {name: _member(field) for name, field in fields["fields"].items()}
    found = {name: member for name, member in members.items() if member is not None}
    if found.keys() != members.keys() or not all(map(can_be_followed, functions)):
        return None
    return Flat(contract, found, others == "ignore", functions)


def _peeled(schema: Schema, is_outer: Callable[[Schema], bool]) -> tuple[list[Schema], Schema]:
    """Return the schemas that stand around another, from outside, and that one."""
    outer = []
    while is_outer(schema):
        outer.append(schema)
        schema = schema["schema"]
    return outer, schema


def _is_function(schema: Schema) -> bool:
    """Whether a schema only has a function that takes a checked value."""
    if schema["type"] != "function-after" or schema.keys() - {"type", "function", "schema", "metadata", "ref"}:
        return False
    function: Schema = schema["function"]
    return function.keys() == {"type", "function"} and function["type"] == "no-info"


def _is_nullable(schema: Schema) -> bool:
    return schema["type"] == "nullable" and schema.keys() <= {"type", "schema"}


def _member(field: Schema) -> Member | None:
    if field.keys() - {"type", "schema", "metadata"}:  # such as an alias
        return None
    schema, lacks = field["schema"], False
    if schema["type"] == "default" and schema.keys() <= {"type", "schema", "default"}:
        schema, lacks = schema["schema"], schema["default"] is None
    outer, inner = _peeled(schema, lambda each: _is_nullable(each) or _is_function(each))
    leaf = _leaf(inner)
    if leaf is None:
        return None
    nullable, function = any(map(_is_nullable, outer)), _functions(outer) if any(map(_is_function, outer)) else None
    return replace(leaf, may_be_null=nullable, may_lack=nullable and lacks, function=function)


def _functions(outer: list[Schema]) -> SchemaValidator:
    """Return the functions of a member, and what they do about None, for a value that has been checked."""
    schema: Any = {"type": "any"}
    for each in reversed(outer):
        schema = {**each, "schema": schema}
    return SchemaValidator(schema)


def _leaf(schema: Schema) -> Member | None:
    rules = schema.keys() - _ALLOWED
    match schema["type"]:
        case "str" if rules <= _OF_LENGTHS:
            return Member(pa.string(), fits=partial(_of_length, schema, rules) if rules else None)
        case "str" if rules <= {"pattern"} | _OF_LENGTHS:
            return Member(pa.string(), fits=partial(_each_text, SchemaValidator(schema)))
        case "literal" if all(type(choice) is str for choice in schema["expected"]):
            return Member(pa.string(), fits=partial(_each_text, SchemaValidator(schema)))
        case "int" if rules <= _OF_NUMBERS and all(type(schema[rule]) is int for rule in rules):
            return Member(pa.int64(), fits=partial(_compared, schema, rules) if rules else None)
        case "float" if rules <= _OF_NUMBERS:
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


def _of_length(schema: Schema, rules: set[str], column: Any) -> pa.Array[Any]:
    lengths: Any = pc.utf8_length(column)
    return _compared(schema, rules, lengths.cast(pa.int64()))


def _each_text(validator: SchemaValidator, column: pa.Array[Any]) -> pa.Array[Any]:
    """Return which texts pydantic takes; it is asked once for each of them."""
    encoded = column.dictionary_encode()
    taken = [validator.isinstance_python(text, strict=True) for text in encoded.dictionary.to_pylist()]
    return pa.array(taken, pa.bool_()).take(encoded.indices)


def _finite(schema: Schema, rules: set[str], column: pa.Array[Any]) -> pa.Array[Any]:
    """Return which numbers are finite and in range. ``-0`` is left to pydantic: it is zero there, and -0.0 in Arrow."""
    is_minus_zero = pc.equal(pc.divide(pa.scalar(1.0), column), pa.scalar(-math.inf))
    fits = pc.and_(pc.is_finite(column), _compared(schema, rules, column))
    settled: pa.Array[Any] = pc.and_not(fits, is_minus_zero)
    return settled


def _compared(schema: Schema, rules: set[str], column: pa.Array[Any]) -> pa.Array[Any]:
    fits: pa.Array[Any] = column.is_valid()
    for rule in rules:
        fits = pc.and_(fits, _COMPARISONS[rule](column, pa.scalar(schema[rule], column.type)))
    return fits

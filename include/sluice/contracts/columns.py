"""The columns of a contract: the Arrow type of each member, fixed by the contract, and its values.

Types come from the core schema of the model, in which pydantic has resolved annotations of any spelling
(https://docs.pydantic.dev/latest/internals/architecture/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, TypeAdapter

from sluice.contracts.values import (
    MOMENT,
    Column,
    Spelled,
    Unfit,
    day,
    moment,
    number_or_text,
    raw_bytes,
    real,
    require,
    text,
    time_of_day,
    truth,
    whole,
    within,
)
from sluice.errors import DeclarationError
from sluice.records.times import OUT_OF_RANGE

Schema = Mapping[str, Any]
"""A core schema of pydantic."""

_POSSIBLE = (
    "a column can be str, int, float, bool, datetime, date, time, UUID, bytes, Decimal with max_digits (at most 38) "
    "and decimal_places, an Enum or a Literal of one type, a model, list or dict of these, a union of number and text "
    "(it is text), or any of them or None"
)
# Where the schema of the values is, in one that only checks or wraps them.
_INNER: Mapping[str, str] = {
    **dict.fromkeys(("definitions", "nullable", "default", "model", "function-before", "function-after"), "schema"),
    "function-wrap": "schema",
    "lax-or-strict": "strict_schema",
    "json-or-python": "json_schema",
}
_MOST_DIGITS = 38  # decimal128


def columns_of(contract: type[BaseModel]) -> dict[str, Column]:
    """Return the column of each member of a contract.

    Raises:
        DeclarationError: a member can't be a column.
    """
    described = _Described(contract.__name__)
    return described.members(TypeAdapter(contract).core_schema, ())


class _Described:
    """The walk through the core schema of a contract."""

    def __init__(self, contract: str) -> None:
        self._contract = contract
        self._definitions: dict[str, Schema] = {}
        self._open: list[str] = []  # the definitions in which the walk is

    def members(self, schema: Schema, where: tuple[str, ...]) -> dict[str, Column]:
        """Return the columns of a model's members.

        Args:
            schema: The core schema of the model.
            where: The way to it, from outside.
        """
        while "fields" not in schema:
            schema = self._resolved(schema, where)
        return {name: self.column(field["schema"], (*where, name)) for name, field in schema["fields"].items()}

    def column(self, schema: Schema, where: tuple[str, ...]) -> Column:
        """Return the column of any value.

        Args:
            schema: The core schema of the value.
            where: The way to it, from outside.

        Raises:
            DeclarationError: there is none.
        """
        if schema["type"] == "definition-ref":
            name = schema["schema_ref"]
            if name in self._open:
                raise self._refused(where, "a model that holds itself")
            self._open.append(name)
            column = self.column(self._definitions[name], where)
            self._open.pop()
            return column
        kind = schema["type"]
        if kind in _SCALARS:
            return _SCALARS[kind]
        if kind in _MAKERS:
            return _MAKERS[kind](self, schema, where)
        inner = self._resolved(schema, where)
        if inner is schema:
            raise self._refused(where, f"of the type {kind!r}")
        return self.column(inner, where)

    def _resolved(self, schema: Schema, where: tuple[str, ...]) -> Schema:
        """Return the schema of the values below one that only checks or wraps them; the same if there is none."""
        kind = schema["type"]
        if kind == "definitions":
            self._definitions.update({each["ref"]: each for each in schema["definitions"]})
        made = schema["function"]["function"] if kind == "function-after" else None
        if isinstance(made, type) and not issubclass(made, str | int | float | Spelled):
            raise self._refused(where, f"a {made.__name__}")
        inner: Schema = schema[_INNER[kind]] if kind in _INNER else schema
        return inner

    def _model(self, schema: Schema, where: tuple[str, ...]) -> Column:
        if schema.get("root_model"):
            root = self.column(schema["schema"], where)
            return Column(root.type, lambda model: root.value(model.root))
        return _struct(self.members(schema, where), attrgetter)

    def _dataclass(self, schema: Schema, where: tuple[str, ...]) -> Column:
        schema = schema["schema"]
        while "fields" not in schema:
            schema = self._resolved(schema, where)
        columns = {each["name"]: self.column(each["schema"], (*where, each["name"])) for each in schema["fields"]}
        return _struct(columns, attrgetter)

    def _typed_dict(self, schema: Schema, where: tuple[str, ...]) -> Column:
        return _struct(self.members(schema, where), lambda name: lambda members: members.get(name))

    def _list(self, schema: Schema, where: tuple[str, ...]) -> Column:
        return _list(self.column(schema.get("items_schema", {"type": "any"}), (*where, "0")))

    def _tuple(self, schema: Schema, where: tuple[str, ...]) -> Column:
        items = [self.column(each, (*where, str(place))) for place, each in enumerate(schema["items_schema"])]
        if len({str(item.type) for item in items}) != 1:
            raise self._refused(where, "a tuple of several types; use a model")
        return _list(items[0])

    def _dict(self, schema: Schema, where: tuple[str, ...]) -> Column:
        key = self.column(schema.get("keys_schema", {"type": "any"}), (*where, "[key]"))
        value = self.column(schema.get("values_schema", {"type": "any"}), (*where, "[value]"))

        def convert(members: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
            """The order of keys in JSON says nothing, so equal members are equal in Arrow."""
            items = [(key.value(name), within(value, each, str(name))) for name, each in members.items()]
            return sorted(items, key=itemgetter(0))

        return Column(pa.map_(key.type, value.type), convert)

    def _decimal(self, schema: Schema, where: tuple[str, ...]) -> Column:
        digits, places = schema.get("max_digits"), schema.get("decimal_places")
        if digits is None or places is None or not 0 <= places <= digits <= _MOST_DIGITS:
            raise self._refused(
                where,
                "a Decimal whose digits don't fit; write it as Annotated[Decimal, Field(max_digits=12, "
                "decimal_places=2)], with at most 38 digits",
            )
        last, context = Decimal(1).scaleb(-places), Context(prec=_MOST_DIGITS)

        def convert(value: Any) -> Decimal:
            require(isinstance(value, Decimal), "decimal_type")
            try:
                kept: Decimal = value.quantize(last, context=context)
            except InvalidOperation as error:
                raise Unfit(OUT_OF_RANGE) from error
            require(kept == value and kept.adjusted() < digits - places, OUT_OF_RANGE)
            return kept

        return Column(pa.decimal128(digits, places), convert)

    def _datetime(self, schema: Schema, where: tuple[str, ...]) -> Column:
        if schema.get("tz_constraint") == "naive":
            raise self._refused(where, "a time without a zone; use datetime, and declare event_time_zone at the source")
        return Column(MOMENT, moment, datetime)

    def _chosen(self, schema: Schema, where: tuple[str, ...]) -> Column:
        """The column of an Enum or a Literal: that of its values."""
        values = [
            each.value if isinstance(each, Enum) else each for each in schema.get("expected") or schema["members"]
        ]
        columns = [_CHOICES.get(type(value)) for value in values if value is not None]
        if None in columns or not columns:
            raise self._refused(where, "a choice of values that are no text, number or truth value")
        return self._one_of(filter(None, columns), where)

    def _union(self, schema: Schema, where: tuple[str, ...]) -> Column:
        choices = [each[0] if isinstance(each, tuple) else each for each in schema["choices"]]
        return self._one_of([self.column(each, where) for each in choices if each["type"] != "none"], where)

    def _one_of(self, columns: Iterable[Column], where: tuple[str, ...]) -> Column:
        columns = list(columns)
        types = {str(column.type) for column in columns}
        if len(types) == 1:
            return columns[0]
        if "string" in types and all(_is_number_or_text(column.type) for column in columns):
            return Column(pa.string(), number_or_text)
        raise self._refused(where, f"a union of {', '.join(sorted(types))}")

    def _refused(self, where: tuple[str, ...], what: str) -> DeclarationError:
        return DeclarationError(f"contract {self._contract}: member {'.'.join(where)!r} is {what}; {_POSSIBLE}")


def _struct(columns: Mapping[str, Column], getter: Callable[[str], Callable[[Any], Any]]) -> Column:
    getters = {name: getter(name) for name in columns}

    def convert(model: Any) -> dict[str, Any]:
        return {name: within(column, getters[name](model), name) for name, column in columns.items()}

    return Column(pa.struct([pa.field(name, column.type) for name, column in columns.items()]), convert)


def _list(item: Column) -> Column:
    def convert(items: Iterable[Any]) -> list[Any]:
        return [within(item, each, str(place)) for place, each in enumerate(items)]

    return Column(pa.list_(item.type), convert)


def _is_number_or_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_int64, pa.types.is_float64, pa.types.is_decimal)
    return any(is_kind(kind) for is_kind in kinds)


_CHOICES = {
    str: Column(pa.string(), text, str),
    int: Column(pa.int64(), whole, int),
    float: Column(pa.float64(), real, float),
    bool: Column(pa.bool_(), truth, bool),
}
_SCALARS: Mapping[str, Column] = {
    "str": _CHOICES[str],
    "uuid": _CHOICES[str],
    "url": _CHOICES[str],
    "int": _CHOICES[int],
    "float": _CHOICES[float],
    "bool": _CHOICES[bool],
    "date": Column(pa.date32(), day),
    "time": Column(pa.time64("us"), time_of_day),
    "bytes": Column(pa.binary(), raw_bytes),
}
_MAKERS: Mapping[str, Callable[[_Described, Schema, tuple[str, ...]], Column]] = {
    "model": _Described._model,
    "dataclass": _Described._dataclass,
    "typed-dict": _Described._typed_dict,
    "list": _Described._list,
    "tuple": _Described._tuple,
    "dict": _Described._dict,
    "decimal": _Described._decimal,
    "datetime": _Described._datetime,
    "enum": _Described._chosen,
    "literal": _Described._chosen,
    "union": _Described._union,
}

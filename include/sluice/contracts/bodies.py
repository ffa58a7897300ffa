"""Reads bodies one by one by pydantic, and makes columns of what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from sluice.contracts.values import Column, Unfit, within
from sluice.errors import DeclarationError

_EVENT_TIME = "event_time: "


class BodyReader:
    """Reads the bodies of records by a contract of any members.

    Args:
        validate: Makes an instance of the contract from a body, or raises ``ValidationError``.
        columns: The columns of the members that become a part of the rows.
        known: The columns of records that hold a member, by its name in a body: a body may leave it out.
    """

    def __init__(
        self, validate: Callable[[str], BaseModel], columns: Mapping[str, Column], known: Mapping[str, str]
    ) -> None:
        self._validate, self._columns, self._known = validate, columns, known

    def read(self, records: pa.Table) -> tuple[dict[str, pa.Array[Any]], list[str | None]]:
        """Return the columns of members, a value for each record that fits, and why a record does not fit, for each.

        Args:
            records: A table of the records' schema.
        """
        faults, froms = records["fault"].to_pylist(), records["event_time_from"].to_pylist()
        reasons = [None if fault is None or fault.startswith(_EVENT_TIME) else fault for fault in faults]
        instances = self._instances(records, reasons)
        values = {name: _values(name, column, instances, reasons) for name, column in self._columns.items()}
        for place in instances:
            if reasons[place] is None and froms[place] != "body":
                reasons[place] = faults[place] or "event_time: not usable"  # earlier versions kept no fault
        fits = pa.array([reasons[place] is None for place in instances], pa.bool_())
        return {name: array.filter(fits) for name, array in values.items()}, reasons

    def _instances(self, records: pa.Table, reasons: list[str | None]) -> dict[int, BaseModel]:
        """Return the instances of the contract by the places of their records, and note why there is none."""
        instances = {}
        bodies: list[Any] = records["body"].to_pylist()
        for place, body in enumerate(bodies):
            if reasons[place] is None:
                try:
                    instances[place] = self._instance(body, records, place)
                except (MemoryError, DeclarationError):
                    raise
                except Exception as error:  # the contract's own code may raise anything
                    reasons[place] = _reason(error)
        return instances

    def _instance(self, body: str, records: pa.Table, place: int) -> BaseModel:
        try:
            return self._validate(body)
        except ValidationError as error:
            lacking = {each["loc"] for each in error.errors() if each["type"] == "missing"}
            known = {name: records[own][place].as_py() for name, own in self._known.items() if (name,) in lacking}
            if not known:
                raise
            return self._validate(_with(body, known))


def _values(name: str, column: Column, instances: Mapping[int, BaseModel], reasons: list[str | None]) -> pa.Array[Any]:
    """Return a member of each instance, null where the column can't hold it, and note why. The first reason counts."""
    members = _members(name, instances, reasons)
    plain = column.plain(members)
    if plain is not None:
        return plain
    values: list[Any] = []
    for place, member in zip(instances, members, strict=True):
        try:
            values.append(within(column, member, name))
        except MemoryError:
            raise
        except Exception as error:  # so may a type of the contract's own
            values.append(None)
            reasons[place] = reasons[place] or _reason(error)
    return pa.array(values, column.type)


def _members(name: str, instances: Mapping[int, BaseModel], reasons: list[str | None]) -> list[Any]:
    with suppress(AttributeError):
        return list(map(attrgetter(name), instances.values()))
    for place, instance in instances.items():  # a validator has raised PydanticOmit
        if not hasattr(instance, name):
            reasons[place] = reasons[place] or f"{name}: omitted"
    return [getattr(instance, name, None) for instance in instances.values()]


def _with(body: str, members: Mapping[Any, Any]) -> str:
    """Return a JSON object with more members. The rest of the text stays, so numbers keep their digits."""
    added = json.dumps(members, default=datetime.isoformat)
    rest = body.strip().removeprefix("{").lstrip()
    return added if rest == "}" else f"{added[:-1]}, {rest}"


def _reason(error: Exception) -> str:
    """Return ``not_json``, or ``<member>: <kind of fault>`` for the first fault, without the offending value."""
    where: Sequence[int | str] = ()
    kind = type(error).__name__
    if isinstance(error, Unfit):
        where, kind = error.where, error.kind
    elif isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if fault["type"] == "json_invalid":
            return "not_json"
        where, kind = fault["loc"], fault["type"]
    return f"{'.'.join(map(str, where)) or 'body'}: {kind}"

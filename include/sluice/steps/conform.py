"""``conform``: one row per event id, in group order, each checked against the contract; the rest quarantined.

Order comes from (group, sequence number) alone (P3). Of valid copies of one id the first in sequence stays;
equal ones are duplicates, different ones are conflicts. A good copy after a malformed one is accepted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from sluice.errors import DeclarationError
from sluice.records.body import is_of_time
from sluice.records.record import CONTROL, SCHEMA

# A standard queue's sequence may hold the same number twice: then the id orders, and of its copies the time of sending.
_ORDER = itemgetter("group", "sequence_number", "event_id", "sent_at", "message_id", "receive_count")
ENVELOPE = ("event_id", "group", "sequence_number", "event_time", "sent_at")
QUARANTINE_SCHEMA = SCHEMA.append(pa.field("reason", pa.string(), nullable=False))

_ARROW_TYPES: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}
# A day inside what Python can tell: with any offset, UTC is inside it as well.
_EARLIEST, _LATEST = datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)  # noqa: DTZ901
_QUEUE_ALONE_KNOWS = {"sequence_number", "sent_at"}


@dataclass(frozen=True)
class Conformed:
    """``rows`` in group order, ``quarantined`` raw records with a ``reason`` column, and what was counted.

    A message that was landed twice is quarantined once; its copies count as ``duplicates``, like equal copies of a row.
    ``control`` counts messages of a service that hold no event.
    So rows, duplicates, rejected records and control messages add up to the records that came in.
    """

    rows: pa.Table
    quarantined: pa.Table
    duplicates: int
    rejected: Mapping[str, int]
    control: int = 0


def conform(records: pa.Table, contract: type[BaseModel]) -> Conformed:
    """Conform the raw records of one partition (any order, :data:`SCHEMA`).

    Raises:
        DeclarationError: the contract has a member of a type that has no column type, or one whose name is taken.
    """
    schema = row_schema(contract)
    kept: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    quarantined: dict[str, dict[str, Any]] = {}
    duplicates, control = 0, 0
    for record in sorted(records.to_pylist(), key=_ORDER):
        if record["fault"] == CONTROL:
            control += 1
            continue
        row, reason = _check(record, contract, schema)
        event_id, message_id, body = record["event_id"], record["message_id"], record["body"]
        if row is not None and event_id not in kept:
            kept[event_id] = body
            rows.append(row)
        elif (row is not None and kept[event_id] == body) or message_id in quarantined:
            duplicates += 1
        else:
            quarantined[message_id] = {**record, "reason": reason or "conflict"}
    rejected = list(quarantined.values())
    return Conformed(
        rows=pa.Table.from_pylist(rows, schema),
        quarantined=pa.Table.from_pylist(rejected, QUARANTINE_SCHEMA),
        duplicates=duplicates,
        rejected=dict(sorted(Counter(row["reason"] for row in rejected).items())),
        control=control,
    )


def _check(
    record: Mapping[str, Any], contract: type[BaseModel], schema: pa.Schema
) -> tuple[dict[str, Any] | None, str]:
    """The row of a record, or why there is none."""
    if record["fault"] and not is_of_time(record["fault"]):
        return None, record["fault"]
    try:
        members = contract.model_validate_json(record["body"], strict=True).model_dump()
    except ValidationError as error:
        return None, _reason(error)
    if record["event_time_from"] != "body":
        return None, record["fault"] or "event_time: not usable"  # an earlier version kept no fault
    row = {**members, **{name: record[name] for name in ENVELOPE}}
    too_large = next((name for name in schema.names if not _fits(row[name])), None)
    return (row, "") if too_large is None else (None, f"{too_large}: out of range")


def _fits(value: object) -> bool:
    """Whether a column can hold a value of the right type: one event's number must not fail its whole partition."""
    match value:
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case datetime():
            return _EARLIEST <= value.replace(tzinfo=None) <= _LATEST
    return True


def _reason(error: ValidationError) -> str:
    """``not_json``, or ``<member>: <kind of fault>`` for the first fault, without the offending value."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        return "not_json"
    where = ".".join(str(part) for part in fault["loc"]) or "body"
    return f"{where}: {fault['type']}"


def row_schema(contract: type[BaseModel]) -> pa.Schema:
    """The columns of conformed rows: the envelope, then the members of the contract that it does not hold.

    Raises:
        DeclarationError: see :func:`conform`.
    """
    taken = _QUEUE_ALONE_KNOWS & set(contract.model_fields)
    if taken:
        raise DeclarationError(
            f"contract {contract.__name__}: member {', '.join(sorted(taken))} would be lost, the queue's own is kept "
            f"under that name; rename it, with the old name as its alias"
        )
    envelope = [SCHEMA.field(name) for name in ENVELOPE]
    members = [
        pa.field(name, _arrow_type(contract, name, member.annotation))
        for name, member in contract.model_fields.items()
        if name not in ENVELOPE
    ]
    return pa.schema(envelope + members)


def _arrow_type(contract: type[BaseModel], name: str, annotation: Any) -> pa.DataType:
    if get_origin(annotation) in {Union, UnionType}:
        options = [option for option in get_args(annotation) if option is not NoneType]
        if len(options) == 1:
            return _arrow_type(contract, name, options[0])
    if get_origin(annotation) is Annotated:
        return _arrow_type(contract, name, get_args(annotation)[0])
    if get_origin(annotation) is Literal and len({type(choice) for choice in get_args(annotation)}) == 1:
        return _arrow_type(contract, name, type(get_args(annotation)[0]))
    if annotation not in _ARROW_TYPES:
        raise DeclarationError(
            f"contract {contract.__name__}: member {name!r} is {annotation}; a column can be str, int, float, bool, "
            f"datetime, a Literal of values of one of these, or any of them or None"
        )
    return _ARROW_TYPES[annotation]

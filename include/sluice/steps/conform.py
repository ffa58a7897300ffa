"""``conform``: one row per event id, in group order, each checked against the contract; the rest quarantined.

Order comes from (group, sequence number) alone (P3). Of valid copies of one id the first in sequence stays;
equal ones are duplicates, different ones are conflicts. A good copy after a malformed one is accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from sluice.errors import DeclarationError
from sluice.landing.records import SCHEMA

_ORDER = itemgetter("group", "sequence_number", "receive_count")
ENVELOPE = ("event_id", "group", "sequence_number", "event_time", "sent_at")
QUARANTINE_SCHEMA = SCHEMA.append(pa.field("reason", pa.string(), nullable=False))

_ARROW_TYPES: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Conformed:
    """``rows`` in group order, ``quarantined`` raw records with a ``reason`` column, and what was counted."""

    rows: pa.Table
    quarantined: pa.Table
    duplicates: int
    rejected: Mapping[str, int]


def conform(records: pa.Table, contract: type[BaseModel]) -> Conformed:
    """Conform the raw records of one partition (any order, :data:`SCHEMA`).

    Raises:
        DeclarationError: the contract has a member of a type that has no column type.
    """
    schema = row_schema(contract)
    kept: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    quarantined: list[dict[str, Any]] = []
    duplicates = 0
    for record in sorted(records.to_pylist(), key=_ORDER):
        event, reason = _check(record, contract)
        if event is None:
            quarantined.append({**record, "reason": reason})
        elif record["event_id"] not in kept:
            kept[record["event_id"]] = record["body"]
            rows.append({**event.model_dump(), **{name: record[name] for name in ENVELOPE}})
        elif kept[record["event_id"]] == record["body"]:
            duplicates += 1
        else:
            quarantined.append({**record, "reason": "conflict"})
    # A message that was landed twice is quarantined once.
    rejected = list({row["message_id"]: row for row in quarantined}.values())
    return Conformed(
        rows=pa.Table.from_pylist(rows, schema),
        quarantined=pa.Table.from_pylist(rejected, QUARANTINE_SCHEMA),
        duplicates=duplicates,
        rejected=dict(sorted(Counter(row["reason"] for row in rejected).items())),
    )


def _check(record: Mapping[str, Any], contract: type[BaseModel]) -> tuple[BaseModel | None, str]:
    try:
        event = contract.model_validate_json(record["body"], strict=True)
    except ValidationError as error:
        return None, _reason(error)
    if record["event_time_from"] != "body":
        return None, "event_time: not usable"
    return event, ""


def _reason(error: ValidationError) -> str:
    """``not_json``, or ``<member>: <kind of fault>`` for the first fault, without the offending value."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        return "not_json"
    where = ".".join(str(part) for part in fault["loc"]) or "body"
    return f"{where}: {fault['type']}"


def row_schema(contract: type[BaseModel]) -> pa.Schema:
    """The columns of conformed rows: the envelope, then the members of the contract that it does not hold."""
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
    if get_origin(annotation) is Literal:
        return _arrow_type(contract, name, type(get_args(annotation)[0]))
    if annotation not in _ARROW_TYPES:
        raise DeclarationError(
            f"contract {contract.__name__}: member {name!r} is {annotation}; a column can be str, int, float, bool, "
            f"datetime, a Literal of one of these, or any of them or None"
        )
    return _ARROW_TYPES[annotation]

"""The contract accepts what the producer sends and refuses what is invalid, with a reason that names the member."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.draining import record_from_sqs
from tests.pipelines.flights.flight_days import events_from, raw_message
from tests.sluice.lake_contents import read_parts

from pipelines.flights.contracts import FlightEvent
from pipelines.flights.pipeline import PIPELINE
from sluice.contracts.reading import Contract
from sluice.declaration.sources import FifoQueue
from sluice.records.record import part_bytes

GOOD = {
    "id": "UA-1545-EWR-20130101-departed",
    "group": "N14228",
    "type": "departed",
    "event_time": "2013-01-01T05:17:00-05:00",
    "carrier": "UA",
    "flight": 1545,
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "distance": 1400,
    "sched_dep": "2013-01-01T10:15:00Z",
    "sched_arr": "2013-01-01T14:19:00+00:00",
    "dep_delay": 2,
}


def read(body: dict[str, Any]) -> FlightEvent:
    return FlightEvent.model_validate_json(json.dumps(body), strict=True)


def test_valid_body_is_read_with_its_types() -> None:
    event = read(GOOD)

    assert event.event_time.isoformat() == "2013-01-01T05:17:00-05:00"
    assert event.sched_arr.isoformat() == "2013-01-01T14:19:00+00:00"
    assert (event.flight, event.dep_delay, event.arr_delay) == (1545, 2, None)


def test_events_of_the_producer_are_accepted() -> None:
    events = events_from(date(2013, 2, 8), 1)

    read_events = [FlightEvent.model_validate_json(event.body, strict=True) for event in events]

    assert {event.type for event in read_events} == {"scheduled", "departed", "arrived", "cancelled", "diverted"}
    assert [event.id for event in read_events] == [event.id for event in events]
    assert any(event.tailnum is None and event.group.startswith("UNK-") for event in read_events)


@pytest.mark.parametrize("member", [name for name in GOOD if name != "dep_delay"])
def test_missing_member_is_refused(member: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        read({name: value for name, value in GOOD.items() if name != member})

    assert [(fault["loc"], fault["type"]) for fault in refusal.value.errors()] == [((member,), "missing")]


@pytest.mark.parametrize(
    ("change", "where", "kind"),
    [
        ({"flight": "1545"}, ("flight",), "int_type"),
        ({"flight": 1545.5}, ("flight",), "int_type"),
        ({"flight": True}, ("flight",), "int_type"),
        ({"flight": 0}, ("flight",), "greater_than"),
        ({"flight": 10**30}, ("flight",), "less_than_equal"),
        ({"distance": 2**63}, ("distance",), "less_than_equal"),
        ({"distance": None}, ("distance",), "int_type"),
        ({"distance": -1}, ("distance",), "greater_than"),
        ({"tailnum": 14228}, ("tailnum",), "string_type"),
        ({"id": ""}, ("id",), "string_too_short"),
        ({"group": ""}, ("group",), "string_too_short"),
        ({"type": "landed"}, ("type",), "literal_error"),
        ({"carrier": "United"}, ("carrier",), "string_pattern_mismatch"),
        ({"origin": "Newark"}, ("origin",), "string_pattern_mismatch"),
        ({"dest": "iah"}, ("dest",), "string_pattern_mismatch"),
        ({"event_time": "yesterday"}, ("event_time",), "datetime_parsing"),
        ({"event_time": "2013-01-01T10:17:00"}, ("event_time",), "offset_missing"),
        ({"sched_dep": "2013-01-01T10:15:00"}, ("sched_dep",), "offset_missing"),
        ({"sched_arr": 1357049940}, ("sched_arr",), "datetime_type"),
        ({"dep_delay": "2"}, ("dep_delay",), "int_type"),
        ({"dep_delay": 10**30}, ("dep_delay",), "less_than_equal"),
        ({"dep_delay": -(10**30)}, ("dep_delay",), "greater_than_equal"),
        ({"dep_delay": None}, (), "dep_delay_missing"),
        ({"arr_delay": 11}, (), "arr_delay_unexpected"),
        ({"type": "arrived"}, (), "dep_delay_unexpected"),
        ({"type": "cancelled"}, (), "dep_delay_unexpected"),
        ({"gate": "C12"}, ("gate",), "extra_forbidden"),
    ],
)
def test_invalid_member_is_refused(change: dict[str, Any], where: tuple[str, ...], kind: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        read({**GOOD, **change})

    assert [(fault["loc"], fault["type"]) for fault in refusal.value.errors()] == [(where, kind)]


@pytest.mark.parametrize("body", ["", "{", "not JSON", '{"id": "x",}', "[]", "null", '"text"'])
def test_body_that_is_no_object_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        FlightEvent.model_validate_json(body, strict=True)


# What one event in ten has in the place of a member.
FAULTS: list[dict[str, Any]] = [
    {"type": "departed", "dep_delay": None},
    {"type": "scheduled", "dep_delay": 3},
    {"type": "arrived", "dep_delay": None, "arr_delay": None},
    {"type": "arrived", "arr_delay": 10_081},
    {"sched_dep": "2013-02-08T10:15:00"},
    {"sched_arr": "2013-02-08T10:15:00+01:00"},
    {"sched_arr": "2013-02-08 10:15:00Z"},
    {"origin": "JFKX"},
    {"other": 1},
]


def test_events_and_faulty_ones_are_read_in_blocks_as_alone() -> None:
    sent = []
    for place, event in enumerate(events_from(date(2013, 2, 8), 1)):
        fault = FAULTS[place // 10 % len(FAULTS)] if place % 10 == 0 else {}
        sent.append(replace(event, body=json.dumps(json.loads(event.body) | fault)))
    (source,) = PIPELINE.event_sources
    assert isinstance(source, FifoQueue)
    landed = [record_from_sqs(raw_message(event, place), source) for place, event in enumerate(sent, 1)]
    records, contract = read_parts([part_bytes(landed)[1]]), Contract(FlightEvent)

    found = contract.read(records)

    alone = [contract.read(records.slice(place, 1)) for place in range(records.num_rows)]
    assert found.rows.equals(pa.concat_tables(each.rows for each in alone))
    assert found.reasons.to_pylist() == [each.reasons[0].as_py() for each in alone]
    assert {
        "body: dep_delay_missing",
        "body: dep_delay_unexpected",
        "body: arr_delay_missing",
        "arr_delay: less_than_equal",
        "other: extra_forbidden",
        "origin: string_pattern_mismatch",
        "sched_dep: not_a_time",
    } <= set(found.reasons.to_pylist())

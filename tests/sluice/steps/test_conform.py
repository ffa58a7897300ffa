"""``conform``: every event counts exactly once, in order, however often and wherever it arrived (P2, P3, P6)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.draining import record_from_sqs
from tests.sluice.lake_contents import read_parts
from tests.sluice.toy import EVENTS, message, reading

from sluice.contracts.reading import Contract
from sluice.records.record import CONTROL, SCHEMA, part_bytes
from sluice.steps.conform import Conformed, accept, conform
from sluice.steps.frames import parquet_bytes

AT = "2013-06-01T12:00:00+00:00"


class Reading(BaseModel):
    id: str
    at: datetime
    value: int
    weight: float | None = None
    seen: datetime | None = None


CONTRACT = Contract(Reading)


def conformed(*messages: dict[str, Any], contract: type[BaseModel] = Reading) -> Conformed:
    """Return the messages, landed in one part, conformed."""
    return conform(landed([messages]), Contract(contract))


def landed(parts: Sequence[Sequence[dict[str, Any]]]) -> pa.Table:
    return read_parts([part_bytes([record_from_sqs(each, EVENTS) for each in part])[1] for part in parts if part])


def quarantined(result: Conformed) -> list[tuple[str, str]]:
    return [(row["message_id"], row["reason"]) for row in result.quarantined.to_pylist()]


# One message: which event it is of, in which of two contents or malformed, and how often it was landed.
@dataclass(frozen=True)
class Sent:
    event: int
    content: Literal["first", "second", "malformed"]
    copies: int

    @property
    def group(self) -> str:
        return f"g{self.event % 3}"

    def body(self) -> str:
        name = f"event-{self.event}"
        return reading(name, AT, "nine" if self.content == "malformed" else len(self.content))


SENT = st.lists(
    st.builds(Sent, st.integers(0, 5), st.sampled_from(["first", "first", "second", "malformed"]), st.integers(1, 3)),
    max_size=14,
)


def deliveries(sent: Sequence[Sent]) -> list[dict[str, Any]]:
    """Return each message as often as it was landed; its place on the queue is its place in ``sent``."""
    return [
        message(each.body(), place, group=each.group, receive_count=count)
        for place, each in enumerate(sent, 1)
        for count in range(1, each.copies + 1)
    ]


@given(SENT, st.data())
def test_every_event_counts_once_and_the_first_content_wins(sent: list[Sent], data: st.DataObject) -> None:
    """The specification, message by message, beside what conform makes of them in any arrival order."""
    arrived = data.draw(st.permutations(deliveries(sent)))

    result = conform(landed([arrived[n::3] for n in range(3)]), CONTRACT)

    first_valid: dict[int, int] = {}
    for place, each in enumerate(sent, 1):
        if each.content != "malformed":
            first_valid.setdefault(each.event, place)
    winners = {event: sent[place - 1] for event, place in first_valid.items()}
    rejects = {
        f"message-{place}"
        for place, each in enumerate(sent, 1)
        if each.content == "malformed" or each.content != winners[each.event].content
    }
    rows = result.rows.to_pylist()
    assert {int(row["sequence_number"]) for row in rows} == set(first_valid.values())
    assert {row["event_id"]: row["value"] for row in rows} == {
        f"event-{event}": len(winner.content) for event, winner in winners.items()
    }
    assert sorted(message_id for message_id, _ in quarantined(result)) == sorted(rejects)
    assert len(rows) + result.duplicates + sum(result.rejected.values()) == sum(each.copies for each in sent)


@given(SENT)
def test_rows_of_a_group_are_in_the_order_in_which_they_were_sent(sent: list[Sent]) -> None:
    """P3, and the rows of a group are adjacent."""
    arrived = deliveries(sent)[::-1]

    rows = conform(landed([arrived[n::3] for n in range(3)]), CONTRACT).rows.to_pylist()

    by_group: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_group[row["group"]].append(int(row["sequence_number"]))
    assert all(places == sorted(places) for places in by_group.values())
    assert [row["group"] for row in rows] == sorted(row["group"] for row in rows)


@given(SENT, st.data())
def test_bytes_do_not_depend_on_how_records_were_split_into_parts(sent: list[Sent], data: st.DataObject) -> None:
    """P4: rows and quarantine are the same for any division of any order."""
    arrived = data.draw(st.permutations(deliveries(sent)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arrived)), max_size=4)))
    parts = [arrived[start:end] for start, end in zip([0, *cuts], [*cuts, len(arrived)], strict=True)]

    one, other = conform(landed([deliveries(sent)]), CONTRACT), conform(landed(parts), CONTRACT)

    assert parquet_bytes(one.rows) == parquet_bytes(other.rows)
    assert parquet_bytes(one.quarantined) == parquet_bytes(other.quarantined)
    assert (one.duplicates, one.rejected) == (other.duplicates, other.rejected)


@given(st.lists(SENT, min_size=1, max_size=4), st.data())
def test_partitions_that_are_read_at_once_are_as_each_by_itself(parts: list[list[Sent]], data: st.DataObject) -> None:
    """The same ids and groups are in several of them, some with a message that holds no event, some with nothing."""
    records = []
    for sent in parts:
        arrived = data.draw(st.permutations(deliveries(sent)))
        faults = [CONTROL if data.draw(st.integers(0, 9)) == 0 else None for _ in arrived]
        table = pa.concat_tables([SCHEMA.empty_table(), landed([arrived])] if arrived else [SCHEMA.empty_table()])
        fault = table.schema.get_field_index("fault")
        records.append(table.set_column(fault, SCHEMA.field("fault"), pa.array(faults, pa.string())))

    together = [each.conformed() for each in accept(records, CONTRACT)]

    assert together == [conform(each, CONTRACT) for each in records]


def test_good_copy_after_a_malformed_one_is_accepted() -> None:
    result = conformed(message(reading("r", AT, "nine"), 1), message(reading("r", AT, 9), 2))

    assert [row["value"] for row in result.rows.to_pylist()] == [9]
    assert quarantined(result) == [("message-1", "value: int_type")]


def test_quarantined_record_is_kept_verbatim() -> None:
    body = '{"id": "r", "at": "' + AT + '",   "value": "nine"}'

    (row,) = conformed(message(body, 5, group="g1")).quarantined.to_pylist()

    assert (row["body"], row["group"], int(row["sequence_number"])) == (body, "g1", 5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "not_json"),
        ("", "not_json"),
        ('{"id": "\\ud800", "at": "' + AT + '", "value": 1}', "not_json"),
        ('{"id": "r", "at": "' + AT + '", "value": ' + "9" * 5000 + "}", "not_json"),
        ("[" * 50_000, "not_json"),
        ("[]", "body: model_type"),
        (reading("r", AT, None), "value: int_type"),
        (reading("r", AT, 1.0), "value: int_type"),
        (reading("r", AT, True), "value: int_type"),
        ('{"id": "r", "at": "' + AT + '"}', "value: missing"),
        ('{"id": 17, "at": "' + AT + '", "value": 1}', "id: string_type"),
        (reading("r", "2013-06-01T12:00:00", 1), "at: not_a_time"),
        (reading("r", "2015-06-01T12:00:00+00:00", 1), "event_time: out of range"),
        # What is of the right type, and more than a column can hold, must not fail the partition.
        (reading("r", AT, 2**63), "value: out of range"),
        (reading("r", AT, -(2**63) - 1), "value: out of range"),
        (reading("r", AT, 10**400), "value: out of range"),
        (reading("r", AT, 1, weight=float("nan")), "weight: out of range"),
        (reading("r", AT, 1, weight=float("inf")), "weight: out of range"),
        (reading("r", AT, 1, weight=10**400), "weight: out of range"),
        (reading("r", AT, 1).replace("}", ', "weight": 1e999}'), "weight: out of range"),
        (reading("r", AT, 1, seen="0001-01-01T00:00:00+14:00"), "seen: out of range"),
        (reading("r", AT, 1, seen="9999-12-31T23:59:59-14:00"), "seen: out of range"),
    ],
)
def test_invalid_event_is_quarantined_with_its_reason_and_blocks_no_other(body: str, reason: str) -> None:
    """P6."""
    result = conformed(message(body, 1), message(reading("good", AT, 5), 2))

    assert quarantined(result) == [("message-1", reason)]
    assert result.rejected == {reason: 1}
    assert [row["event_id"] for row in result.rows.to_pylist()] == ["good"]


def test_ends_of_every_range_are_accepted() -> None:
    bodies = [
        reading("a", AT, 2**63 - 1, weight=1.7e308),
        reading("b", AT, -(2**63), weight=-5e-324),
        reading("c", AT, 0, weight=7, seen="2013-06-01T12:00:00.123456-04:00"),
    ]

    result = conformed(*(message(body, place) for place, body in enumerate(bodies, 1)))

    assert [row["value"] for row in result.rows.to_pylist()] == [2**63 - 1, -(2**63), 0]
    assert [row["weight"] for row in result.rows.to_pylist()] == [1.7e308, -5e-324, 7.0]
    assert result.rows.to_pylist()[2]["seen"] == datetime(2013, 6, 1, 16, 0, 0, 123456, tzinfo=UTC)


def test_envelope_takes_precedence_over_a_member_of_its_name() -> None:
    class Grouped(BaseModel):
        id: str
        group: str
        value: int

    (row,) = conformed(
        message(reading("r", AT, 1, group="Zürich HB"), group="Z%C3%BCrich%20HB"), contract=Grouped
    ).rows.to_pylist()

    assert row["group"] == "Z%C3%BCrich%20HB"


SPELLINGS = [
    reading("r", AT, 1, weight=2),
    json.dumps({"weight": 2.0, "value": 1, "at": "2013-06-01T14:00:00+02:00", "id": "r"}),
    '{ "id":"r",\n "at": "2013-06-01 12:00:00z", "value":1, "weight":20e-1, "attempt": 5 }\n',
]


@pytest.mark.parametrize("order", permutations(range(3)))
def test_rows_that_are_equal_as_conformed_are_duplicates(order: tuple[int, ...]) -> None:
    """Neither key order, blanks, spellings of numbers and times, nor a member outside the contract make a conflict."""
    result = conformed(*(message(SPELLINGS[n], place) for place, n in enumerate(order, 1)))

    assert (result.rows.num_rows, result.duplicates, result.rejected) == (1, 2, {})


@pytest.mark.parametrize(
    "other",
    [
        reading("r", AT, 2, weight=2),
        reading("r", AT, 1, weight=2.0000000000000004),
        reading("r", AT, 1),
        reading("r", "2013-06-01T12:00:00.000001Z", 1, weight=2),
    ],
)
def test_other_row_under_the_same_id_is_a_conflict(other: str) -> None:
    result = conformed(message(SPELLINGS[0], 1), message(other, 2))

    assert (result.rows.num_rows, result.duplicates) == (1, 0)
    assert quarantined(result) == [("message-2", "conflict")]


@given(st.sets(st.integers(0, 149), max_size=6))
def test_few_conflicts_are_found_among_many_duplicates(different: set[int]) -> None:
    bodies = [reading(f"r{n}", AT, n) for n in range(150)]
    copies = [reading(f"r{n}", AT, n + (n in different)) for n in range(150)]

    result = conformed(*(message(body, place) for place, body in enumerate([*bodies, *copies], 1)))

    assert (result.rows.num_rows, result.duplicates) == (150, 150 - len(different))
    assert [message_id for message_id, _ in quarantined(result)] == [f"message-{n + 151}" for n in sorted(different)]


def test_same_event_in_another_group_is_a_duplicate_unless_the_contract_has_the_group() -> None:
    """A partition key may be random, so a copy may come in any group."""

    class Grouped(Reading):
        group: str

    body = reading("r", AT, 1, group="g")
    copies = [message(body, place, group=f"g{place}") for place in (1, 2)]

    assert conformed(*copies).duplicates == 1
    assert conformed(*copies, contract=Grouped).rejected == {"conflict": 1}


def test_message_of_a_service_is_neither_row_nor_reject_and_is_counted() -> None:
    event, other = (record_from_sqs(message(reading(f"r{n}", AT, n), n), EVENTS) for n in (1, 2))
    records = read_parts([part_bytes([event, other._replace(body="x", fault=CONTROL)])[1]])

    result = conform(records, CONTRACT)

    assert (result.rows.num_rows, result.quarantined.num_rows, result.control) == (1, 0, 1)


@pytest.mark.parametrize(
    ("fault", "value", "reason"),
    [
        ("envelope: gzip", 1, "envelope: gzip"),
        ("envelope: gzip", "nine", "envelope: gzip"),
        ("event_time: out of range", "nine", "value: int_type"),
        ("event_time: out of range", 1, "event_time: out of range"),
        (None, 1, "event_time: not usable"),
    ],
)
def test_fault_of_landing_is_the_reason_and_that_of_the_time_comes_last(
    fault: str | None, value: Any, reason: str
) -> None:
    record = record_from_sqs(message(reading("r", AT, value)), EVENTS)._replace(event_time_from="sent", fault=fault)

    result = conform(read_parts([part_bytes([record])[1]]), CONTRACT)

    assert result.rejected == {reason: 1}


def test_events_of_one_message_are_quarantined_each() -> None:
    record = record_from_sqs(message("x"), EVENTS)
    records = [record._replace(sequence_number=f"{n:020}", event_id=f"r{n}") for n in (1, 2)]

    assert conform(read_parts([part_bytes(records)[1]]), CONTRACT).rejected == {"not_json": 2}

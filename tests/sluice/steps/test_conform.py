"""``conform``: every event counts exactly once, in order, however often and wherever it arrived (P2, P3, P6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from tests.draining import record_from_sqs
from tests.sluice.toy import EVENTS, message, reading

from sluice.errors import DeclarationError
from sluice.records.record import SCHEMA, part_bytes, read_parts
from sluice.steps.conform import ENVELOPE, Conformed, conform, row_schema
from sluice.steps.frames import parquet_bytes

AT = "2013-06-01T12:00:00+00:00"


class Reading(BaseModel):
    id: str
    at: datetime
    value: int
    weight: float | None = None
    seen: datetime | None = None


def conformed(*messages: dict[str, Any], contract: type[BaseModel] = Reading) -> Conformed:
    """Return the messages, landed in one part, conformed."""
    return conform(landed([messages]), contract)


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

    result = conform(landed([arrived[n::3] for n in range(3)]), Reading)

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

    rows = conform(landed([arrived[n::3] for n in range(3)]), Reading).rows.to_pylist()

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

    one, other = conform(landed([deliveries(sent)]), Reading), conform(landed(parts), Reading)

    assert parquet_bytes(one.rows) == parquet_bytes(other.rows)
    assert parquet_bytes(one.quarantined) == parquet_bytes(other.quarantined)
    assert (one.duplicates, one.rejected) == (other.duplicates, other.rejected)


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
        (reading("r", "2013-06-01T12:00:00", 1), "event_time: not_a_time"),
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


@pytest.mark.parametrize("name", ["sent_at", "sequence_number"])
def test_member_that_the_queue_would_overwrite_is_refused(name: str) -> None:
    contract = type("Clashing", (BaseModel,), {"__annotations__": {"id": str, name: str}})

    with pytest.raises(DeclarationError, match=f"member {name} would be lost"):
        conformed(message(reading("r", AT, 1)), contract=contract)


def test_columns_have_their_types_for_any_rows() -> None:
    class Typed(BaseModel):
        text: Annotated[str, Field(min_length=1)]
        whole: Annotated[int, Field(gt=0)] | None
        real: float | None
        true: bool
        time: datetime
        choice: Literal["a", "b"]
        number: Literal[1, 2] | None

    expected = {
        "text": pa.string(),
        "whole": pa.int64(),
        "real": pa.float64(),
        "true": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "choice": pa.string(),
        "number": pa.int64(),
    }

    schema = row_schema(Typed)

    assert {name: schema.field(name).type for name in expected} == expected
    assert schema.names == [*ENVELOPE, *expected]
    assert conform(SCHEMA.empty_table(), Typed).rows.schema == schema


class _Listed(BaseModel):
    tags: list[str]


class _Either(BaseModel):
    value: int | str


class _Mixed(BaseModel):
    value: Literal["a", 1]


@pytest.mark.parametrize("contract", [_Listed, _Either, _Mixed])
def test_member_without_a_column_type_is_refused(contract: type[BaseModel]) -> None:
    with pytest.raises(DeclarationError, match=rf"contract {contract.__name__}: member '\w+' is .*a column can be str"):
        row_schema(contract)

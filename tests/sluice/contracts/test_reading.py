"""What a contract makes of bodies: exact values in their columns, and one reason for each body that does not fit."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, create_model, field_validator, model_validator
from pydantic_core import PydanticOmit
from tests.draining import record_from_sqs
from tests.sluice.contracts.one_by_one import landed
from tests.sluice.lake_contents import read_parts
from tests.sluice.toy import EVENTS, message

from sluice.contracts.reading import Contract, Read
from sluice.errors import DeclarationError
from sluice.records.record import Record, part_bytes
from sluice.records.times import TimeFault, parse_time

AT = "2013-06-01T12:00:00Z"
MONEY = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
RATE = Annotated[Decimal, Field(max_digits=38, decimal_places=19)]


class Colour(Enum):
    RED = "red"


class Load(BaseModel):
    weight: float


class Base(BaseModel):
    id: str
    at: datetime


def record(body: str, group: str = "g") -> Record:
    return record_from_sqs(message(body, group=group), EVENTS)


def read(contract: type[BaseModel] | Contract, body: str, **options: Any) -> Read:
    ready = contract if isinstance(contract, Contract) else Contract(contract, **options)
    return ready.read(read_parts([part_bytes([record(body)])[1]]))


def with_member(annotation: Any) -> type[BaseModel]:
    return create_model("Event", __base__=Base, member=(annotation, ...))


def event(member: str) -> str:
    """Return a body whose ``member`` is the JSON text."""
    return f'{{"id": "r", "at": "{AT}", "member": {member}}}'


def value(annotation: Any, member: str, **options: Any) -> Any:
    """Return what is read of a member that fits."""
    found = read(with_member(annotation), event(member), **options)
    assert found.reasons.to_pylist() == [None]
    return found.rows["member"].to_pylist()[0]


def reason(annotation: Any, member: str, **options: Any) -> str | None:
    """Return why a member does not fit."""
    found = read(with_member(annotation), event(member), **options)
    assert found.rows.num_rows == 0
    return str(found.reasons[0])


@pytest.mark.parametrize(
    ("annotation", "member", "expected"),
    [
        (int, "9007199254740993", 2**53 + 1),
        (int, str(-(2**63)), -(2**63)),
        (MONEY, "1234567890.12", Decimal("1234567890.12")),
        (MONEY, '"0.10"', Decimal("0.10")),
        (MONEY, "1e2", Decimal("100.00")),
        (RATE, "0.1234567890123456789", Decimal("0.1234567890123456789")),
        (RATE | None, "null", None),
        (dict[str, RATE], '{"a": 0.1234567890123456789}', [("a", Decimal("0.1234567890123456789"))]),
        (int | str, "12345678901234567890", "12345678901234567890"),
        (int | str, '"007"', "007"),
        (float | str, "1", "1"),
        (float | str, "1.0", "1"),
        (float | str, "0.1234567890123456789", "0.1234567890123456789"),
        (float | str, "2.5e-3", "0.0025"),
        (MONEY | str, "0.50", "0.5"),
        (date, '"2021-06-30"', date(2021, 6, 30)),
        (time, '"10:00:00.25"', time(10, 0, 0, 250_000)),
        (UUID, '"6F1E0000-0000-4000-8000-000000000001"', "6f1e0000-0000-4000-8000-000000000001"),
        (Colour, '"red"', "red"),
        (bytes, '"é"', "é".encode()),
        (Load, '{"weight": 1, "more": 2}', {"weight": 1.0}),
        (list[Load], "[]", []),
        (dict[str, int], '{"b": 1, "a": 2}', [("a", 2), ("b", 1)]),
        (AwareDatetime, '"2021-05-04 10:00:00+02"', datetime(2021, 5, 4, 8, tzinfo=UTC)),
        (list[datetime], '["0001-01-01T00:00:00Z"]', [datetime(1, 1, 1, tzinfo=UTC)]),
        (datetime, '"9999-12-31T23:59:59.9999999Z"', datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_value_is_exact(annotation: Any, member: str, expected: Any) -> None:
    assert value(annotation, member) == expected


@pytest.mark.parametrize(
    ("annotation", "member", "expected"),
    [
        (Load, "{}", "member.weight: missing"),
        (list[Load], '[{"weight": 1}, {}]', "member.1.weight: missing"),
        (dict[str, Load], '{"a": {"weight": "x"}}', "member.a.weight: float_type"),
        (list[Load], '[{"weight": 1e999}]', "member.0.weight: out of range"),
        (dict[str, int], f'{{"a": {2**63}}}', "member.a: out of range"),
        (MONEY, "0.125", "member: decimal_max_places"),
        (MONEY, "1.000000000000000000001", "member: decimal_max_digits"),
        (MONEY, "true", "member: decimal_type"),
        (MONEY, '"x"', "member: decimal_parsing"),
        (MONEY, "12345678901", "member: decimal_whole_digits"),
        (int | str, "1.5", "member: number_or_text"),
        (float | str, "true", "member: number_or_text"),
        (MONEY | str, "1e99999", "member: number_or_text"),
        (date, '"2021-06-31"', "member: date_parsing"),
        (time, '"10:00:00+02:00"', "member: time_with_offset"),
        (Colour, '"blue"', "member: enum"),
        (datetime, '"2021-05-04T10:00:00"', "member: not_a_time"),
        (datetime, "1620122400", "member: not_a_time"),
        (list[datetime], '["0001-01-01T00:00:00+14:00"]', "member.0: out of range"),
    ],
)
def test_reason_names_the_nested_member(annotation: Any, member: str, expected: str) -> None:
    assert reason(annotation, member) == expected


def test_number_is_no_text_in_a_contract_of_exact_numbers() -> None:
    class Both(Base):
        money: MONEY
        name: str
        raw: bytes = b""
        real: float = 0.0

    body = {"id": "r", "at": AT, "money": 1.5, "name": "n"}

    assert read(Both, json.dumps(body | {"name": 1.5})).reasons.to_pylist() == ["name: string_type"]
    assert read(Both, json.dumps(body | {"raw": 1.5})).reasons.to_pylist() == ["raw: bytes_type"]
    assert read(Both, json.dumps(body | {"real": "1.5"})).reasons.to_pylist() == ["real: float_type"]
    assert read(Both, json.dumps(body | {"real": 1.5})).rows["real"].to_pylist() == [1.5]


def test_validator_of_the_contract_sees_numbers_in_a_contract_of_exact_numbers() -> None:
    class Doubled(Base):
        money: MONEY
        real: float
        rate: RATE

        @field_validator("real", "rate", mode="before")
        @classmethod
        def _positive(cls, number: float) -> float:
            assert number > 0
            return number

    text = f'{{"id": "r", "at": "{AT}", "money": 1, "real": 0.5, "rate": 0.1234567890123456789}}'

    (row,) = read(Doubled, text).rows.to_pylist()

    assert (row["real"], row["rate"]) == (0.5, Decimal("0.1234567890123456789"))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AttributeError, RecursionError])
def test_validator_that_raises_anything_quarantines_its_event_alone(error: type[Exception]) -> None:
    class Broken(Base):
        value: int

        @field_validator("value")
        @classmethod
        def _check(cls, value: int) -> int:
            if value == 0:
                raise error
            return value

    records = [record(json.dumps({"id": f"r{n}", "at": AT, "value": n})) for n in (0, 1)]
    found = Contract(Broken).read(read_parts([part_bytes([each])[1] for each in records]))

    assert found.reasons.to_pylist() == [f"body: {error.__name__}", None]
    assert found.rows["value"].to_pylist() == [1]


@pytest.mark.parametrize("body", ['{"id": "r", "at": "%s"}', " { } ", '{"at": "%s", "n": 0.1234567890123456789}'])
def test_member_that_the_record_knows_may_be_absent_from_the_body(body: str) -> None:
    """Who sends a group beside the body need not repeat it, and validators see it."""

    class Grouped(BaseModel):
        group: Annotated[str, Field(pattern='^g"1$')]
        event_id: str
        event_time: datetime
        n: RATE = Decimal(0)

    body = body.replace("%s", AT)
    whole = record(body, group='g"1')._replace(event_time_from="body", fault=None)

    found = Contract(Grouped).read(read_parts([part_bytes([whole])[1]]))

    assert found.reasons.to_pylist() == [None]
    (row,) = found.rows.to_pylist()
    assert row["group"] == 'g"1'
    assert row["n"] == Decimal(json.loads(body, parse_float=str).get("n", 0))


def test_group_of_a_wrong_type_in_the_body_is_still_a_fault() -> None:
    class Grouped(Base):
        group: str

    assert read(Grouped, json.dumps({"id": "r", "at": AT, "group": 5})).reasons.to_pylist() == ["group: string_type"]
    assert read(Grouped, json.dumps({"id": "r", "at": AT})).rows["group"].to_pylist() == ["g"]
    assert read(Grouped, json.dumps({"id": 5, "at": AT})).reasons.to_pylist() == ["id: string_type"]


TIMES = (
    st.datetimes().map(datetime.isoformat)
    | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
    | st.from_regex(r"\A\d{4}-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,9})?([Zz]|[+-]\d\d(:?\d\d)?)?\Z")
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.integers().map(str)
    | st.none()
    | st.booleans()
)


READERS = {
    (unit, zone): Contract(with_member(datetime), unit, zone)
    for unit in (None, "s", "ms", "us", "ns")
    for zone in (None, "Europe/Berlin")
}


@given(TIMES, st.sampled_from(list(READERS)))
def test_contract_and_landing_accept_the_same_times(time: Any, declared: tuple[str | None, str | None]) -> None:
    text = json.dumps(time)
    found = read(READERS[declared], event(text))
    try:
        expected: Any = [parse_time(json.loads(text), *declared)]
    except TimeFault as fault:
        expected = f"member: {fault}"

    assert (found.reasons[0].as_py() or found.rows["member"].to_pylist()) == expected


@pytest.mark.parametrize("bodies", [1, 100])
def test_member_that_a_validator_omits_is_the_reason(bodies: int) -> None:
    """GIVEN bodies that are read one by one, or in a block, of which the last has what the validator omits."""

    class Omitting(Base):
        weight: int

        @field_validator("weight")
        @classmethod
        def omit_nothing(cls, weight: int) -> int:
            if weight == 0:
                raise PydanticOmit
            return weight

    texts = [json.dumps({"id": "r", "at": AT, "weight": n}) for n in range(bodies - 1, -1, -1)]

    found = Contract(Omitting).read(landed(texts))

    assert found.reasons.to_pylist() == [None] * (bodies - 1) + ["weight: omitted"]
    assert found.rows["weight"].to_pylist() == list(range(bodies - 1, 0, -1))


@pytest.mark.parametrize("bodies", [1, 100])
def test_validator_that_returns_no_model_is_an_error_of_the_declaration(bodies: int) -> None:
    class Forgetful(Base):
        @model_validator(mode="after")
        def check(self) -> Any:
            return None if self.id == "r-0" else self

    texts = [json.dumps({"id": f"r-{n}", "at": AT}) for n in range(bodies)]

    with pytest.raises(DeclarationError, match=r"Forgetful: a validator of the model returns NoneType .* return self"):
        Contract(Forgetful).read(landed(texts))

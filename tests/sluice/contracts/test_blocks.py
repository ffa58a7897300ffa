"""Bodies that are read in blocks give the rows and the reasons that pydantic gives them one by one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)
from tests.sluice.contracts.one_by_one import assert_read_as_one_by_one, landed

from sluice.contracts.alike import split_alike
from sluice.contracts.flat import as_flat
from sluice.contracts.letters import letters_of
from sluice.contracts.reading import Contract

pytestmark = pytest.mark.usefixtures("blocks_of_any_size")


class Flat(BaseModel):
    id: str
    at: AwareDatetime
    group: str
    kind: Literal["a", "b"]
    note: Annotated[str, Field(min_length=2, max_length=3)]
    code: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None
    count: Annotated[int, Field(ge=-5, lt=2**53 + 1)]
    real: float = 0.5
    share: Annotated[float, Field(gt=0)] | None = None
    good: bool | None = None
    seen: datetime | None = None


class Strict(Flat):
    model_config = ConfigDict(extra="forbid", frozen=True)


AT = "2013-06-01T12:00:00Z"
GOOD = {"id": "r", "at": AT, "group": "g", "kind": "a", "note": "n1", "code": "AB", "count": 1, "real": 1.5}
TIMES = [AT, "2013-06-01T12:00:00.25+02:00", "2013-06-01 12:00:00Z", "2013-02-30T12:00:00Z", "0000-01-01T00:00:00Z", 1]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text(max_size=3) | st.integers(),
    "at": st.sampled_from(TIMES),
    "seen": st.sampled_from([None, *TIMES, "2016-12-31T23:59:60Z", "2016-12-31T24:00:00Z"]),
    "group": st.text(max_size=3) | st.none(),
    "kind": st.sampled_from(["a", "b", "c", None, 1]),
    "note": st.text(max_size=4) | st.none(),
    "code": st.sampled_from(["AB", "ABC", "AB\n", "", None]),
    "count": st.integers(-7, 7) | st.sampled_from([2**53, 2**53 + 1, 2**63, 1.0, True, "1", None]),
    "real": st.floats() | st.integers() | st.sampled_from([None, "1", 10**400]),
    "share": st.floats() | st.none(),
    "good": st.sampled_from([True, False, None, 0, "true"]),
    "other": st.recursive(st.none() | st.floats() | st.text(max_size=3), st.lists, max_leaves=5),
}


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Draw a body, of which a few members are not as they should be."""
    changed = draw(st.fixed_dictionaries({}, optional=VALUES)) if draw(st.integers(0, 3)) == 0 else {}
    members = {**GOOD, **changed}
    for lacking in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=1)) if changed else ():
        members.pop(lacking)
    return json.dumps(members, ensure_ascii=draw(st.booleans()))


ODD = st.sampled_from(
    [
        "",
        "{",
        "[]",
        " {}",
        json.dumps(GOOD, indent=1),
        json.dumps(GOOD) * 2,
        json.dumps(GOOD)[:-1] + ', "id": "twice"}',
        json.dumps(GOOD)[:-1] + ', "other": Inf}',
        json.dumps(GOOD)[:-1] + ', "other": -Infinity}',
        json.dumps(GOOD)[:-1] + ', "other": "\\ud800"}',
        json.dumps(GOOD)[:-1] + ', "other": ' + "[" * 300 + "]" * 300 + "}",
        json.dumps(GOOD)[:-1] + ', "real": 1e999}',
        json.dumps(GOOD)[:-1] + ', "other": [' + "1" * 4301 + "]}",
        json.dumps(GOOD)[:-1] + ', "other": {"}',
        json.dumps(GOOD)[:-1] + ', "other": "}',
        '"}',
        "{'id': 1}",
    ]
)
CONTRACTS = st.sampled_from([Contract(Flat), Contract(Strict), Contract(Flat, "ms", "Europe/Berlin")])
LISTS = st.lists(bodies() | bodies() | bodies() | ODD, max_size=12)


# What a body may hold in a member's place, right or wrong, as it is written.
# fmt: off
ODD_VALUES = [
    "null", "nul", "true", "True", "false", "0", "-0", "+1", "007", "0x1F", "0xFFFFFFFF", "0x1FFFFFFFFF", "-12", "-012",
    "9223372036854775807", "-9223372036854775808", "1_000", "1.", ".5", "-", "1.0", "-0.0",
    "1e5", "1E+2", "1e999", "2e", "Infinity", "NaN", "9223372036854775808", "[]", "{}", "[1,2]", "", " ", " 1", "1 ",
    "'a'", '"', '""', '"a"b"', '"a,b"', '"a","id":"b"', '"\\""', '"\\\\"', '"é"', '"éä"', '"null"', '"AB" ',
    '"\t"', '"\r"', '"\n"', '"\0"', '"\x7f"', "1" * 4300, "1" * 4301, "1" * 4300 + ".5", '"' + "1" * 4301 + '"',
]
# fmt: on
SPELLED = {name: json.dumps(value) for name, value in GOOD.items()}


@st.composite
def written_alike(draw: st.DrawFn) -> list[str]:
    """Draw bodies with the same members in the same order, most of them with one wrong value or none."""
    names = draw(st.permutations([*GOOD, *draw(st.lists(st.sampled_from(["share", "seen", "other"]), unique=True))]))
    comma, colon, first, last = (draw(st.sampled_from([text, f"{text} "])) for text in (",", ":", "{", ""))
    texts = []
    for _ in range(draw(st.integers(1, 9))):
        values = {name: SPELLED.get(name, "null") for name in names}
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            values[name] = draw(st.sampled_from(ODD_VALUES))
        texts.append(_written(values, comma, colon, first, last))
    return texts


def _written(values: dict[str, str], comma: str = ",", colon: str = ":", first: str = "{", last: str = "") -> str:
    return first + comma.join(f'"{name}"{colon}{value}' for name, value in values.items()) + last + "}"


@given(contract=CONTRACTS, texts=LISTS)
@example(contract=Contract(Strict), texts=[json.dumps(GOOD)] * 5)
@example(
    contract=Contract(Strict),
    texts=[json.dumps(GOOD), json.dumps({**GOOD, "real": None}), json.dumps({**GOOD, "kind": "c"})],
)
@example(
    contract=Contract(Strict),
    texts=[json.dumps({**GOOD, "real": 1.5}).replace("1.5", number) for number in ("-0", "-0.0", "0")],
)
@example(
    contract=Contract(Strict),
    texts=[json.dumps({**GOOD, "other": 7}).replace("7", "7" * length) for length in (4300, 4301)],
)
@example(
    contract=Contract(Strict),
    texts=[json.dumps({**GOOD, "other": [7]}).replace("7", "7" * length) for length in (4300, 4301)],
)
def test_blocks_give_the_rows_and_reasons_of_single_bodies(contract: Contract, texts: list[str]) -> None:
    assert_read_as_one_by_one(contract, landed(texts))


@given(contract=CONTRACTS, texts=written_alike())
def test_blocks_of_any_spelling_are_read_as_one_by_one(contract: Contract, texts: list[str]) -> None:
    assert_read_as_one_by_one(contract, _with_bodies(texts))


@pytest.mark.parametrize("contract", [Contract(Flat), Contract(Strict)])
@pytest.mark.parametrize("name", [*GOOD, "seen", "share", "other"])
def test_each_spelling_of_a_value_is_read_as_one_by_one(contract: Contract, name: str) -> None:
    spelled = {name: "null", **SPELLED}
    for value in ODD_VALUES:
        texts = [_written(spelled), _written({**spelled, name: value})]
        assert_read_as_one_by_one(contract, _with_bodies(texts))
        assert_read_as_one_by_one(contract, _with_bodies(texts[::-1]))
    # Together they have as many quotes as three good ones.
    texts = [_written({**spelled, name: value}) for value in ('"a"', '"', '"a"b"')]
    assert_read_as_one_by_one(contract, _with_bodies(texts))


def test_bodies_may_be_more_than_one_object_on_a_line() -> None:
    assert_read_as_one_by_one(Contract(Flat), _with_bodies([json.dumps(GOOD).replace(', "kind"', '}, {"kind"')] * 2))


@pytest.mark.parametrize("added", [{}, {"other": "text"}, {"other": -1.5}, {"share": None}, {"seen": AT}])
def test_bodies_that_are_written_alike_are_split(added: dict[str, Any]) -> None:
    counts = {"ä": 9, "": -10, "1": 2**63 - 1, "null": -(2**63)}
    events = [{**GOOD, **added, "id": name, "count": count, "good": None} for name, count in counts.items()]
    bodies = pa.array([json.dumps(event, ensure_ascii=False) for event in events])
    lines = pa.py_buffer("".join(f"{body}\n" for body in bodies.to_pylist()).encode())
    types = {"good": pa.bool_(), "id": pa.string(), "count": pa.int64(), "share": pa.float64(), "real": pa.float64()}

    found, written = split_alike(bodies, lines, types, others=True)

    assert set(written) == events[0].keys()
    assert found.schema == pa.schema(types.items())
    assert found.to_pylist() == [{name: event.get(name) for name in types} for event in events]


@pytest.mark.parametrize(
    ("texts", "letters"),
    [([], ""), (["ä", "", "bc", "d"], "äbcd"), (["a", None, "b"], "ab"), ([None], "")],
)
def test_letters_of_texts_stand_one_behind_the_other(texts: list[str | None], letters: str) -> None:
    whole = pa.array(["before", *texts, "behind"])

    for array in (pa.array(texts, pa.string()), whole.slice(1, len(texts))):
        assert bytes(letters_of(array)).decode() == letters


RECORD = landed([json.dumps(GOOD)])


def _with_bodies(texts: list[str]) -> pa.Table:
    """Return records whose bodies are read whether or not landing would find a fault in them."""
    records = RECORD.take([0] * len(texts))
    return records.set_column(records.schema.get_field_index("body"), records.schema.field("body"), [texts])


@pytest.mark.parametrize("contract", [Flat, Strict])
def test_good_bodies_need_no_single_reading(contract: type[BaseModel], monkeypatch: pytest.MonkeyPatch) -> None:
    records = landed([json.dumps(GOOD), json.dumps({**GOOD, "code": None, "note": "x2"})] * 5)
    ready = Contract(contract)
    monkeypatch.setattr(ready, "_each", lambda _: pytest.fail("a body was read alone"))

    assert ready.read(records).rows["code"].to_pylist() == ["AB", None] * 5


def test_a_member_that_no_body_has_is_not_null() -> None:
    texts = [json.dumps({name: value for name, value in GOOD.items() if name != "code"})] * 9
    records = landed(texts)

    assert Contract(Flat).read(records).reasons.to_pylist() == ["code: missing"] * 9


class Validated(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def _check(cls, value: int, info: ValidationInfo) -> int:
        return value


class Whole(BaseModel):
    value: int

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        return self


class Before(BaseModel):
    value: int

    @model_validator(mode="before")
    @classmethod
    def _check(cls, data: Any) -> Any:
        return data


class Typed(BaseModel):
    value: int

    @model_validator(mode="after")
    def _check(self) -> Self:
        if type(self) is not Typed:
            raise ValueError
        return self


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)
    value: str


class Afterwards(BaseModel):
    value: int

    def model_post_init(self, context: Any, /) -> None:
        self.value += 1


@pytest.mark.parametrize(
    "contract",
    [
        Validated,
        Whole,
        Before,
        Typed,
        Stripped,
        Afterwards,
        create_model("Aliased", value=(Annotated[int, Field(alias="v")], ...)),
        create_model("Nested", value=(Stripped, ...)),
        create_model("Earlier", value=(Annotated[int, BeforeValidator(abs)], ...)),
        create_model("Instead", value=(Annotated[int, PlainValidator(abs)], ...)),
        create_model("Around", value=(Annotated[int, WrapValidator(lambda value, check: check(value))], ...)),
        create_model("Lower", value=(Annotated[str, StringConstraints(to_lower=True)], ...)),
        create_model("Open", __config__=ConfigDict(extra="allow"), value=(int, ...)),
    ],
)
def test_other_contracts_are_read_one_by_one(contract: type[BaseModel]) -> None:
    assert as_flat(contract) is None

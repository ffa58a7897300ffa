"""Contracts with functions give the same rows and reasons in blocks as one by one."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    computed_field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticUseDefault
from tests.sluice.contracts.one_by_one import assert_read_as_one_by_one, landed

from sluice.contracts.reading import Contract

pytestmark = pytest.mark.usefixtures("blocks_of_any_size")

# The second is the moment of the first; the third has the first's local time.
TIMES = ["2013-06-01T23:30:00Z", "2013-06-02T01:30:00+02:00", "2013-06-01T23:30:00.5-03:00", "2013-06-01T23:30:00"]
VALUES: dict[str, list[Any]] = {
    "at": TIMES[:3],
    "kind": ["a", "b"],
    "code": ["AB", "ab", " AB"],
    "count": [0, 1, -7, None, ...],
    "real": [0.0, 1.5, -0.0],
    "good": [True, None, ...],
    "until": [None, *TIMES],
}
BODIES = [
    json.dumps({"id": f"e{place}", "group": "g"} | {name: each for name, each in body.items() if each is not ...})
    for place, body in enumerate(
        dict(zip(VALUES, values, strict=True)) for values in itertools.product(*VALUES.values())
    )
]
SOME = BODIES[::7]


class Base(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    group: str
    at: AwareDatetime
    kind: Literal["a", "b"]
    code: str
    count: int | None = None
    real: float
    good: bool | None = None
    until: datetime | None = None


class Frozen(Base):
    model_config = ConfigDict(extra="forbid", frozen=True)


def refuse(error: Callable[[], Exception], when: Callable[[Any], bool]) -> AfterValidator:
    """Return a function that raises an error for some values."""

    def check(value: Any) -> Any:
        if when(value):
            raise error()
        return value

    return AfterValidator(check)


def with_member(name: str, kind: Any, default: Any = ...) -> type[BaseModel]:
    return create_model("Event", __base__=Base, **{name: (kind, default)})


def with_function(function: Callable[[Any], Any], base: type[BaseModel] = Base) -> type[BaseModel]:
    made: Any = {"check": model_validator(mode="after")(function)}
    return create_model("Event", __base__=base, __validators__=made)


def _custom() -> Exception:
    return PydanticCustomError("odd", "is odd")


class Checked(Base):
    @field_validator("count", "code")
    @classmethod
    def _check(cls, value: Any) -> Any:
        if value in {1, "ab"}:
            raise AssertionError
        return value


CHECKED = Annotated[int | None, Field(validate_default=True)]
FIRST = repr(datetime(2013, 6, 1, 23, 30, tzinfo=UTC))
# fmt: off
MEMBERS: dict[str, type[BaseModel]] = {
    "ValueError": with_member("code", Annotated[str, refuse(ValueError, str.islower)]),
    "AssertionError": with_member("code", Annotated[str, refuse(AssertionError, str.islower)]),
    "custom error": with_member("code", Annotated[str, refuse(_custom, str.islower)]),
    "other error": with_member("code", Annotated[str, refuse(ZeroDivisionError, str.islower)]),
    "use default": with_member("code", Annotated[str, refuse(PydanticUseDefault, str.islower)], "none"),
    "changes": with_member("code", Annotated[str, AfterValidator(str.upper)]),
    "changes all": with_member("id", Annotated[str, AfterValidator(lambda value: value * 2)]),
    "strips, then a rule": with_member("code", Annotated[str, AfterValidator(str.strip), Field(max_length=2)]),
    "two": with_member("code", Annotated[str, AfterValidator(str.strip), refuse(ValueError, str.islower)]),
    "a pattern first": with_member("code", Annotated[str, Field(pattern="^[A-Z ]+$"), refuse(ValueError, str.isupper)]),
    "a decorator": Checked,
    "a choice": with_member("kind", Annotated[Literal["a", "b"], refuse(ValueError, "b".__eq__)]),
    "another type": with_member("count", Annotated[int, AfterValidator(float)] | None, None),
    "an equal value of another type": with_member("count", Annotated[int, AfterValidator((1).__eq__)] | None, None),
    "an equal Decimal": with_member("real", Annotated[float, AfterValidator(lambda x: Decimal(x))]),
    "an equal value of another sign": with_member("real", Annotated[float, AfterValidator(lambda x: x or -x)]),
    "no number": with_member("real", Annotated[float, AfterValidator(lambda x: x if x else float("nan"))]),
    "refuses None": with_member("count", Annotated[int | None, refuse(ValueError, lambda n: n is None)], None),
    "changes None": with_member("count", Annotated[int | None, AfterValidator(lambda n: n or 0)], None),
    "does not see None": with_member("count", Annotated[int, refuse(TypeError, lambda n: n < 0)] | None, None),
    "a default": with_member("count", Annotated[int | None, refuse(ValueError, lambda n: n == 5)], 5),
    "a default None of no None": with_member("count", Annotated[int, refuse(ValueError, lambda n: n == 1)], None),
    "a default that is checked": with_member("count", Annotated[CHECKED, refuse(ValueError, lambda n: not n)], None),
    "truth": with_member("good", Annotated[bool, refuse(ValueError, bool)] | None, None),
    "a moment": with_member("at", Annotated[AwareDatetime, refuse(ValueError, lambda at: at.hour == 23)]),
    "an offset": with_member("at", Annotated[datetime, refuse(ValueError, lambda at: at.utcoffset() != timedelta(0))]),
    "the text of a time": with_member("at", Annotated[datetime, refuse(ValueError, lambda at: repr(at) == FIRST)]),
    "another zone": with_member("at", Annotated[datetime, AfterValidator(lambda at: at.astimezone(timezone.max))]),
    "another moment": with_member("at", Annotated[datetime, AfterValidator(lambda at: at + timedelta(hours=1))]),
    "no time": with_member("until", Annotated[datetime | None, refuse(ValueError, lambda at: not at)], None),
}
# fmt: on


def _raises(error: Callable[[], Exception]) -> Callable[[Any], Any]:
    def check(self: Any) -> Any:
        if self.kind == "b" and self.count == 1:
            raise error()
        return self

    return check


class Rich(Base):
    worst: ClassVar[int] = -7

    @property
    def is_late(self) -> bool:
        return self.until is not None and self.until > self.at

    def _is_worst(self, name: str) -> bool:
        return bool(getattr(self, name) == self.worst)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return self.kind + self.code.strip()

    @classmethod
    def _upper(cls, text: str) -> bool:
        return text.isupper()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not isinstance(self, Rich) or self.__class__ not in {Rich, Child}:
            raise ValueError("unknown")
        if self.is_late or self._is_worst("count") or (self.label == "bAB" and not self._upper(self.code)):
            raise ValueError("late")
        return self


class Child(Rich):
    def _is_worst(self, name: str) -> bool:
        return super()._is_worst(name) and self.good is not None

    @model_validator(mode="after")
    def _zero(self) -> Self:
        if self.real == 0 and self.good:
            raise ValueError("zero")
        return self


class Several(Base):
    @model_validator(mode="after")
    def _first(self) -> Self:
        if self.kind == "a" and self.count == 0:
            raise AssertionError
        return self

    @model_validator(mode="after")
    def _second(self) -> Self:
        if self.count is None:
            raise PydanticCustomError("no_count", "has no count")
        if self.count < 0 and self.until is None:
            raise ValueError("negative")
        return self


class Registered(Base):
    made: ClassVar[list[str]] = []

    def __init_subclass__(cls, **_: Any) -> None:
        cls.made.append(cls.__name__)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.count == 1:
            raise ValueError("one")
        return self


def _by_moment(self: Any) -> Any:
    if self.until is not None and self.until.tzinfo is not None and self.until.hour == self.at.hour:
        raise ValueError("the same hour")
    return self


def _by_text(self: Any) -> Any:
    if repr(self.at) != FIRST or self.at.tzinfo is not UTC or self.at.fold:
        raise ValueError("another time")
    return self


def _by_sign(self: Any) -> Any:
    if str(self.real) == "0.0":
        raise ValueError("zero")
    return self


def _by_kinds(self: Any) -> Any:
    kinds = [type_of(each) for each in (self.count, self.good, self.real, self.kind)]
    if kinds == ["int", "bool", "float", "str"]:
        raise ValueError("all given")
    return self


def type_of(value: Any) -> str:
    return type(value).__name__


def _by_choice(self: Any) -> Any:
    match self:
        case Base(kind="a", count=1):
            raise ValueError("a 1")
    return self


def _by_attributes(self: Any) -> Any:
    if Pair.model_validate(self, from_attributes=True).count == 1:
        raise ValueError("one")
    return self


class Pair(BaseModel):
    count: int | None = None


FOLLOWED: dict[str, type[BaseModel]] = {
    "ValueError": with_function(_raises(ValueError)),
    "AssertionError": with_function(_raises(AssertionError)),
    "custom error": with_function(_raises(_custom)),
    "other error": with_function(_raises(ZeroDivisionError)),
    "frozen": with_function(_raises(ValueError), Frozen),
    "methods": Rich,
    "inherited": Child,
    "several": Several,
    "a hook of its own": Registered,
    "moments": with_function(_by_moment),
    "the text of times": with_function(_by_text),
    "the sign of zero": with_function(_by_sign),
    "kinds": with_function(_by_kinds),
    "a match": with_function(_by_choice),
    "with functions of members": with_function(_by_moment, Checked),
}


def _sets(self: Any) -> Any:
    self.count = 3
    return self


def _sets_some(self: Any) -> Any:
    if self.kind == "b":
        self.code = self.code.strip()
    return self


def _sets_by_force(self: Any) -> Any:
    object.__setattr__(self, "code", self.code.strip() + "!")
    return self


def _sets_an_equal_value(self: Any) -> Any:
    if self.count == 1:
        object.__setattr__(self, "count", True)
    return self


def _deletes(self: Any) -> Any:
    if self.count == 1:
        del self.until
        self.until = None
    return self


def _reads_what_is_set(self: Any) -> Any:
    if "count" not in self.model_fields_set:
        raise ValueError("not set")
    return self


def _reads_all(self: Any) -> Any:
    if self.__dict__["count"] == 1 or vars(self).get("kind") == "b":
        raise ValueError("one")
    return self


def _dumps(self: Any) -> Any:
    if self.model_dump().get("count") == 1:
        raise ValueError("one")
    return self


def _dumps_from_outside(self: Any) -> Any:
    if '"count":1' in BaseModel.model_dump_json(self):
        raise ValueError("one")
    return self


def _iterates(self: Any) -> Any:
    if dict(self).get("count") == 1 or ("kind", "b") in list(self):
        raise ValueError("one")
    return self


def _compares(self: Any) -> Any:
    if self == self.model_construct(**{**vars(self), "kind": "a"}):
        raise ValueError("a")
    return self


def _compares_itself(self: Any) -> Any:
    other = Base.model_construct(kind="a")
    if self == other or other == self:
        raise ValueError("equal")
    return self


def _prints(self: Any) -> Any:
    if "count=1" in repr(self) or "kind='b'" in f"{self}":
        raise ValueError("one")
    return self


def _hashes(self: Any) -> Any:
    if hash(self) % 2:
        raise ValueError("odd")
    return self


def _copies(self: Any) -> Any:
    return self.model_copy(update={"code": "new"})


def _returns_another(self: Any) -> Any:
    return Base(id="other", group="g", at=TIMES[0], kind="a", code="C", real=1.0) if self.count == 1 else self


def _asks_for_the_type(self: Any) -> Any:
    if type(self).__base__ is not Base:
        raise ValueError("another type")
    return self


def _catches_everything(self: Any) -> Any:
    try:
        if self.model_dump()["count"] == 1:
            raise ValueError("one")
    except BaseException as error:
        if isinstance(error, ValueError):
            raise
    return self


def _catches_a_read(self: Any) -> Any:
    try:
        count = self.count
    except BaseException:
        return self
    if count == 1:
        raise ValueError("one")
    return self


class Cached(Base):
    @cached_property
    def double(self) -> int:
        return 2 * (self.count or 0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.double == 2:
            raise ValueError("two")
        return self


OTHERS: dict[str, type[BaseModel]] = {
    "sets": with_function(_sets),
    "sets some": with_function(_sets_some),
    "sets by force": with_function(_sets_by_force, Frozen),
    "sets an equal value": with_function(_sets_an_equal_value, Frozen),
    "sets what is frozen": with_function(_sets_some, Frozen),
    "deletes": with_function(_deletes),
    "reads what is set": with_function(_reads_what_is_set),
    "reads all": with_function(_reads_all),
    "dumps": with_function(_dumps),
    "dumps from outside": with_function(_dumps_from_outside),
    "iterates": with_function(_iterates),
    "compares": with_function(_compares),
    "compares itself": with_function(_compares_itself),
    "prints": with_function(_prints),
    "hashes": with_function(_hashes, Frozen),
    "copies": with_function(_copies),
    "returns another": with_function(_returns_another),
    "asks for the type": with_function(_asks_for_the_type),
    "catches everything": with_function(_catches_everything),
    "catches a read": with_function(_catches_a_read),
    "reads by attributes": with_function(_by_attributes),
    "cached": Cached,
}
ALL = {f"member: {name}": each for name, each in MEMBERS.items()} | FOLLOWED | OTHERS


@pytest.fixture(scope="module")
def records() -> pa.Table:
    return landed(SOME)


def named(contracts: dict[str, type[BaseModel]]) -> Iterator[Any]:
    return (pytest.param(contract, id=name) for name, contract in contracts.items())


@pytest.mark.parametrize("model", named(ALL))
def test_functions_give_the_rows_and_reasons_of_single_bodies(model: type[BaseModel], records: pa.Table) -> None:
    contract = Contract(model)

    assert_read_as_one_by_one(contract, records)
    assert_read_as_one_by_one(contract, records.take(pa.array(range(records.num_rows))[::-1]))


RECORDS = landed(BODIES[::3])


@given(
    contract=st.sampled_from([Contract(model) for model in ALL.values()]),
    places=st.lists(st.integers(0, RECORDS.num_rows - 1), max_size=9),
)
def test_functions_of_small_blocks_give_the_same(contract: Contract, places: list[int]) -> None:
    assert_read_as_one_by_one(contract, RECORDS.take(pa.array(places, pa.int64())))


@pytest.mark.parametrize("model", named(FOLLOWED))
def test_only_bodies_that_do_not_fit_are_read_alone(
    model: type[BaseModel], records: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract(model)
    each, alone = contract._each, []

    def read(some: pa.Table) -> Any:
        alone.append(each(some))
        return alone[-1]

    monkeypatch.setattr(contract, "_each", read)
    found = contract.read(records)

    # Arrow has no minus zero; a time without an offset, and null where none is taken, are refused anyway.
    fitting = pa.concat_tables(found.rows for found in alone)
    assert found.rows.num_rows - fitting.num_rows > 0
    assert {str(value) for value in fitting["real"].to_pylist()} <= {"-0.0"}
    assert found.reasons.null_count < records.num_rows


def test_a_function_is_asked_once_for_each_value() -> None:
    seen: Counter[Any] = Counter()

    def count(value: Any) -> Any:
        seen[value] += 1
        return value

    Contract(with_member("code", Annotated[str, AfterValidator(count)])).read(landed(SOME))

    alone = sum('"real": -0.0' in body or '"until": "2013-06-01T23:30:00"' in body for body in SOME)
    assert sum(seen.values()) == len(set(seen)) + alone


def test_answers_are_remembered_for_later_blocks() -> None:
    seen: Counter[str] = Counter()

    def count(self: Any) -> Any:
        seen[self.kind] += 1
        return self

    contract = Contract(with_function(count))
    fitting = landed([body for body in SOME if "-0.0" not in body and '30:00"}' not in body])
    for _ in range(3):
        assert contract.read(fitting).reasons.null_count == fitting.num_rows

    assert seen == {"a": 1, "b": 1}


def test_a_function_that_reads_late_is_given_up() -> None:
    """It is asked about each body at most once, but for what it reads, and then once by pydantic."""
    calls: list[str] = []
    texts = [body for body in SOME if "-0.0" not in body and '30:00"}' not in body]
    last = [json.loads(body)["id"] for body in texts[-3:]]

    def late(self: Any) -> Any:
        calls.append(self.id)
        if (self.id in last and self.kind == "c") or (self.id in last[1:] and self.code == "c"):
            raise ValueError("never")
        return self

    model = with_function(late)
    found = Contract(model).read(landed(texts))

    assert found.rows.num_rows == len(texts)
    assert len(calls) <= 2 * len(texts) + len(model.model_fields)


def test_a_function_does_not_see_what_pydantic_refuses() -> None:
    seen: set[int] = set()

    def see(value: int) -> int:
        seen.add(value)
        return value

    rule = Field(ge=0, le=0)
    found = Contract(with_member("count", Annotated[int, rule, AfterValidator(see)] | None, None)).read(landed(SOME))

    assert seen == {0}
    assert "count: less_than_equal" in found.reasons.to_pylist()


def test_a_contract_does_not_see_its_subclass() -> None:
    Contract(Registered).read(landed(SOME[:9]))

    assert Registered.made == []

"""The columns of a contract have types that the contract alone decides, and a member that can't be one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pyarrow as pa
import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    EmailStr,
    Field,
    HttpUrl,
    NaiveDatetime,
    RootModel,
    SecretStr,
    condecimal,
    conint,
    conlist,
    constr,
    create_model,
    model_validator,
)
from typing_extensions import TypedDict

from sluice.contracts.columns import columns_of
from sluice.contracts.reading import ENVELOPE, Contract
from sluice.errors import DeclarationError
from sluice.records.record import SCHEMA

TIME = pa.timestamp("us", tz="UTC")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Spot(BaseModel):
    lat: float
    name: str | None = None


class Checked(BaseModel):
    spots: list[Spot]

    @model_validator(mode="after")
    def _check(self) -> Checked:
        return self


@dataclass
class Pair:
    one: int
    two: date


class Typed(TypedDict):
    one: int


class Tree(BaseModel):
    leaves: list[Tree]


class Named(NamedTuple):
    one: int


SPOT = pa.struct([("lat", pa.float64()), ("name", pa.string())])


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, pa.string()),
        (int, pa.int64()),
        (float, pa.float64()),
        (bool, pa.bool_()),
        (bytes, pa.binary()),
        (UUID, pa.string()),
        (date, pa.date32()),
        (time, pa.time64("us")),
        (datetime, TIME),
        (AwareDatetime, TIME),
        (Annotated[datetime, AfterValidator(lambda moment: moment)], TIME),
        (Annotated[Decimal, Field(max_digits=12, decimal_places=2)], pa.decimal128(12, 2)),
        (condecimal(max_digits=38, decimal_places=19), pa.decimal128(38, 19)),
        (Annotated[str, Field(min_length=1)], pa.string()),
        (constr(pattern="^a"), pa.string()),
        (EmailStr, pa.string()),
        (HttpUrl, pa.string()),
        (IPv4Address, pa.string()),
        (Annotated[int, Field(gt=0)] | None, pa.int64()),
        (conint(ge=0, le=9), pa.int64()),
        (Colour, pa.string()),
        (Level, pa.int64()),
        (Literal["a", "b"], pa.string()),
        (Literal[1, None], pa.int64()),
        (Literal["a", 1], pa.string()),
        (Literal[Colour.RED], pa.string()),
        (int | str, pa.string()),
        (Annotated[float, Field(ge=0)] | str | None, pa.string()),
        (Colour | Literal["green"], pa.string()),
        (Spot, SPOT),
        (Spot | None, SPOT),
        (Checked, pa.struct([("spots", pa.list_(SPOT))])),
        (RootModel[list[int]], pa.list_(pa.int64())),
        (Pair, pa.struct([("one", pa.int64()), ("two", pa.date32())])),
        (Typed, pa.struct([("one", pa.int64())])),
        (list[str], pa.list_(pa.string())),
        (conlist(int, max_length=3), pa.list_(pa.int64())),
        (tuple[float, float], pa.list_(pa.float64())),
        (dict[str, float], pa.map_(pa.string(), pa.float64())),
        (dict[str, list[Spot]] | None, pa.map_(pa.string(), pa.list_(SPOT))),
        (Mapping[str, int], pa.map_(pa.string(), pa.int64())),
    ],
)
def test_member_has_the_column_of_its_type(annotation: Any, kind: pa.DataType) -> None:
    assert columns_of(create_model("Any", member=(annotation, ...)))["member"].type == kind


def test_schema_is_that_of_the_contract_without_any_row() -> None:
    contract = Contract(create_model("Event", id=(str, ...), group=(str, ...), spot=(Spot | None, None)))

    assert contract.schema.names == [*ENVELOPE, "id", "spot"]
    assert contract.read(SCHEMA.empty_table()).rows.schema == contract.schema


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        (Any, r"'any'"),
        (list, r"'member\.0' is of the type 'any'"),
        (dict[str, Any], r"'member\.\[value\]' is of the type 'any'"),
        (Decimal, "a Decimal whose digits don't fit"),
        (Annotated[Decimal, Field(max_digits=39, decimal_places=2)], "at most 38 digits"),
        (NaiveDatetime, "a time without a zone; use datetime"),
        (timedelta, "'timedelta'"),
        (set[str], "'set'"),
        (SecretStr, "a SecretStr"),
        (int | float, "a union of double, int64"),
        (datetime | str, "a union of string, timestamp"),
        (Spot | str, "a union of string, struct"),
        (Tree, r"'member\.leaves\.0' is a model that holds itself"),
        (tuple[int, str], "a tuple of several types; use a model"),
        (Named, "'named-tuple'"),
    ],
)
def test_member_that_is_no_column_is_refused_with_contract_member_and_what_is_possible(
    annotation: Any, what: str
) -> None:
    contract = create_model("Event", member=(annotation, ...))

    with pytest.raises(
        DeclarationError, match=rf"contract Event: member '?.*{what}.*a column can be str, int"
    ) as error:
        Contract(contract)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["sent_at", "sequence_number"])
def test_member_that_the_queue_would_overwrite_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match=f"contract Event: member {name} would be lost"):
        Contract(create_model("Event", **{name: (str, ...)}))  # type: ignore[call-overload]

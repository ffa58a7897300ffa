"""A type that no column can have is refused where it is declared, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.declaration.column_types import PLAIN, check_schema, inner, members
from sluice.errors import DeclarationError

NESTED = "struct<id: int64, of: list<struct<a: decimal128(12, 2), b: timestamp[us, UTC]>>, last: string>"


@pytest.mark.parametrize(
    "kind",
    [
        *PLAIN,
        *("decimal128(1, 0)", "decimal128(38, 38)", "decimal128(12,2)"),
        *("timestamp[us, UTC]", "timestamp[us, tz=Europe/Paris]"),
        *("list<string>", "list<list<int8>>", "struct<a: string>", NESTED),
    ],
)
def test_type_that_a_column_can_have_is_allowed(kind: str) -> None:
    check_schema("source weather", {"v": kind})


@pytest.mark.parametrize(
    "kind",
    [
        *("text", "", "int", "int65", "STRING", 7, None, int),
        *("decimal128(0, 0)", "decimal128(39, 0)", "decimal128(4, 5)", "decimal128(4)", "decimal128(4, -1)"),
        *("timestamp[us]", "timestamp[ns, UTC]", "list<text>", "list<int64x", "list<>", "struct<a: int64x", "list"),
    ],
)
def test_other_type_is_refused(kind: Any) -> None:
    with pytest.raises(DeclarationError, match=r"^source weather, column 'v': type .* is unknown; it can be string, "):
        check_schema("source weather", {"v": kind})


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"^source weather, column 'v': timestamp='Mars/Base'"):
        check_schema("source weather", {"v": "timestamp[us, Mars/Base]"})


def test_member_of_a_wrong_type_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"^source weather, column 'v', member 'of', member 'b': type 'text' is"):
        check_schema("source weather", {"v": "struct<id: int64, of: struct<a: string, b: text>>"})


@pytest.mark.parametrize("schema", [{}, [], "string", 7])
def test_schema_is_a_dict_of_at_least_one_column(schema: Any) -> None:
    with pytest.raises(DeclarationError, match=r"^source weather: schema=.* must be a dict such as"):
        check_schema("source weather", schema)


def test_no_schema_is_allowed() -> None:
    check_schema("source weather", None)


def test_members_are_separated_by_commas_outside_of_their_own_types() -> None:
    assert list(members(NESTED)) == [
        ("id", "int64"),
        ("of", "list<struct<a: decimal128(12, 2), b: timestamp[us, UTC]>>"),
        ("last", "string"),
    ]
    assert inner("list< string >") == "string"

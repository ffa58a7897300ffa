"""Drops of a wrong form are refused where they are declared."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.declaration import Csv, Drops, Parquet
from sluice.errors import DeclarationError


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"complete": "_SUCCESS"}, r"complete='_SUCCESS' must be a rule, such as Marker\(\)"),
        ({"formats": ()}, r"formats="),
        ({"formats": ("csv",)}, r"formats="),
        ({"formats": (Csv(), Parquet(), Csv(";"))}, r"formats=.* must have each format once"),
        ({"schema": {}}, r"schema=\{\} must be a dict"),
        ({"schema": {"wind": "text"}}, r"column 'wind': type 'text' is unknown"),
    ],
)
def test_drops_of_a_wrong_form_are_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=rf"^source weather[:,] ?{message}"):
        Drops("weather", **{"prefix": "drops/weather/", **members})


def test_others_write_below_the_prefix_only() -> None:
    assert Drops("weather", prefix="from/them/").foreign_folders == ("from/them/",)

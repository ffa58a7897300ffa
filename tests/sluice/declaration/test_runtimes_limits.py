"""A runtime leaves time for the result of its run."""

from __future__ import annotations

import pytest

from sluice.declaration import Lambda
from sluice.errors import DeclarationError


def test_function_has_more_time_than_its_result_needs() -> None:
    assert Lambda(seconds=10).seconds == 10
    with pytest.raises(DeclarationError, match="seconds"):
        Lambda(seconds=9)

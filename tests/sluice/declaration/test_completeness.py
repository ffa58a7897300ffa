"""A rule of completeness that could never hold, or for ever, is refused where it is declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sluice.declaration.completeness import Completeness, ManifestFile, ObjectCount, RootMarker, Unchanged
from sluice.errors import DeclarationError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RootMarker("a/b"), "the marker 'a/b' must have no slash"),
        (lambda: ManifestFile("a/b"), "the marker 'a/b' must have no slash"),
        (lambda: ObjectCount(0), "least=0 must be a whole number from 1 to 1,?000,?000"),
        (lambda: ObjectCount(1_000_001), "least=1000001 must be"),
        (lambda: Unchanged(timedelta(seconds=59)), "duration=.* must be a timedelta from 60 seconds to 24 hours"),
        (lambda: Unchanged(timedelta(days=1, seconds=1)), "duration=.* must be"),
    ],
)
def test_rule_of_a_wrong_form_is_refused(make: Callable[[], Completeness], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


def test_bounds_are_allowed() -> None:
    assert [ObjectCount(least).least for least in (1, 1_000_000)] == [1, 1_000_000]
    for duration in (timedelta(minutes=1), timedelta(days=1)):
        assert Unchanged(duration).duration == duration

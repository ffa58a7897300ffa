"""Plays the scripts of cases in which messages of a queue are received by several readers, or die."""

from __future__ import annotations

import pytest

from tests.cases.case import Case


def check(case: Case, request: pytest.FixtureRequest) -> None:
    raise NotImplementedError(case.id)

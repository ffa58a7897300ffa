"""Every case comes out right."""

from __future__ import annotations

import importlib

import pytest

from tests.cases.case import Case, cases


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_case(case: Case, request: pytest.FixtureRequest) -> None:
    importlib.import_module(f"tests.cases.delivered.{case.delivery}").check(case, request)

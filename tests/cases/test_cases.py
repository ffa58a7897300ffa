"""Every case comes out right."""

from __future__ import annotations

import importlib

import pytest

from tests.cases.case import Case, cases

# They wait for jobs and endpoints, or deliver a month.
SLOW = {
    "container-contract/02-widths-content-types-and-headers",
    "endpoints/01-config-that-serves-was-deleted",
    "endpoints/02-creating-for-an-hour",
    "held-back/02-four-missing-drops-in-a-month",
    "job-end-states/01-all-four",
}
CASES = [pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.id in SLOW else []) for case in cases()]


@pytest.mark.parametrize("case", CASES)
def test_case(case: Case, request: pytest.FixtureRequest) -> None:
    importlib.import_module(f"tests.cases.delivered.{case.delivery}").check(case, request)

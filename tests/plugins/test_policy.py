"""What all DAGs share."""

from __future__ import annotations

import pytest
from tests.sluice.toy import EVENTS, MESSAGES, toy

from sluice.declaration.sources import Source
from sluice_airflow.policy import documentation

TEXT = "`PIPELINE/raw/SOURCE/dt=…/` and PIPELINE/STEP, not PIPELINES"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (None, "`toy/raw/{events,messages}/month=…/` and toy/{conform,doubled,running}, not PIPELINES"),
        (MESSAGES, "`toy/raw/messages/month=…/` and toy/{conform,doubled,running}, not PIPELINES"),
    ],
)
def test_documentation_has_the_names_of_the_pipeline(source: Source | None, shown: str) -> None:
    assert documentation(TEXT, toy(every="month", sources=(EVENTS, MESSAGES)), source) == shown

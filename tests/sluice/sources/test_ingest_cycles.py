"""A cycle costs what is new, however long the history is (P15)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.cycles import MOMENTS, cycles

from sluice.workspace import Workspace

# Calls of a cycle of the ingest, beside puts; and that by which a task that writes sees how the lake is divided.
BOUND = 12 + 1
pytestmark = pytest.mark.usefixtures("short_poll")


def test_cycle_and_transform_of_a_day_cost_the_same_with_any_history(workspace: Workspace) -> None:
    name = f"{workspace.lake.bucket[:50]}-more"
    workspace.lake.s3.create_bucket(Bucket=name)
    other = replace(workspace, lake=replace(workspace.lake, bucket=name))

    short, long = cycles(workspace, 3), cycles(other, 300)

    assert short == long
    assert max(short[name] for name in MOMENTS) <= BOUND

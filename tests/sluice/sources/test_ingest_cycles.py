"""A cycle costs what is new, however long the history is (P15)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.cycles import MOMENTS, cycles

from sluice.workspace import Workspace

BOUND = 12  # calls of a cycle of the ingest, beside puts
# The same of a transform of three steps: 28, three listings of ids and one key file for each of seven days in conform,
# and two listings in each of the steps after it; how the lake is divided, before the first new partition; and a listing
# of records of months, before the first record of a year.
TRANSFORM = 28 + 3 + 7 + 2 * 2 + 1 + 1
pytestmark = pytest.mark.usefixtures("short_poll")


def test_cycle_and_transform_of_a_day_cost_the_same_with_any_history(workspace: Workspace) -> None:
    name = f"{workspace.lake.bucket[:50]}-more"
    workspace.lake.s3.create_bucket(Bucket=name)
    other = replace(workspace, lake=replace(workspace.lake, bucket=name))

    short, long = cycles(workspace, 10), cycles(other, 300)  # seven days are compared

    assert short == long
    assert max(short[name] for name in MOMENTS) <= BOUND
    assert short["transform"] == TRANSFORM

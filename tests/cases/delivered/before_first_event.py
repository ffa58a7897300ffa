"""Lands events that begin long after the pipeline's start, closes, and looks for what the runs of earlier days wait."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sluice.lake.partitions import Partition, between
from sluice.steps.plan import plan
from tests.calendars import utc
from tests.cases.case import Case
from tests.cases.delivered.clock import world_of


def check(case: Case, request: pytest.FixtureRequest) -> None:
    world, right = world_of(case.given, request), case.right["empty_by_rule"]
    first = datetime.fromisoformat(case.given["first_event"])
    last = datetime.fromisoformat(case.given["last_event"])
    for day in range((last - first).days + 1):
        world.send_event(f"event-{day}", (first + timedelta(days=day)).isoformat())
    assert len(world.waited_for(right["first"], right["last"])) == right["count"]  # an older event may still wait

    world.drain()
    world.close()

    assert len(list(between(utc(right["first"]), utc(right["last"])))) == right["count"]
    assert len(world.waited_for(right["first"], right["last"])) == case.right["waits"]
    before = [manifest for key, manifest in world.manifests().items() if key <= right["last"]]
    assert before == []
    day_one = Partition.containing(first, world.workspace.pipeline.calendar)
    assert world.with_state("closed")[day_one.key].rows_out == 1
    (planned,) = plan(world.at_now, "conform", day_one.key).due  # is transformed as soon as it is closed
    assert planned.rows == 1

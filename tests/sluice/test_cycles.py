"""A cycle costs what is new, however long the history is (P15)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sluice.cycles import ingest_cycle, put_history, transform_of
from tests.sluice.lake_contents import partition
from tests.sluice.s3_calls import counted
from tests.sluice.toy import EVENTS, reading, toy

from sluice.sending.lanes import Event, send_events
from sluice.sources.connecting import connect_events
from sluice.workspace import Workspace

DAY = partition("2013-01-01")
pytestmark = pytest.mark.usefixtures("short_poll")


NOON, AFTER = DAY.start + timedelta(hours=12), DAY.end + timedelta(hours=2)
MOMENTS = {"opens": NOON, "lands": NOON, "closes": AFTER, "comes late": AFTER, "has nothing": AFTER}
BOUND = 12  # calls of a cycle of the ingest, beside puts


def cycles(workspace: Workspace, history: int) -> dict[str, int]:
    """Return the calls, beside puts, of each cycle of a day that follows a history; the transform is the last."""
    world, found = replace(workspace, pipeline=toy(sources=(EVENTS,))), dict[str, int]()
    put_history(world, [DAY.shift(-n) for n in range(history, 0, -1)])
    for name, now in MOMENTS.items():
        there = replace(world, lake=replace(world.lake, now=lambda now=now: now))
        if name != "has nothing":
            id_ = f"{world.lake.bucket}-{name}"
            event = Event(id_, "g", NOON, reading(id_, NOON))
            send_events([event], connect_events(world, EVENTS).sender())
        with counted(world.lake.bucket) as calls:
            ingest_cycle(there, EVENTS)
        found[name] = _beside_puts(calls)
    assert lake_revision(world) == 2
    with counted(world.lake.bucket) as calls:
        transform_of(world, [DAY])
    return {**found, "transform": _beside_puts(calls)}


def _beside_puts(calls: Mapping[str, int]) -> int:
    return sum(count for kind, count in calls.items() if kind != "put")


def lake_revision(world: Workspace) -> int:
    manifest = world.lake.manifest("raw/events", DAY)
    assert manifest is not None
    return manifest.revision


def test_cycle_and_transform_of_a_day_cost_the_same_with_any_history(workspace: Workspace) -> None:
    name = f"{workspace.lake.bucket[:50]}-more"
    workspace.lake.s3.create_bucket(Bucket=name)
    other = replace(workspace, lake=replace(workspace.lake, bucket=name))

    short, long = cycles(workspace, 3), cycles(other, 300)

    assert short == long
    assert max(short[name] for name in MOMENTS) <= BOUND

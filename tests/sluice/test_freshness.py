"""A partition that is older than its step declares is announced once, and once more when it is fresh again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.sluice.announcements import subscribed, with_topic
from tests.sluice.lake_contents import WRITTEN, body_of, keys_below, partition, put_raw
from tests.sluice.s3_calls import counted
from tests.sluice.toy import EVENTS, message, reading, toy

from sluice import freshness
from sluice.declaration.steps import Input
from sluice.freshness import watch_freshness
from sluice.lake.partitions import Partition
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 4)]
FIRST_END = datetime(2013, 1, 2, tzinfo=UTC)
NEXT = "look at toy_dispatch, and at the runs of toy_transform for these partitions"


@pytest.fixture
def watched(workspace: Workspace, own_name: str) -> Workspace:
    """The pipeline whose step ``doubled`` has to be fresh within six hours, over three days."""
    conform, doubled, running = toy().steps
    steps = (conform, replace(doubled, fresh_within=timedelta(hours=6)), running)
    declared = toy(steps=steps, training=None, deployment=None, end=DAYS[-1].start)
    return with_topic(replace(workspace, pipeline=declared), own_name)


@pytest.fixture
def events(watched: Workspace, sqs: Any, queue: str) -> Callable[[], list[dict[str, Any]]]:
    """Returns the events that a subscriber has received so far."""
    receive = subscribed(watched, sqs, queue)
    return lambda: [event for event, _ in receive()]


def put_day(workspace: Workspace, day: Partition, *values: int) -> None:
    key = day.key.removeprefix("dt=")
    bodies = [reading(f"r-{key}-{n}", f"{key}T07:00:00+00:00", value) for n, value in enumerate(values)]
    put_raw(workspace.lake, EVENTS, key, [message(body, n + 1) for n, body in enumerate(bodies)])


def look(workspace: Workspace, now: datetime) -> int:
    """Look at a time, and return how many events were published."""
    return watch_freshness(replace(workspace, lake=replace(workspace.lake, now=lambda: now)), f"look-{now.isoformat()}")


def make(workspace: Workspace, ranges: str) -> None:
    for step in ("conform", "doubled"):
        run_step(workspace, step, ranges)


def test_breach_is_announced_once_and_its_end_once(watched: Workspace, events: Callable[[], Any]) -> None:
    put_day(watched, DAYS[0], 1)

    assert look(watched, FIRST_END + timedelta(hours=6)) == 0
    assert keys_below(watched.lake, "toy/freshness/") == []
    assert look(watched, FIRST_END + timedelta(hours=6, seconds=1)) == 1
    assert [look(watched, FIRST_END + timedelta(hours=hours)) for hours in (7, 8, 9)] == [0, 0, 0]
    make(watched, "dt=2013-01-01")
    assert [look(watched, FIRST_END + timedelta(hours=hours)) for hours in (10, 11)] == [1, 0]

    breach, end = events()
    assert breach["findings"] == [f"doubled of dt=2013-01-01 is not fresh within 6 h 0 min: never made; {NEXT}"]
    assert end["findings"] == ["doubled of dt=2013-01-01 is fresh again"]
    assert {(each["stage"], each["subject"], each["pipeline"]) for each in (breach, end)} == {
        ("freshness", "doubled", "toy")
    }
    assert [each["revision"] for each in (breach, end)] == [1, 2]
    assert breach["run_id"] == "look-2013-01-02T06:00:01+00:00"
    assert breach["manifest_uri"] == watched.lake.uri("toy/freshness/doubled/000001.json")
    assert b'"stale":"dt=2013-01-01"' in body_of(watched.lake, "toy/freshness/doubled/000001.json")
    assert b'"stale":""' in body_of(watched.lake, "toy/freshness/doubled/000002.json")


def test_further_breach_names_only_what_is_new(watched: Workspace, events: Callable[[], Any]) -> None:
    put_day(watched, DAYS[0], 1)
    look(watched, FIRST_END + timedelta(hours=7))

    put_day(watched, DAYS[1], 1)
    make(watched, "dt=2013-01-01")
    look(watched, FIRST_END + timedelta(days=1, hours=7))
    look(watched, FIRST_END + timedelta(days=2, hours=7))

    assert [each["findings"] for each in events()[1:]] == [
        [
            f"doubled of dt=2013-01-02 is not fresh within 6 h 0 min: never made; {NEXT}",
            "doubled of dt=2013-01-01 is fresh again",
        ],
        [
            "doubled of dt=2013-01-03 is not fresh within 6 h 0 min: nothing of events has arrived; "
            "see to what it waits for"
        ],
    ]


def test_late_data_has_to_be_read_within_the_same_time(watched: Workspace, events: Callable[[], Any]) -> None:
    for day in DAYS:
        put_day(watched, day, 1)
    make(watched, "dt=2013-01-01..dt=2013-01-03")
    put_day(watched, DAYS[1], 1, 2)

    assert look(watched, WRITTEN + timedelta(hours=6)) == 0
    assert look(watched, WRITTEN + timedelta(hours=7)) == 1
    make(watched, "dt=2013-01-02")
    assert look(watched, WRITTEN + timedelta(hours=8)) == 1

    assert [each["findings"] for each in events()] == [
        [f"doubled of dt=2013-01-02 is not fresh within 6 h 0 min: raw/events/dt=2013-01-02 has changed; {NEXT}"],
        ["doubled of dt=2013-01-02 is fresh again"],
    ]


def test_partition_that_looks_ahead_is_not_fresh_only_after_what_it_looks_ahead_on(
    watched: Workspace, events: Callable[[], Any]
) -> None:
    """GIVEN two days of which the last waits for the next one THEN its time counts from the end of that."""
    conform, doubled, _ = watched.pipeline.steps
    looks_ahead = replace(doubled, reads=(Input("conform", look_ahead=1),))
    ahead = replace(watched, pipeline=replace(watched.pipeline, steps=(conform, looks_ahead)))
    for day in DAYS[:2]:
        put_day(ahead, day, 1)
    run_step(ahead, "conform", "dt=2013-01-01..dt=2013-01-02")

    assert look(ahead, datetime(2013, 1, 3, 6, 0, 0, tzinfo=UTC)) == 0
    assert look(ahead, datetime(2013, 1, 3, 6, 0, 1, tzinfo=UTC)) == 1
    assert look(ahead, datetime(2013, 1, 4, 6, 0, 0, tzinfo=UTC)) == 0
    assert look(ahead, datetime(2013, 1, 4, 6, 0, 1, tzinfo=UTC)) == 1

    assert [[finding.partition(":")[0] for finding in each["findings"]] for each in events()] == [
        ["doubled of dt=2013-01-01 is not fresh within 6 h 0 min"],
        [f"doubled of dt=2013-01-0{day} is not fresh within 6 h 0 min" for day in (2, 3)],
    ]


def test_look_that_dies_before_it_announces_is_made_up_for(
    watched: Workspace, events: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_day(watched, DAYS[0], 1)
    with monkeypatch.context() as dying:
        dying.setattr(freshness, "_announce", _die)
        with pytest.raises(OSError, match="killed"):
            look(watched, FIRST_END + timedelta(hours=7))
    assert len(keys_below(watched.lake, "toy/freshness/")) == 1
    make(watched, "dt=2013-01-01")

    assert look(watched, FIRST_END + timedelta(hours=8)) == 2

    assert [each["findings"][0].split(" is ")[1][:5] for each in events()] == ["not f", "fresh"]


def _die(*_: Any) -> int:
    raise OSError("killed")


def test_looks_at_a_history_read_what_is_new(watched: Workspace) -> None:
    """GIVEN fifteen days that were made one by one, THEN the first look leaves copies of their manifests."""
    watched = replace(watched, pipeline=replace(watched.pipeline, end=None))
    days = [DAYS[0].shift(n) for n in range(16)]
    for day in days[:15]:
        put_day(watched, day, 1)
        make(watched, day.key)

    def calls() -> dict[str, int]:
        with counted(watched.lake.bucket) as made:
            look(watched, days[15].end)
        return dict(made)

    first, second = calls(), calls()
    put_day(watched, days[15], 1)
    make(watched, days[15].key)
    third = calls()

    assert first["get"] - second["get"] >= 3 * 15 - 6
    assert third["get"] == second["get"] + 3


def test_step_that_declares_nothing_is_not_watched(watched: Workspace) -> None:
    """Though ``conform`` and ``running`` are late as well."""
    put_day(watched, DAYS[0], 1)

    assert look(watched, FIRST_END + timedelta(days=5)) == 1
    assert {key.split("/")[2] for key in keys_below(watched.lake, "toy/freshness/")} == {"doubled"}
    assert look(replace(watched, pipeline=toy()), FIRST_END + timedelta(days=5)) == 0

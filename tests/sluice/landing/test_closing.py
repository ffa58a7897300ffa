"""A partition is complete or it isn't, and every reader can see which (P5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Cloud
from tests.draining import drain
from tests.sluice.lake_contents import keys_below, manifest_json, partition, put_raw, rows_of
from tests.sluice.toy import EVENTS, message, reading

from sluice.completions import announce_partitions
from sluice.lake.manifests import Manifest
from sluice.lake.store import Lake
from sluice.landing import closing
from sluice.landing.closing import Evidence, close_source, watermark
from sluice.workspace import Workspace

NOON = datetime(2013, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


pytestmark = pytest.mark.usefixtures("short_poll")


def at(lake: Lake, now: datetime) -> Lake:
    return replace(lake, now=lambda: now)


def put_day(lake: Lake, day: str, last: str | None = "12:00", state: str = "open") -> None:
    """Put a raw partition with one event, whose producer gave that time of day."""
    put_raw(lake, EVENTS, day, [message(reading(f"r-{day}", f"{day}T{last}:00+00:00"))], state=state)
    if last is not None:
        moment = datetime.fromisoformat(f"{day}T{last}:00+00:00")
        lake.update_manifest("raw/events", partition(day), lambda before: _with_time(before, moment))


def _with_time(before: Manifest | None, moment: datetime) -> Manifest:
    assert before is not None
    return before.model_copy(update={"first_event_time": moment, "last_event_time": moment})


def states(lake: Lake) -> dict[str, tuple[str, int, int]]:
    """Return the state, the revision and the rows of each raw partition."""
    found = [each.key for each in lake.partitions("raw/events")]
    manifests = {key: manifest_json(lake, "raw/events", key) for key in found}
    return {key[3:]: (each["state"], each["revision"], each["rows_out"]) for key, each in manifests.items()}


def test_watermark_is_the_highest_time_seen_less_the_lateness(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-02", "00:59")

    assert (
        close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False)) == ""
    )  # 00:59 less an hour is the day before
    put_day(lake, "2013-01-02", "01:00")
    assert close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False)) == "dt=2013-01-01"

    assert states(lake) == {"2013-01-01": ("closed", 1, 1), "2013-01-02": ("open", 0, 1)}


def test_watermark_of_a_queue_that_is_drained_empty_is_the_wall_clock(lake: Lake) -> None:
    put_day(lake, "2013-01-09")
    put_day(lake, "2013-01-10")

    closed = close_source(at(lake, NOON), EVENTS, Evidence(is_drained=True))

    assert closed == "dt=2013-01-09"
    assert states(lake)["2013-01-10"] == ("open", 0, 1)


def test_nothing_is_closed_without_a_watermark(lake: Lake) -> None:
    assert close_source(at(lake, NOON), EVENTS, Evidence(is_drained=True)) == ""
    assert keys_below(lake, "toy/") == []


def test_event_without_a_time_of_the_producer_closes_nothing(lake: Lake) -> None:
    put_day(lake, "2013-01-01", "12:00")
    put_raw(lake, EVENTS, "2013-01-09", [message("no json")], state="open")

    assert close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False)) == ""


def test_event_from_the_future_closes_only_past_partitions(lake: Lake) -> None:
    """GIVEN a producer whose clock is a day ahead, THEN partitions that are not over stay open."""
    for day in ("2013-01-09", "2013-01-10", "2013-01-11"):
        put_day(lake, day, "12:00")

    assert close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False)) == "dt=2013-01-09"
    assert {day: state for day, (state, _, _) in states(lake).items()} == {
        "2013-01-09": "closed",
        "2013-01-10": "open",
        "2013-01-11": "open",
    }


TIMES = st.lists(st.none() | st.integers(-100, 100).map(lambda hours: NOON + hours * HOUR), max_size=5)


@given(TIMES, st.booleans(), st.integers(0, 48))
def test_watermark_never_passes_the_seen_times_or_the_clock(
    times: Sequence[datetime | None], drained_empty: bool, lateness: int
) -> None:
    manifests = [
        Manifest(dataset="raw/events", partition="dt=2013-01-01", state="open", last_event_time=time, written_at=NOON)
        for time in times
    ]
    source = replace(EVENTS, lateness=lateness * HOUR)

    passed = watermark(manifests, source, Evidence(drained_empty), NOON)

    seen = [time for time in times if time is not None]
    if drained_empty:
        assert passed == NOON - lateness * HOUR
    elif not seen:
        assert passed is None
    else:
        assert passed == min(NOON, max(seen)) - lateness * HOUR


def test_gap_is_closed_empty_so_that_no_run_waits_for_it(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-04")
    put_day(lake, "2013-01-07", "12:00")

    closed = close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False))

    assert closed == "dt=2013-01-01..dt=2013-01-06"
    empty = ("closed", 1, 0)
    assert states(lake) == {
        "2013-01-01": ("closed", 1, 1),
        **dict.fromkeys(["2013-01-02", "2013-01-03", "2013-01-05", "2013-01-06"], empty),
        "2013-01-04": ("closed", 1, 1),
        "2013-01-07": ("open", 0, 1),
    }


def test_late_data_in_a_gap_raises_its_revision(lake: Lake, sqs: Any, queue: str) -> None:
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-03")
    close_source(at(lake, NOON), EVENTS, Evidence(is_drained=True))
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=reading("late", "2013-01-02T07:00:00+00:00"),
        MessageGroupId="g",
        MessageDeduplicationId="late",
    )

    drain(sqs, queue, lake, EVENTS, "day")

    assert states(lake)["2013-01-02"] == ("closed", 2, 1)


@pytest.mark.parametrize("day", ["1970-01-01", "0001-01-01"])
def test_unset_clock_does_not_close_a_partition_for_every_day_since(lake: Lake, day: str) -> None:
    """One event of the year 1970 or 1 must neither make thousands of empty partitions nor stop the closing."""
    put_day(lake, day)
    put_day(lake, "2013-01-08")
    put_day(lake, "2013-01-10", "01:00")

    closed = close_source(at(lake, NOON), EVENTS, Evidence(is_drained=False))

    assert closed == f"dt={day},dt=2013-01-08..dt=2013-01-09"
    assert set(states(lake)) == {day, "2013-01-08", "2013-01-09", "2013-01-10"}


def test_gap_is_closed_up_to_the_longest_length_of_a_silence(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "_LONGEST_GAP", 3)
    for day in ("2013-01-01", "2013-01-05", "2013-01-10"):
        put_day(lake, day)

    closed = close_source(at(lake, datetime(2014, 1, 1, tzinfo=UTC)), EVENTS, Evidence(is_drained=True))

    assert closed == "dt=2013-01-01..dt=2013-01-05,dt=2013-01-10"


def test_closing_again_changes_nothing(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    first = close_source(at(lake, NOON), EVENTS, Evidence(is_drained=True))
    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")

    second = close_source(at(lake, NOON + HOUR), EVENTS, Evidence(is_drained=True))

    assert first == second == "dt=2013-01-01"  # until it is announced
    assert manifest_json(lake, "raw/events", "dt=2013-01-01") == manifest


def test_announced_partition_is_returned_again_only_when_it_has_changed(workspace: Workspace) -> None:
    lake = at(workspace.lake, NOON)
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-02")
    announce_partitions(workspace, "raw/events", close_source(lake, EVENTS, Evidence(is_drained=True)), "run-1")
    assert close_source(lake, EVENTS, Evidence(is_drained=True)) == ""

    put_raw(lake, EVENTS, "2013-01-02", [message(reading("late", "2013-01-02T07:00:00+00:00"), 2)])

    assert close_source(lake, EVENTS, Evidence(is_drained=True)) == "dt=2013-01-02"


def test_two_closers_and_a_drain_at_once_lose_nothing(cloud: Cloud, lake: Lake, sqs: Any, queue: str) -> None:
    """Each partition is closed once; the data of the drain is in it, as first content or as late data."""
    days = [f"2013-01-{day:02d}" for day in range(1, 9)]
    for day in days:
        put_day(lake, day)
        sqs.send_message(
            QueueUrl=queue,
            MessageBody=json.dumps({"id": f"drained-{day}", "at": f"{day}T13:00:00+00:00", "value": 1}),
            MessageGroupId=day,
            MessageDeduplicationId=day,
        )
    start = Barrier(3)

    def run(work: int) -> None:
        own = Lake(cloud.client("s3"), lake.bucket, "toy", lambda: NOON)
        start.wait(timeout=30)
        if work == 0:
            drain(cloud.client("sqs"), queue, own, EVENTS, "day")
        else:
            close_source(own, EVENTS, Evidence(is_drained=True))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))

    for day, (state, revision, rows) in states(lake).items():
        assert (state, rows) == ("closed", 2)
        assert revision in {1, 2}, "closed once, and at most once changed after that"
        assert {row["event_id"] for row in rows_of(lake, "raw/events", f"dt={day}")} == {f"r-{day}", f"drained-{day}"}

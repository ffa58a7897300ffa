"""A partition is complete or it isn't, and every reader can see which (P5)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.calendars import utc_ranges
from tests.conftest import Cloud
from tests.draining import ALL_LANDED, drain, record_from_sqs
from tests.sluice.lake_contents import keys_below, manifest_json, partition, put_raw, rows_of
from tests.sluice.toy import EVENTS, TOY, message, reading, toy

from sluice.completions import announce_landed
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Close, FifoQueue
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.pending import expect
from sluice.lake.store import Lake
from sluice.landing import closing
from sluice.landing.closing import Evidence, close_source, is_empty_by_rule, watermark
from sluice.landing.parts import Landing, Parts
from sluice.workspace import Workspace

NOON = datetime(2013, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


pytestmark = pytest.mark.usefixtures("short_poll")


def close(lake: Lake, evidence: Evidence = ALL_LANDED, source: FifoQueue = EVENTS, pipeline: Pipeline = TOY) -> str:
    return close_source(replace(lake, calendar=pipeline.calendar), pipeline, source, evidence)


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


def manifest_count(lake: Lake) -> int:
    return sum(key.endswith("/_manifest.json") for key in keys_below(lake, "toy/raw/events/"))


NOTHING_PROVED = Evidence(landed_until=None)


def test_nothing_closes_without_evidence_however_late_the_event_times_are(lake: Lake) -> None:
    for day in ("2013-01-01", "2013-01-02", "2013-01-10"):
        put_day(lake, day)

    assert close(at(lake, NOON), NOTHING_PROVED) == ""
    assert {state for state, _, _ in states(lake).values()} == {"open"}


def test_watermark_trails_the_evidence_by_the_lateness(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-02")
    midnight = datetime(2013, 1, 3, tzinfo=UTC)

    assert close(at(lake, NOON), Evidence(midnight + timedelta(minutes=59))) == "dt=2013-01-01"
    assert close(at(lake, NOON), Evidence(midnight + HOUR)) == "dt=2013-01-01..dt=2013-01-02"


def test_watermark_never_passes_the_wall_clock_less_the_lateness(lake: Lake) -> None:
    put_day(lake, "2013-01-09")
    put_day(lake, "2013-01-10")
    put_day(lake, "2013-01-11")  # a producer whose clock is ahead

    assert close(at(lake, NOON)) == "dt=2013-01-09"
    assert {day: state for day, (state, _, _) in states(lake).items()} == {
        "2013-01-09": "closed",
        "2013-01-10": "open",
        "2013-01-11": "open",
    }


MOMENTS = st.none() | st.integers(-100, 100).map(lambda hours: NOON + hours * HOUR)


@given(MOMENTS, MOMENTS, st.integers(0, 48), st.sampled_from(["evidence", "event_time"]))
def test_watermark_is_bounded_by_what_counts(
    landed: datetime | None, reached: datetime | None, lateness: int, by: Close
) -> None:
    passed = watermark(replace(EVENTS, lateness=lateness * HOUR, close=by), Evidence(landed, reached), NOON)

    counts = [moment for moment in (landed, reached if by == "event_time" else None) if moment is not None]
    assert passed == (min(NOON, max(counts)) - lateness * HOUR if counts else None)


def test_source_with_a_backlog_closes_by_event_times_only_if_it_is_declared_so(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    evidence = Evidence(landed_until=None, reached=datetime(2013, 1, 2, 1, tzinfo=UTC))

    assert close(at(lake, NOON), evidence) == ""
    assert close(at(lake, NOON), evidence, replace(EVENTS, close="event_time")) == "dt=2013-01-01"


# What is empty


def test_partitions_that_had_passed_when_the_source_is_first_observed_are_empty_by_rule(lake: Lake) -> None:
    """Before the first event, and between two of history: nothing is written for them, and nothing waits for them."""
    put_day(lake, "2013-01-04")
    put_day(lake, "2013-01-07")
    days = [partition(f"2013-01-{day:02d}") for day in range(1, 12)]
    assert not any(is_empty_by_rule(lake, "events", day) for day in days)

    assert close(at(lake, NOON)) == "dt=2013-01-04,dt=2013-01-07"

    assert set(states(lake)) == {"2013-01-04", "2013-01-07"}
    assert [is_empty_by_rule(lake, "events", day) for day in days] == [True] * 9 + [False] * 2


def test_silence_closes_empty_up_to_the_watermark(lake: Lake) -> None:
    put_day(lake, "2013-01-09")
    close(at(lake, NOON))

    closed = close(at(lake, NOON + timedelta(days=3)))

    assert closed == "dt=2013-01-09..dt=2013-01-12"
    assert {day: states(lake)[day] for day in ("2013-01-10", "2013-01-11", "2013-01-12")} == dict.fromkeys(
        ["2013-01-10", "2013-01-11", "2013-01-12"], ("closed", 1, 0)
    )


def test_silence_after_the_end_of_the_pipeline_is_nobody_s_business(lake: Lake) -> None:
    ended = toy(end=datetime(2013, 1, 10, tzinfo=UTC))
    put_day(lake, "2013-01-09")
    close(at(lake, NOON), pipeline=ended)

    assert close(at(lake, NOON + timedelta(days=30)), pipeline=ended) == "dt=2013-01-09..dt=2013-01-10"


def test_source_that_never_had_an_event_writes_no_manifests(lake: Lake) -> None:
    assert close(at(lake, NOON)) == ""
    assert close(at(lake, NOON + timedelta(days=3))) == ""

    assert manifest_count(lake) == 0
    assert is_empty_by_rule(lake, "events", partition("2013-01-12"))
    assert not is_empty_by_rule(lake, "events", partition("2013-01-13"))


def test_six_weeks_of_silent_hours_close(lake: Lake) -> None:
    hourly = toy(every="hour")
    put_raw(lake, EVENTS, "2013-01-10/hour=10", [message(reading("r", "2013-01-10T10:10:00+00:00"))], state="open")
    close(at(lake, NOON), pipeline=hourly)

    closed = close(at(lake, NOON + timedelta(weeks=6)), pipeline=hourly)

    assert closed == "dt=2013-01-10/hour=10..dt=2013-02-21/hour=10"
    assert manifest_count(lake) == 6 * 7 * 24 + 1


def test_silence_that_nobody_can_afford_is_empty_by_rule(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "_LONGEST_SILENCE", 3)
    put_day(lake, "2013-01-09")
    close(at(lake, NOON))

    assert close(at(lake, NOON + timedelta(days=4))) == "dt=2013-01-09"
    assert is_empty_by_rule(lake, "events", partition("2013-01-13"))
    assert close(at(lake, NOON + timedelta(days=7))) == "dt=2013-01-09,dt=2013-01-14..dt=2013-01-16"


def test_wrong_clocks_do_not_close_the_hours_since(lake: Lake) -> None:
    """GIVEN three clocks that are weeks behind, one that was never set and one of the year 1, THEN nothing is empty."""
    hours = [
        "2013-01-10/hour=10",
        "2012-11-30/hour=06",
        "2012-10-20/hour=00",
        "1970-01-01/hour=00",
        "0001-01-01/hour=00",
    ]
    for hour in hours:
        put_raw(lake, EVENTS, hour, [message(reading("r", "2013-01-10T10:10:00+00:00"))], state="open")

    closed = close(at(lake, NOON), pipeline=toy(every="hour"))

    assert closed == ",".join(f"dt={hour}" for hour in sorted(hours))
    assert manifest_count(lake) == len(hours)


def test_late_data_in_a_silence_raises_its_revision(lake: Lake, sqs: Any, queue: str) -> None:
    put_day(lake, "2013-01-09")
    close(at(lake, NOON))
    close(at(lake, NOON + timedelta(days=3)))
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=reading("late", "2013-01-11T07:00:00+00:00"),
        MessageGroupId="g",
        MessageDeduplicationId="late",
    )

    drain(sqs, queue, lake, EVENTS)

    assert states(lake)["2013-01-11"] == ("closed", 2, 1)


def test_event_of_a_time_that_is_empty_by_rule_opens_its_partition(lake: Lake) -> None:
    put_day(lake, "2013-01-09")
    close(at(lake, NOON))

    put_day(lake, "2013-01-05")

    assert close(at(lake, NOON)) == "dt=2013-01-05,dt=2013-01-09"


def test_clock_that_goes_back_opens_nothing_and_closes_only_what_has_passed_by_it(lake: Lake) -> None:
    """GIVEN a source that was first seen by a clock ten days ahead, THEN those days are not empty for good."""
    for day in ("2013-01-01", "2013-01-09", "2013-01-12"):
        put_day(lake, day)
    close(at(lake, NOON + timedelta(days=10)))
    closed = states(lake)
    assert closed["2013-01-12"] == ("closed", 1, 1)
    assert is_empty_by_rule(lake, "events", partition("2013-01-15"))

    close(at(lake, NOON))

    assert states(lake) == closed
    assert not is_empty_by_rule(lake, "events", partition("2013-01-15"))
    assert is_empty_by_rule(lake, "events", partition("2013-01-08"))

    close(at(lake, NOON + timedelta(days=1)))
    put_day(lake, "2013-01-13")
    close(at(lake, NOON + timedelta(days=2)))

    assert states(lake) == {
        **closed,
        "2013-01-10": ("closed", 1, 0),
        "2013-01-11": ("closed", 1, 0),
        "2013-01-13": ("open", 0, 1),
    }


# Closing


def test_closing_again_changes_nothing(lake: Lake) -> None:
    put_day(lake, "2013-01-01")
    first = close(at(lake, NOON))
    manifest = manifest_json(lake, "raw/events", "dt=2013-01-01")

    second = close(at(lake, NOON + HOUR))

    assert first == second == "dt=2013-01-01"  # until it is announced
    assert manifest_json(lake, "raw/events", "dt=2013-01-01") == manifest


@pytest.mark.parametrize("state", ["open", "closed"])
def test_manifest_that_can_not_be_read_stops_its_own_partition_only(
    lake: Lake, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    """P17: all others close, also the days of silence around it. The log names it; nothing is written over it."""
    close(at(lake, datetime(2013, 1, 1, 12, tzinfo=UTC)))  # since then the source is observed
    for day in ("2013-01-01", "2013-01-02", "2013-01-04"):
        put_day(lake, day, state=state if day == "2013-01-02" else "open")
    key = lake.layout.manifest("raw/events", partition("2013-01-02"))
    former = lake.get(key)
    lake.put(key, former[:-9])

    closed = close(at(lake, datetime(2013, 1, 6, 12, tzinfo=UTC)))

    assert closed == "dt=2013-01-01,dt=2013-01-03..dt=2013-01-05"
    assert lake.get(key) == former[:-9]
    assert f"{lake.uri(key)} is no JSON: it is cut off or damaged; restore its former version" in caplog.text

    lake.put(key, former)

    assert close(at(lake, datetime(2013, 1, 6, 12, tzinfo=UTC))) == "dt=2013-01-01..dt=2013-01-05"


def test_announced_partition_is_returned_again_only_when_it_has_changed(workspace: Workspace) -> None:
    lake = at(workspace.lake, NOON)
    put_day(lake, "2013-01-01")
    put_day(lake, "2013-01-02")
    assert close(lake) == "dt=2013-01-01..dt=2013-01-02"
    assert announce_landed(workspace, "events", "run-1") == 2
    assert close(lake) == ""

    put_raw(lake, EVENTS, "2013-01-02", [message(reading("late", "2013-01-02T07:00:00+00:00"), 2)])

    assert close(lake) == "dt=2013-01-02"


def test_silent_partitions_are_announced(workspace: Workspace) -> None:
    lake = at(workspace.lake, NOON)
    put_day(lake, "2013-01-09")
    close(lake)
    announce_landed(workspace, "events", "run-1")

    assert close(at(lake, NOON + timedelta(days=2))) == "dt=2013-01-10..dt=2013-01-11"
    assert announce_landed(workspace, "events", "run-2") == 2


def test_writer_that_was_overtaken_by_the_close_has_its_event_announced(workspace: Workspace) -> None:
    """It has the partition as open in its cache, which was closed and announced since."""
    lake = at(workspace.lake, NOON)
    with ThreadPoolExecutor(1) as pool:
        parts = Parts(Landing(lake, "events"), pool)
        parts.land([record_from_sqs(message(reading("r", "2013-01-01T07:00:00+00:00")), EVENTS)])
        close(lake)
        announce_landed(workspace, "events", "run-1")

        parts.land([record_from_sqs(message(reading("late", "2013-01-01T08:00:00+00:00"), 2), EVENTS)])

    assert close(lake) == "dt=2013-01-01"
    assert announce_landed(workspace, "events", "run-2") == 1


def test_late_data_on_scattered_days_is_announced_in_full(workspace: Workspace) -> None:
    lake, first = workspace.lake, partition("2013-01-01")
    days = [first.shift(n) for n in range(0, 440, 2)]

    def put(day: Partition) -> None:
        manifest = Manifest(dataset="raw/events", partition=day.key, state="closed", revision=2, written_at=NOON)
        lake.update_manifest("raw/events", day, lambda _: manifest)

    expect(lake, "events", dict.fromkeys(days, 2))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, days))

    assert utc_ranges(close(lake)) == days
    assert announce_landed(workspace, "events", "run") == len(days)
    assert close(lake) == ""


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
            drain(cloud.client("sqs"), queue, own, EVENTS)
        else:
            close(own)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))

    for day, (state, revision, rows) in states(lake).items():
        assert (state, rows) == ("closed", 2)
        assert revision in {1, 2}, "closed once, and at most once changed after that"
        assert {row["event_id"] for row in rows_of(lake, "raw/events", f"dt={day}")} == {f"r-{day}", f"drained-{day}"}

"""A lake has one grain and one zone: a declaration that was changed mixes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from tests.calendars import utc
from tests.conftest import Cloud
from tests.sluice.lake_contents import put_raw
from tests.sluice.s3_calls import counted
from tests.sluice.toy import EVENTS, message, reading

from sluice.dataset.snapshot import make_snapshot
from sluice.errors import DeclarationError
from sluice.lake.division import Division, require_division
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake
from sluice.lateness import late_partitions
from sluice.sources.due import due_partitions
from sluice.status import pipeline_status
from sluice.steps.outlook import outlook
from sluice.workspace import Workspace

DAY = utc("dt=2013-01-15")
NOON = datetime(2013, 1, 15, 12, tzinfo=UTC)
OTHERS = [
    Calendar("hour"),
    Calendar("week"),
    Calendar("month"),
    Calendar("day", "America/New_York"),
    Calendar("month", "America/New_York"),
]


def divided(lake: Lake, calendar: Calendar) -> Lake:
    """Return the lake as a pipeline with another declaration opens it."""
    return replace(lake, calendar=calendar)


def write(lake: Lake) -> None:
    partition = Partition.containing(NOON, lake.calendar)
    manifest = Manifest(dataset="conform", partition=partition.key, state="closed", written_at=NOON)
    lake.update_manifest("conform", partition, lambda _: manifest)


def bodies(lake: Lake) -> Mapping[str, bytes]:
    return {key: lake.get(key) for key, _, _ in lake.objects("")}


def test_first_manifest_puts_the_division_on_record(lake: Lake) -> None:
    write(divided(lake, Calendar("month", "America/New_York")))

    assert bodies(lake)["toy/division.json"] == b'{"schema_version":1,"every":"month","zone":"America/New_York"}'


@pytest.mark.parametrize("former", OTHERS)
@pytest.mark.parametrize("calendar", [*OTHERS, Calendar("day")])
def test_another_division_is_refused_and_changes_nothing(lake: Lake, former: Calendar, calendar: Calendar) -> None:
    write(divided(lake, former))
    before, other = bodies(lake), divided(lake, calendar)
    if former == calendar:
        require_division(other)
        write(other)
    else:
        message = (
            f"^pipeline toy declares every='{calendar.every}' and zone='{calendar.zone}', but the lake under s3:.*[^/]/"
            f"toy/ has partitions of every='{former.every}' and zone='{former.zone}'; keep these, or give"
        )
        with pytest.raises(DeclarationError, match=message):
            require_division(other)
        with pytest.raises(DeclarationError, match=message):
            write(other)

    assert bodies(lake) == before


@pytest.mark.parametrize("key", ["2013-01-15", "2013-01-15/hour=07"])
@pytest.mark.parametrize("calendar", [*OTHERS, Calendar("day")])
def test_lake_without_a_record_has_the_hours_or_days_of_its_keys(lake: Lake, key: str, calendar: Calendar) -> None:
    """GIVEN the lake of an earlier version, THEN its keys say how it is divided, and the next write records that."""
    put_raw(lake, EVENTS, key, [message(reading("r", NOON))])
    lake.s3.delete_object(Bucket=lake.bucket, Key="toy/division.json")
    before = bodies(lake)
    former = utc(f"dt={key}").calendar

    if calendar == former:
        write(divided(lake, calendar))
        assert (
            bodies(lake)["toy/division.json"]
            == f'{{"schema_version":1,"every":"{former.every}","zone":"UTC"}}'.encode()
        )
        assert {**bodies(lake), **before} == bodies(lake)
    else:
        with pytest.raises(DeclarationError, match=f"has partitions of every='{former.every}' and zone='UTC'"):
            write(divided(lake, calendar))
        assert bodies(lake) == before


def test_parts_of_a_drain_that_died_say_nothing(lake: Lake) -> None:
    lake.put("toy/raw/events/dt=2013-01-15/part-1-a.parquet", b"")
    lake.put("toy/raw/events/_manifest.json", b"")

    require_division(divided(lake, Calendar("day", "America/New_York")))


def test_writers_that_begin_a_lake_at_once_agree(cloud: Cloud, lake: Lake) -> None:
    """A manifest of another writer is none of an earlier version: the record is there before it."""
    calendar, first = Calendar("day", "America/New_York"), utc("dt=2013-01-01")
    start = Barrier(16)

    def begin(n: int) -> None:
        own = Lake(cloud.client("s3"), lake.bucket, "toy", calendar=calendar)
        start.wait()
        partition = Partition.parse(first.shift(n).key, calendar)
        manifest = Manifest(dataset="raw/events", partition=partition.key, state="open", written_at=NOON)
        own.update_manifest("raw/events", partition, lambda _: manifest)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(begin, range(16)))

    assert len(lake.partitions("raw/events")) == 16
    assert Division.model_validate_json(bodies(lake)["toy/division.json"]).zone == "America/New_York"


def test_lake_that_another_writer_has_begun_meanwhile_is_none_of_an_earlier_version(lake: Lake) -> None:
    calendar = Calendar("day", "America/New_York")
    slow, fast = divided(lake, calendar), divided(lake, calendar)
    partition = Partition.containing(NOON, calendar)
    manifest = Manifest(dataset="raw/events", partition=partition.key, state="open", written_at=NOON)
    assert slow.division is None

    fast.update_manifest("raw/events", partition, lambda _: manifest)

    slow.update_manifest("raw/events", partition.shift(1), lambda _: manifest)


def test_partition_of_another_calendar_is_never_written(lake: Lake) -> None:
    foreign = Partition.parse("dt=2013-01-15", Calendar("day", "Asia/Tokyo"))

    with pytest.raises(DeclarationError, match="ask for partitions of the pipeline's calendar"):
        lake.update_manifest("conform", foreign, lambda _: pytest.fail("it is not asked for"))
    assert "toy/conform/dt=2013-01-15/_manifest.json" not in bodies(lake)


@pytest.mark.parametrize(
    "read",
    [outlook, late_partitions, pipeline_status, make_snapshot, lambda workspace: due_partitions(workspace, 1)],
    ids=["plan", "late", "status", "snapshot", "dispatch"],
)
@pytest.mark.parametrize("changes", [{"every": "hour"}, {"every": "month"}])
def test_whoever_reads_partitions_refuses_another_division(
    workspace: Workspace, read: Callable[[Workspace], object], changes: Mapping[str, Any]
) -> None:
    write(workspace.lake)
    pipeline = replace(workspace.pipeline, **changes)
    other = replace(workspace, pipeline=pipeline, lake=divided(workspace.lake, pipeline.calendar))

    with pytest.raises(DeclarationError, match=r"^pipeline toy declares every=.*; keep these, or give"):
        read(other)


def test_partition_that_is_there_costs_no_look_at_the_record(lake: Lake) -> None:
    """Its manifest has the zone, so a cycle that lands into it makes no call more (P15)."""
    zoned = divided(lake, Calendar("day", "America/New_York"))
    write(zoned)
    with counted(lake.bucket) as calls:
        write(replace(zoned))

    assert calls == {"get": 1}


def test_manifest_of_another_zone_under_the_same_key_is_never_changed(lake: Lake) -> None:
    write(lake)
    before = bodies(lake)

    with pytest.raises(DeclarationError, match="has partitions of every='day' and zone='UTC'"):
        write(divided(lake, Calendar("day", "America/New_York")))
    assert bodies(lake) == before


def test_record_is_read_once(lake: Lake) -> None:
    write(lake)
    again = replace(lake)
    with counted(lake.bucket) as calls:
        require_division(again)
        for _ in range(3):
            write(again)

    assert sum(calls.values()) == 1 + 3  # the record, and the manifest each time

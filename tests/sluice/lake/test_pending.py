"""The list of what is pending may have too much after a crash, and never too little."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conftest import Cloud
from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.pending import expect, next_revision, read_pending, see_pending, settle
from sluice.lake.store import Lake

DAYS = [partition(f"2013-01-{day:02d}") for day in range(1, 21)]


def listed(lake: Lake) -> dict[str, int]:
    return dict(read_pending(lake, "events").revisions)


def manifest(lake: Lake, day: Partition) -> Manifest:
    found = lake.manifest("raw/events", day)
    assert found is not None
    return found


@pytest.mark.parametrize(("state", "revision", "expected"), [("open", 0, 1), ("closed", 1, 2), ("closed", 7, 8)])
def test_revision_that_is_expected(lake: Lake, state: str, revision: int, expected: int) -> None:
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")])
    before = manifest(lake, DAYS[0]).model_copy(update={"state": state, "revision": revision})

    assert next_revision(before) == expected
    assert next_revision(None) == 1


def test_twenty_writers_at_once_lose_no_partition(cloud: Cloud, lake: Lake) -> None:
    def write(day: Partition) -> None:
        expect(Lake(cloud.client("s3"), lake.bucket, "toy"), "events", {day: 1})

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(write, DAYS))

    assert listed(lake) == {day.key: 1 for day in DAYS}
    assert read_pending(lake, "events").partitions(lake.calendar) == DAYS


def test_partition_stays_while_another_change_of_it_is_expected(lake: Lake) -> None:
    """A writer that has announced its change, and died before it, leaves the partition on the list."""
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")])
    put_raw(lake, EVENTS, "2013-01-02", [message("{}")])
    _, seen = see_pending(lake, "events")
    expect(lake, "events", {DAYS[0]: 2})

    settle(lake, "events", [manifest(lake, DAYS[0]), manifest(lake, DAYS[1])], seen)

    assert listed(lake) == {DAYS[0].key: 2}


def test_lower_revision_does_not_replace_a_higher_one(lake: Lake) -> None:
    expect(lake, "events", {DAYS[0]: 3})
    expect(lake, "events", {DAYS[0]: 2})

    assert listed(lake) == {DAYS[0].key: 3}


def test_list_that_is_gone_is_made_again_of_all_manifests(lake: Lake) -> None:
    """So it is with a lake of an earlier version of Sluice."""
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")], state="open")
    put_raw(lake, EVENTS, "2013-01-02", [message("{}")])
    put_raw(lake, EVENTS, "2013-01-02", [message(reading("late", "2013-01-02T07:00:00+00:00"))])
    lake.s3.delete_object(Bucket=lake.bucket, Key=lake.layout.pending("events"))

    assert listed(lake) == {"dt=2013-01-01": 1, "dt=2013-01-02": 2}
    lake.s3.delete_object(Bucket=lake.bucket, Key=lake.layout.pending("events"))
    expect(lake, "events", {DAYS[4]: 1})
    assert listed(lake) == {"dt=2013-01-01": 1, "dt=2013-01-02": 2, "dt=2013-01-05": 1}

"""Which objects of a drop hold rows, and to which partition they belong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.calendars import utc
from tests.sluice.lake_contents import partition
from tests.sluice.toy import DROPS

from sluice.lake.grains import Grain
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake
from sluice.sources.drops.listing import Dropped, Listing, folders, list_all_drops, list_drops, partition_of

DAY = partition("2013-01-15")


def put(lake: Lake, *paths: str) -> None:
    for path in paths:
        lake.s3.put_object(Bucket=lake.bucket, Key=DROPS.prefix + path, Body=b"x")


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("dt=2013-01-15/a.csv", True),
        ("dt=2013-01-15/more/a.csv", True),
        ("dt=2013-01-15/a_b.c.csv", True),
        ("dt=2013-01-15/_a.csv", False),
        ("dt=2013-01-15/.a.csv", False),
        ("dt=2013-01-15/_temporary/0/a.csv", False),
        ("dt=2013-01-15/.spark/a.csv", False),
        ("_delta_log/dt=2013-01-15/a.csv", False),
    ],
)
def test_hidden_names_and_folders_hold_no_rows(path: str, holds: bool) -> None:
    assert Dropped(path, path, 1, "etag").holds_rows is holds


@pytest.mark.parametrize(
    ("path", "every", "key"),
    [
        ("dt=2013-01-15/a.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/hour=23/a.csv", "day", "dt=2013-01-15"),
        ("dt=2013-01-15/hour=07/a.csv", "hour", "dt=2013-01-15/hour=07"),
        ("dt=2013-01-15/hour=7/a.csv", "hour", "dt=2013-01-15/hour=07"),
        ("dt=2013-01-15/a.csv", "hour", None),
        ("dt=2013-01-15/hour=24/a.csv", "hour", None),
        ("dt=2013-02-30/a.csv", "day", None),
        ("dt=2013-01-15", "day", None),
        ("more/dt=2013-01-15/a.csv", "day", None),
        ("dt=2013-1-15/a.csv", "day", None),
        ("month=2013-01/a.csv", "month", "month=2013-01"),
        ("dt=2013-01-15/a.csv", "month", "month=2013-01"),
        ("dt=2013-01-15/hour=7/a.csv", "month", "month=2013-01"),
        ("week=2013-01-14/a.csv", "month", None),
        ("week=2013-01-14/a.csv", "week", "week=2013-01-14"),
        ("week=2013-01-15/a.csv", "week", None),
        ("dt=2013-01-20/a.csv", "week", "week=2013-01-14"),
        ("month=2013-01/a.csv", "day", None),
    ],
)
def test_object_belongs_to_the_partition_whose_folder_contains_it(path: str, every: Grain, key: str | None) -> None:
    found = partition_of(path, Calendar(every))

    assert (None if found is None else found.key) == key


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("dt=2013-01-15", ("dt=2013-01-15/",)),
        ("dt=2013-01-15/hour=00", ("dt=2013-01-15/hour=00/", "dt=2013-01-15/hour=0/")),
        ("dt=2013-01-15/hour=09", ("dt=2013-01-15/hour=09/", "dt=2013-01-15/hour=9/")),
        ("dt=2013-01-15/hour=10", ("dt=2013-01-15/hour=10/",)),
    ],
)
def test_hour_below_ten_has_two_folders(key: str, found: tuple[str, ...]) -> None:
    assert folders(utc(key)) == found


def test_partition_has_its_own_objects_in_key_order_and_no_folders_of_the_console(lake: Lake) -> None:
    put(lake, "dt=2013-01-15/b.csv", "dt=2013-01-15/a.csv", "dt=2013-01-15/_SUCCESS", "dt=2013-01-15/", "_SUCCESS")
    put(lake, "dt=2013-01-15/hour=24/c.csv", "dt=2013-01-16/a.csv", "elsewhere/a.csv")

    listed = list_drops(lake, DROPS, [DAY])

    assert [each.path for each in listed.rows(DAY)] == ["dt=2013-01-15/a.csv", "dt=2013-01-15/b.csv"]
    paths = {"dt=2013-01-15": ["dt=2013-01-15/_SUCCESS", "dt=2013-01-15/a.csv", "dt=2013-01-15/b.csv"]}
    assert _paths(listed) == paths
    assert _paths(list_all_drops(lake, DROPS)) == {**paths, "dt=2013-01-16": ["dt=2013-01-16/a.csv"]}


def test_hours_of_a_range_are_listed_under_both_of_their_names_and_no_others(lake: Lake) -> None:
    put(lake, "dt=2013-01-15/hour=8/a", "dt=2013-01-15/hour=09/a", "dt=2013-01-15/hour=9/b", "dt=2013-01-15/hour=10/a")
    put(lake, "dt=2013-01-15/hour=11/a", "dt=2013-01-15/a", "dt=2013-01-16/hour=09/a")
    hours = [utc(f"dt=2013-01-15/hour={hour:02d}") for hour in (9, 10)]
    lake = replace(lake, calendar=hours[0].calendar)

    assert _paths(list_drops(lake, DROPS, hours)) == {
        "dt=2013-01-15/hour=09": ["dt=2013-01-15/hour=09/a", "dt=2013-01-15/hour=9/b"],
        "dt=2013-01-15/hour=10": ["dt=2013-01-15/hour=10/a"],
    }
    assert _paths(list_drops(lake, DROPS, [])) == {}


def test_month_has_the_objects_of_its_folder_and_of_its_days(lake: Lake) -> None:
    lake = replace(lake, calendar=Calendar("month", "America/New_York"))
    put(lake, "month=2013-01/_SUCCESS", "dt=2013-01-01/a", "dt=2013-01-31/a", "dt=2012-12-31/a", "dt=2013-02-01/a")
    put(lake, "month=2013-02/b", "month=2012-12/b")
    january = Partition.parse("month=2013-01", lake.calendar)
    found = {"month=2013-01": ["dt=2013-01-01/a", "dt=2013-01-31/a", "month=2013-01/_SUCCESS"]}

    assert _paths(list_drops(lake, DROPS, [january])) == found
    assert _paths(list_drops(lake, DROPS, [january, january.shift(1)])) == {
        **found,
        "month=2013-02": ["dt=2013-02-01/a", "month=2013-02/b"],
    }
    assert _paths(list_all_drops(lake, DROPS)) == {
        "month=2012-12": ["dt=2012-12-31/a", "month=2012-12/b"],
        **found,
        "month=2013-02": ["dt=2013-02-01/a", "month=2013-02/b"],
    }


def _paths(listed: Listing) -> dict[str, list[str]]:
    return {found.key: [each.path for each in objects] for found, objects in listed.objects.items()}

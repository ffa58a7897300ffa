"""Copies of manifests in bundles: one call reads many of them, and no copy hides what the lake has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.calendars import utc_ranges
from tests.sluice.lake_contents import keys_below
from tests.sluice.s3_calls import counted

from sluice.errors import UnreadableObject
from sluice.lake.bundles import FEW, Bundle
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake

DAYS = utc_ranges("dt=2013-01-01..dt=2013-01-20")
WRITTEN = datetime(2014, 1, 1, tzinfo=UTC)


def write(lake: Lake | Look, day: Partition, rows: int, **members: Any) -> None:
    manifest = Manifest(dataset="conform", partition=day.key, state="closed", rows_out=rows, written_at=WRITTEN)
    lake.update_manifest("conform", day, lambda _: manifest.model_copy(update=members))


def remove(lake: Lake, day: Partition) -> None:
    lake.s3.delete_object(Bucket=lake.bucket, Key=lake.layout.manifest("conform", day))


def filled(lake: Lake, days: Iterable[Partition] = DAYS) -> Look:
    """Write a manifest for each day, and return a look that has copied them."""
    for day in days:
        write(lake, day, 1)
    look = Look(lake)
    look.manifests("conform")
    look.copy_manifests()
    return look


def rows(lake: Lake) -> dict[str, int]:
    return {each.partition: each.rows_out for each in Look(lake).manifests("conform")}


def bundle(lake: Lake, period: str = "2013") -> Bundle:
    found = lake.stored(lake.layout.bundle("conform", period), Bundle).value
    assert found is not None
    return found


def test_copies_are_read_by_one_call(lake: Lake) -> None:
    written = filled(lake).manifests("conform")

    with counted(lake.bucket) as calls:
        found = Look(lake).manifests("conform", DAYS)

    assert calls == {"list": 1, "get": 1}
    assert found == written
    assert len(found) == 20


def test_copy_that_is_out_of_date_counts_for_nothing(lake: Lake) -> None:
    """GIVEN a manifest that another writer replaces, one that it removes, and one that it adds, after the copies."""
    filled(lake)
    write(lake, DAYS[3], 5)
    remove(lake, DAYS[4])
    write(lake, DAYS[-1].shift(1), 7)

    with counted(lake.bucket) as calls:
        found = rows(lake)

    expected = {each.key: 1 for each in DAYS} | {DAYS[3].key: 5, "dt=2013-01-21": 7}
    del expected[DAYS[4].key]
    assert found == expected
    assert calls == {"list": 1, "get": 3}


def test_manifest_that_comes_again_as_it_was_has_its_copy_again(lake: Lake) -> None:
    filled(lake)
    remove(lake, DAYS[4])
    write(lake, DAYS[4], 1)

    with counted(lake.bucket) as calls:
        assert rows(lake) == {each.key: 1 for each in DAYS}

    assert calls == {"list": 1, "get": 1}


def test_what_changes_soon_or_is_large_is_not_copied(lake: Lake) -> None:
    write(lake, DAYS[-1].shift(1), 1, state="open")
    write(lake, DAYS[-1].shift(2), 1, inline=("x" * 2**16,))

    filled(lake)

    assert sorted(bundle(lake).copies) == [each.key for each in DAYS]
    assert len(rows(lake)) == 22


def test_few_manifests_are_not_copied(lake: Lake) -> None:
    filled(lake, DAYS[:FEW])
    assert keys_below(lake, "toy/bundles/") == []

    filled(lake, DAYS[: FEW + 1])
    assert keys_below(lake, "toy/bundles/") == ["toy/bundles/conform/2013.json"]


def test_few_new_ones_wait_until_they_are_many(lake: Lake) -> None:
    """So a run a day writes a bundle once in nine days, though it reads a month."""
    filled(lake)

    def written(days: int) -> int:
        with counted(lake.bucket) as calls:
            for n in range(days):
                write(lake, DAYS[-1].shift(1 + n), 1)
            look = Look(lake)
            look.manifests("conform")
            calls.clear()
            look.copy_manifests()
        return calls["put"]

    assert written(FEW) == 0
    assert written(FEW + 1) == 1
    assert len(bundle(lake).copies) == 20 + FEW + 1


def test_what_a_look_has_written_is_copied_as_it_is_then(lake: Lake) -> None:
    look = filled(lake)
    for day in DAYS[:10]:
        write(look, day, 3)
    again = look.again()
    again.manifests("conform", DAYS)
    again.copy_manifests()

    with counted(lake.bucket) as calls:
        assert rows(lake) == {each.key: 3 for each in DAYS[:10]} | {each.key: 1 for each in DAYS[10:]}
    assert calls == {"list": 1, "get": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"schema_version": 1, "copies": 3}',
        b"\xff\xfe",
        b'{"schema_version": 1, "copies": {"dt=2013-01-01": 1}}',
    ],
)
def test_damaged_bundle_costs_time_alone_and_is_made_again(
    lake: Lake, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    filled(lake)
    lake.put(lake.layout.bundle("conform", "2013"), content)
    look = Look(lake)

    assert [each.rows_out for each in look.manifests("conform")] == [1] * 20
    assert "toy/bundles/conform/2013.json" in caplog.text
    assert "each manifest is read by itself" in caplog.text
    look.copy_manifests()
    assert len(bundle(lake).copies) == 20


def test_copy_of_another_manifest_or_of_a_newer_version_is_not_believed(lake: Lake) -> None:
    """GIVEN the copies of two days exchanged, and one whose JSON this version does not read, THEN all are right."""
    filled(lake)
    for n, day in enumerate(DAYS):
        write(lake, day, n)
    look = Look(lake)
    look.manifests("conform")
    look.copy_manifests()
    copies = dict(bundle(lake).copies)
    first, second, newer = (copies[day.key] for day in DAYS[:3])
    copies[DAYS[0].key] = first.model_copy(update={"manifest": second.manifest})
    copies[DAYS[2].key] = newer.model_copy(update={"manifest": newer.manifest.replace("1,", "2,", 1)})
    lake.put(lake.layout.bundle("conform", "2013"), Bundle(copies=copies).model_dump_json().encode())

    assert list(rows(lake).values()) == list(range(20))


def test_manifest_that_cannot_be_read_is_named_though_others_have_copies(lake: Lake) -> None:
    filled(lake)
    lake.put(lake.layout.manifest("conform", DAYS[3]), b"{")

    with pytest.raises(UnreadableObject, match=r"toy/conform/dt=2013-01-04/_manifest\.json is no JSON"):
        Look(lake).manifests("conform")


def test_writers_at_once_lose_no_copy(lake: Lake) -> None:
    for day in DAYS:
        write(lake, day, 1)

    def copy(days: list[Partition]) -> None:
        look = Look(lake)
        look.manifests("conform", days)
        look.copy_manifests()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(copy, [DAYS[:10], DAYS[10:]]))

    assert sorted(bundle(lake).copies) == [each.key for each in DAYS]


@pytest.mark.parametrize(
    ("first", "calendar", "periods"),
    [
        ("dt=2012-12-22", Calendar("day"), {"2012": 10, "2013": 10}),
        ("dt=2012-12-31/hour=14", Calendar("hour"), {"2012-12": 10, "2013-01": 10}),
        ("month=2012-03", Calendar("month"), {"2012": 10, "2013": 10}),
        ("dt=2012-12-22", Calendar("day", "Asia/Tokyo"), {"2012": 10, "2013": 10}),  # 2012-12-31T15 UTC is in 2013
    ],
)
def test_bundle_has_a_year_or_a_month_of_hours(
    lake: Lake, first: str, calendar: Calendar, periods: Mapping[str, int]
) -> None:
    lake = replace(lake, calendar=calendar)
    begin = Partition.parse(first, calendar)
    written = filled(lake, [begin.shift(n) for n in range(20)]).manifests("conform")

    assert {period: len(bundle(lake, period).copies) for period in periods} == periods
    with counted(lake.bucket) as calls:
        assert Look(lake).manifests("conform") == written
    assert calls == {"list": 1, "get": 2}


_CHANGES = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "copy", "read in part"]), st.integers(0, 19)), max_size=30
)
_NUMBERS = count()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=_CHANGES)
def test_reading_by_copies_is_reading_one_by_one(lake: Lake, changes: list[tuple[str, int]]) -> None:
    """Whatever others do between a look's listing and its copying."""
    lake = replace(lake, pipeline=f"toy{next(_NUMBERS)}")
    looks = [filled(lake, DAYS[:12])]
    right = {day.key: 1 for day in DAYS[:12]}

    def change(what: str, place: int) -> None:
        day = DAYS[place]
        if what == "write":
            right[day.key] = right.get(day.key, 0) + 1
            write(lake, day, right[day.key])
        elif what == "remove":
            right.pop(day.key, None)
            remove(lake, day)
        elif what == "copy":
            looks[place % len(looks)].copy_manifests()
        else:
            looks.append(looks[place % len(looks)].again())
            looks[-1].manifests("conform", DAYS[max(0, place - 10) : place + 1])

    for each in changes:
        change(*each)
        assert rows(lake) == right

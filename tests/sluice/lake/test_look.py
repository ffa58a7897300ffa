"""A look reads each manifest once, and a look again only those that have changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.calendars import utc_ranges
from tests.sluice.s3_calls import counted

from sluice.errors import UnreadableObject
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake

DAYS = utc_ranges("dt=2013-01-01..dt=2013-01-04")
WRITTEN = datetime(2014, 1, 1, tzinfo=UTC)


def write(lake: Lake | Look, day: Partition, rows: int) -> None:
    manifest = Manifest(dataset="conform", partition=day.key, state="closed", rows_out=rows, written_at=WRITTEN)
    lake.update_manifest("conform", day, lambda _: manifest)


def rows(look: Look) -> list[int | None]:
    look.read_manifests(("conform", day) for day in DAYS)
    found = [look.manifest("conform", day) for day in DAYS]
    return [None if each is None else each.rows_out for each in found]


def test_look_again_reads_what_has_changed_and_nothing_else(lake: Lake) -> None:
    """GIVEN a manifest that another writer replaces, one that it removes, and one that it adds."""
    for day in DAYS[:3]:
        write(lake, day, 1)
    look = Look(lake)
    assert rows(look) == [1, 1, 1, None]
    write(lake, DAYS[1], 2)
    lake.s3.delete_object(Bucket=lake.bucket, Key=lake.layout.manifest("conform", DAYS[2]))
    write(lake, DAYS[3], 4)

    with counted(lake.bucket) as calls:
        assert rows(look.again()) == [1, 2, None, 4]

    assert calls == {"list": 1, "get": 2}
    assert rows(look) == [1, 1, 1, None]


def test_what_a_look_has_written_is_read_no_more(lake: Lake) -> None:
    for day in DAYS:
        write(lake, day, 1)
    look = Look(lake)
    rows(look)

    with counted(lake.bucket) as calls:
        for day in DAYS[:2]:
            write(look, day, 2)
        assert rows(look.again()) == [2, 2, 1, 1]

    assert calls == {"put": 2, "list": 1}
    assert rows(look) == [1, 1, 1, 1]


def test_change_of_another_writer_since_the_look_is_not_lost(lake: Lake) -> None:
    write(lake, DAYS[0], 1)
    look = Look(lake)
    rows(look)
    write(lake, DAYS[0], 5)
    before: list[int] = []

    def count_on(manifest: Manifest | None) -> Manifest:
        assert manifest is not None
        before.append(manifest.rows_out)
        return manifest.model_copy(update={"rows_out": manifest.rows_out + 1})

    look.update_manifest("conform", DAYS[0], count_on)

    assert before == [1, 5]
    assert rows(look.again())[0] == 6


def test_damaged_manifest_is_read_again_until_it_is_repaired(lake: Lake) -> None:
    for day in DAYS:
        write(lake, day, 1)
    key = lake.layout.manifest("conform", DAYS[0])
    lake.put(key, b"{")
    look = Look(lake)
    with pytest.raises(UnreadableObject):
        rows(look)
    with pytest.raises(UnreadableObject):
        rows(look.again())
    lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    write(lake, DAYS[0], 3)

    assert rows(look.again()) == [3, 1, 1, 1]

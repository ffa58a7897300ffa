"""A dropped partition is complete by the rule that its source declares, and not before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from tests.calendars import utc
from tests.sluice.lake_contents import partition
from tests.sluice.sources.drops.looking import why_incomplete
from tests.sluice.toy import DROPS

from sluice.declaration.completeness import ManifestFile, Marker, ObjectCount, RootMarker, Unchanged
from sluice.lake.store import Lake
from sluice.sources.drops import land
from sluice.sources.drops.land import land_drops
from sluice.sources.drops.reading import RefusedDrop

DAY, NEXT = partition("2013-01-01"), partition("2013-01-02")
FOLDER = "drops/weather/dt=2013-01-01/"
ROWS = b"x\n1\n"


def put(lake: Lake, name: str, body: bytes = ROWS, folder: str = FOLDER) -> None:
    lake.s3.put_object(Bucket=lake.bucket, Key=folder + name, Body=body)


def listing(*files: dict[str, Any]) -> bytes:
    return json.dumps({"files": files}).encode()


def test_marker_of_any_name(lake: Lake) -> None:
    source = replace(DROPS, complete=Marker("done.txt"))
    put(lake, "_SUCCESS")
    assert why_incomplete(lake, source, DAY) == "no done.txt under drops/weather/{partition}/"

    put(lake, "done.txt")

    assert why_incomplete(lake, source, DAY) is None


def test_root_marker_completes_the_partitions_that_have_files(lake: Lake) -> None:
    source = replace(DROPS, complete=RootMarker())
    put(lake, "a.csv")
    assert why_incomplete(lake, source, DAY) == "no _SUCCESS under drops/weather/"

    put(lake, "_SUCCESS", b"", "drops/weather/")

    assert why_incomplete(lake, source, DAY) is None
    assert why_incomplete(lake, source, NEXT) == "no files under drops/weather/{partition}/"


def test_manifest_completes_a_partition_once_all_its_files_have_their_sizes(lake: Lake) -> None:
    source = replace(DROPS, complete=ManifestFile("_files.json"))
    assert why_incomplete(lake, source, DAY) == "no _files.json under drops/weather/{partition}/"
    put(lake, "_files.json", listing({"name": "a.csv", "size": 4}, {"name": "more/b.csv"}))
    assert "no a.csv, which the sender's manifest names" in str(why_incomplete(lake, source, DAY))
    put(lake, "a.csv", b"x\n")
    put(lake, "more/b.csv")
    assert "a.csv has 2 bytes, the sender's manifest says 4" in str(why_incomplete(lake, source, DAY))

    put(lake, "a.csv")

    assert why_incomplete(lake, source, DAY) is None


def test_only_what_the_manifest_names_lands_and_only_with_its_digest(lake: Lake) -> None:
    source = replace(DROPS, complete=ManifestFile())
    put(lake, "a.csv")
    put(lake, "leftover.csv", b"x\n9\n")
    put(lake, "_manifest.json", listing({"name": "a.csv", "sha256": sha256(b"x\n2\n").hexdigest()}))
    with pytest.raises(RefusedDrop, match=r"dt=2013-01-01/a.csv has another SHA-256 than its sender's manifest says"):
        land_drops(lake, source, [DAY])
    assert lake.manifest("raw/weather", DAY) is None

    put(lake, "_manifest.json", listing({"name": "a.csv", "sha256": sha256(ROWS).hexdigest().upper()}))
    land_drops(lake, source, [DAY])

    manifest = lake.manifest("raw/weather", DAY)
    assert manifest is not None
    assert [file.origin for file in manifest.files] == [f"{FOLDER}a.csv"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"files": [{"size": 1}]}', b'{"files": [{"name": "a", "size": "x"}]}']
)
def test_manifest_that_can_not_be_parsed_holds_back_only_its_partition(lake: Lake, body: bytes) -> None:
    put(lake, "_manifest.json", body)

    reason = why_incomplete(lake, replace(DROPS, complete=ManifestFile()), DAY)

    assert f"{FOLDER}_manifest.json is no manifest of a drop: " in str(reason)


def test_count_of_files(lake: Lake) -> None:
    source = replace(DROPS, complete=ObjectCount(2))
    put(lake, "a.csv")
    put(lake, "_b.csv")
    assert why_incomplete(lake, source, DAY) == "1 of 2 files under drops/weather/{partition}/"

    put(lake, "b.csv")

    assert why_incomplete(lake, source, DAY) is None


def test_partition_is_complete_once_it_has_not_changed_for_long_enough(lake: Lake) -> None:
    source, start = replace(DROPS, complete=Unchanged(timedelta(minutes=10))), datetime(2013, 1, 2, tzinfo=UTC)

    def complete(minutes: int) -> bool:
        at = replace(lake, now=lambda: start + timedelta(minutes=minutes))
        return why_incomplete(at, source, DAY) is None

    assert not complete(0)
    put(lake, "a.csv")
    assert [complete(minutes) for minutes in (60, 69)] == [False, False]
    put(lake, "b.csv")  # a name more
    assert [complete(minutes) for minutes in (70, 79)] == [False, False]
    put(lake, "b.csv", b"x\n2\n")  # the same size, another ETag
    assert [complete(minutes) for minutes in (80, 89, 90, 91)] == [False, False, True, True]
    lake.s3.delete_object(Bucket=lake.bucket, Key=f"{FOLDER}b.csv")
    assert [complete(minutes) for minutes in (92, 101, 102)] == [False, False, True]


def test_clock_that_was_ahead_at_the_first_look_delays_no_drop_for_longer_than_its_time(lake: Lake) -> None:
    source, start = replace(DROPS, complete=Unchanged(timedelta(minutes=10))), datetime(2013, 1, 2, tzinfo=UTC)
    put(lake, "a.csv")

    def complete(minutes: int) -> bool:
        at = replace(lake, now=lambda: start + timedelta(minutes=minutes))
        return why_incomplete(at, source, DAY) is None

    assert [complete(minutes) for minutes in (10_000, 0, 9, 10)] == [False, False, False, True]


def test_partition_that_never_had_files_never_completes_by_not_changing(lake: Lake) -> None:
    source, start = replace(DROPS, complete=Unchanged(timedelta(minutes=10))), datetime(2013, 1, 2, tzinfo=UTC)

    for minutes in (0, 60, 600):
        at = replace(lake, now=lambda minutes=minutes: start + timedelta(minutes=minutes))  # type: ignore[misc]
        assert why_incomplete(at, source, DAY) == "no files under drops/weather/{partition}/"


def test_drop_that_has_landed_stays_complete_without_its_marker(lake: Lake) -> None:
    put(lake, "a.csv")
    put(lake, "_SUCCESS", b"")
    land_drops(lake, DROPS, [DAY])

    lake.s3.delete_object(Bucket=lake.bucket, Key=f"{FOLDER}_SUCCESS")

    assert why_incomplete(lake, DROPS, DAY) is None
    assert why_incomplete(lake, DROPS, NEXT) == "no _SUCCESS under drops/weather/{partition}/"


def test_digest_of_a_file_too_large_to_be_read_for_its_format_is_checked(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_MOST_CHECKED", 0)
    source = replace(DROPS, complete=ManifestFile())
    put(lake, "a.csv")
    put(lake, "_manifest.json", listing({"name": "a.csv", "sha256": "0" * 64}))

    with pytest.raises(RefusedDrop, match=r"a\.csv has another SHA-256 than its sender's manifest says"):
        land_drops(lake, source, [DAY])


def test_hour_may_have_one_digit(lake: Lake) -> None:
    hour = utc("dt=2013-01-01/hour=07")
    lake = replace(lake, calendar=hour.calendar)
    put(lake, "a.csv", ROWS, "drops/weather/dt=2013-01-01/hour=7/")
    put(lake, "_SUCCESS", b"", "drops/weather/dt=2013-01-01/hour=7/")
    put(lake, "b.csv", b"x\n2\n", "drops/weather/dt=2013-01-01/hour=07/")
    put(lake, "c.csv", b"x\n3\n", "drops/weather/dt=2013-01-01/hour=17/")

    land_drops(lake, DROPS, [hour])

    manifest = lake.manifest("raw/weather", hour)
    assert manifest is not None
    assert sorted(lake.get(file.key) for file in manifest.files) == [ROWS, b"x\n2\n"]


def test_complete_partition_without_files_is_refused_where_files_are_expected(lake: Lake) -> None:
    put(lake, "_SUCCESS", b"")

    with pytest.raises(
        RefusedDrop, match=r"dt=2013-01-01/ is complete and has no files, which source weather does not"
    ):
        land_drops(lake, replace(DROPS, may_be_empty=False), [DAY])

    assert lake.manifest("raw/weather", DAY) is None

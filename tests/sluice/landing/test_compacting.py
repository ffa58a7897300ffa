"""Many small parts become few when their partition closes. No record and no output changes."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draining import ALL_LANDED, record_from_sqs, workspace_of
from tests.sluice.lake_contents import body_of, keys_below, manifest_json, partition, put_raw, read_parts, rows_of
from tests.sluice.toy import EVENTS, TOY, message, reading

from sluice.declaration.pipeline import Pipeline
from sluice.housekeeping.policy import Keep
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.lake.manifests import File, Manifest
from sluice.lake.store import Lake
from sluice.landing import compacting
from sluice.landing.closing import close_source
from sluice.landing.missing import land_missing
from sluice.landing.parts import Landing
from sluice.records.record import Record, part_bytes, part_of
from sluice.steps.runner import run_step

DAY, KEY = "2013-01-01", "dt=2013-01-01"


def events(count: int, first: int = 1) -> list[dict[str, Any]]:
    """Return messages of three groups. Of ten, the second is invalid, and the third repeats the first."""

    def body(place: int) -> str:
        event = place - 2 if place % 10 == 3 else place
        return reading(f"r-{event}", f"{DAY}T07:{event % 60:02d}:00+00:00", "no number" if place % 10 == 2 else 1)

    return [message(body(place), place + 1_000, group=f"g{place % 3}") for place in range(first, first + count)]


def put_parts(lake: Lake, *sizes: int, day: str = DAY) -> None:
    """Put an open raw day with parts of these many events."""
    parts, first = [], 1
    for size in sizes:
        parts.append(events(size, first))
        first += size
    put_raw(lake, EVENTS, day, *parts, state="open")


def close(lake: Lake) -> None:
    close_source(lake, TOY, EVENTS, ALL_LANDED)


def files(lake: Lake) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest_json(lake, "raw/events", KEY)["files"]
    return found


def test_many_small_parts_become_one_with_the_same_records(lake: Lake) -> None:
    put_parts(lake, *[3] * 20)
    before = rows_of(lake, "raw/events", KEY)

    close(lake)

    (file,) = files(lake)
    manifest = manifest_json(lake, "raw/events", KEY)
    assert rows_of(lake, "raw/events", KEY) == before
    assert (manifest["state"], manifest["revision"], manifest["rows_out"], file["rows"]) == ("closed", 1, 60, 60)
    assert file["size"] == len(body_of(lake, file["key"]))
    assert re.fullmatch(rf"toy/raw/events/{KEY}/part-0*1001-[0-9a-f]{{16}}\.parquet", file["key"])


def test_steps_make_the_same_of_merged_parts(lake: Lake, own_name: str, toy_pipeline: Pipeline) -> None:
    """GIVEN the same events in a lake of their own, in one part that is not merged."""
    lake.s3.create_bucket(Bucket=f"{own_name}-2")
    other = replace(lake, bucket=f"{own_name}-2")
    put_parts(lake, *[3] * 20)
    put_parts(other, 60)
    for each in (lake, other):
        close(each)
        run_step(workspace_of(each, toy_pipeline), "conform", KEY)

    one, two = (manifest_json(each, "conform", KEY) for each in (lake, other))

    assert (
        manifest_json(lake, "raw/events", KEY)["rows_out"] == manifest_json(other, "raw/events", KEY)["rows_out"] == 60
    )
    counted = ("files", "quarantined", "rows_in", "rows_out", "duplicates", "rejected")
    names = [[(file["key"], file["rows"]) for file in each[name]] for each in (one, two) for name in counted[:2]]
    assert names[:2] == names[2:]
    assert [one[name] for name in counted[2:]] == [two[name] for name in counted[2:]]
    assert (one["duplicates"], sum(one["rejected"].values())) == (6, 6)


@pytest.mark.parametrize("parts", [1, 15])
def test_few_parts_stay_as_they_are(lake: Lake, parts: int) -> None:
    put_parts(lake, *[3] * parts)
    before = files(lake)

    close(lake)

    assert files(lake) == before
    assert len(keys_below(lake, "toy/raw/events/")) == parts + 1


def test_large_parts_stay_and_merged_ones_are_bounded(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put_parts(lake, *[3] * 20, 400)
    large = max(files(lake), key=lambda file: int(file["size"]))
    monkeypatch.setattr(compacting, "_SMALL", large["size"])
    monkeypatch.setattr(compacting, "_MERGED_ROWS", 25)
    before = rows_of(lake, "raw/events", KEY)

    close(lake)

    assert large in files(lake)
    assert sorted(file["rows"] for file in files(lake)) == [6, 27, 27, 400]
    keys = [file["key"] for file in files(lake)]
    assert keys == sorted(keys)
    assert sorted(map(str, rows_of(lake, "raw/events", KEY))) == sorted(map(str, before))


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 40_000)), max_size=60))
def test_groups_hold_each_part_once_in_order_and_are_bounded(sizes: list[tuple[int, int]]) -> None:
    parts = [File(key=f"{place:03d}", size=size, etag="", rows=rows) for place, (size, rows) in enumerate(sizes)]

    groups = list(compacting._groups(parts))

    assert [file for group in groups for file in group] == parts
    for group in groups:
        assert sum(file.size for file in group[:-1]) < compacting._MERGED_BYTES
        assert sum(file.rows for file in group[:-1]) < compacting._MERGED_ROWS


def test_records_are_merged_in_their_order_also_of_older_parts() -> None:
    records = [record_from_sqs(each, EVENTS) for each in events(30)]
    bodies = [part_bytes(records[start : start + 5])[1] for start in range(0, 30, 5)]
    old = io.BytesIO()
    pq.write_table(read_parts(bodies[:1]).drop_columns(["outer", "fault"]), old)

    together = read_parts([old.getvalue(), *bodies[1:]])
    name, body = part_of(together)

    assert read_parts([body]).to_pylist() == read_parts(bodies).to_pylist()
    assert (name, body) == part_of(together)
    assert re.fullmatch(r"part-0*1001-[0-9a-f]{16}\.parquet", name)
    assert pq.read_schema(io.BytesIO(body)) == read_parts(bodies).schema


def test_nothing_that_was_merged_lands_again(lake: Lake) -> None:
    put_parts(lake, *[3] * 20)
    records = [Record(**row) for row in rows_of(lake, "raw/events", KEY)]
    close(lake)
    new = record_from_sqs(events(1, 500)[0], EVENTS)

    landed = land_missing([records, [new]], Landing(lake, "events"))

    assert landed == 1
    assert manifest_json(lake, "raw/events", KEY)["revision"] == 2
    assert [row["message_id"] for row in rows_of(lake, "raw/events", KEY)][-1] == new.message_id


def test_record_that_lands_meanwhile_is_not_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put_parts(lake, *[3] * 20)
    late = [record_from_sqs(events(1, 500)[0], EVENTS)]
    merge, landed = part_of, list[int]()

    def slow(records: pa.Table) -> tuple[str, bytes]:
        if not landed:
            landed.append(land_missing([late], Landing(lake, "events")))
        return merge(records)

    monkeypatch.setattr(compacting, "part_of", slow)

    close(lake)

    assert landed == [1]
    manifest = manifest_json(lake, "raw/events", KEY)
    assert (manifest["state"], manifest["revision"], manifest["rows_out"], len(manifest["files"])) == (
        "closed",
        1,
        61,
        1,
    )
    assert len(rows_of(lake, "raw/events", KEY)) == 61


def test_partition_closes_also_if_a_part_is_gone(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    """The step that reads it says so. The other partitions of the source must not wait for this one."""
    put_parts(lake, *[3] * 20)
    before = files(lake)
    lake.s3.delete_object(Bucket=lake.bucket, Key=before[7]["key"])

    with caplog.at_level(logging.WARNING):
        close(lake)

    assert manifest_json(lake, "raw/events", KEY)["state"] == "closed"
    assert files(lake) == before
    assert f"the parts of raw/events {KEY} are not merged: s3://{lake.bucket}/{before[7]['key']} is gone" in caplog.text


def test_former_parts_go_with_a_housekeeping(lake: Lake) -> None:
    put_parts(lake, *[3] * 20)
    close(lake)
    before = rows_of(lake, "raw/events", KEY)
    lakeside = workspace_of(lake, replace(TOY, training=None, deployment=None))
    later = datetime.fromisoformat(manifest_json(lake, "raw/events", KEY)["written_at"]).replace(year=2100)
    late = replace(lakeside, lake=replace(lake, now=lambda: later))

    assert remove(late, survey(late, Keep()))["orphaned part"] == 20

    assert rows_of(lake, "raw/events", KEY) == before
    assert len(keys_below(lake, "toy/raw/events/")) == 2


def test_closed_partition_is_not_merged_again(lake: Lake) -> None:
    put_parts(lake, *[3] * 20)
    lake.update_manifest("raw/events", partition(DAY), _closed)
    before = manifest_json(lake, "raw/events", KEY)

    close(lake)

    assert manifest_json(lake, "raw/events", KEY) == before


def _closed(before: Manifest | None) -> Manifest:
    assert before is not None
    return before.model_copy(update={"state": "closed", "revision": 1})

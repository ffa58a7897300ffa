"""What has to be scored is cut into chunks by its size, and any range of them fits into XCom."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.calendars import utc, utc_ranges
from tests.draining import workspace_of
from tests.sluice.toy import toy

from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.scoring import due
from sluice.scoring.due import due_chunks

FIRST = utc("dt=2013-01-01/hour=00")
MOST_XCOM = 4096
Due = Callable[[int], bool]


def rows_of(partition: Partition, rows: int) -> Manifest:
    file = File(key=f"{partition.key}/rows", size=rows * 10, etag="e", rows=rows)
    written = datetime(2013, 1, 1, tzinfo=UTC)
    return Manifest(
        dataset="running", partition=partition.key, state="closed", files=(file,), rows_out=rows, written_at=written
    )


def chunks_of(lake: Lake, monkeypatch: pytest.MonkeyPatch, hours: int, rows: int, is_due: Due) -> list[str]:
    """Return the chunks of a range of hours, each of so many rows, some of which have to be scored."""
    asked = [FIRST.shift(n) for n in range(hours)]
    found = [rows_of(each, rows) for n, each in enumerate(asked) if is_due(n)]
    monkeypatch.setattr(due, "model_of_job", lambda *_: None)
    monkeypatch.setattr(due, "due_rows", lambda *_: found)
    chunks = due_chunks(workspace_of(lake, toy(every="hour")), "job", asked)
    scored = [each for chunk in chunks for each in utc_ranges(chunk)]
    assert len(scored) == len(set(scored))
    assert {each.time_partition(FIRST.calendar) for each in found} <= set(scored) <= set(asked)
    return chunks


@pytest.mark.parametrize("hours", [1, 24 * 365])
@pytest.mark.parametrize("is_due", [lambda _: True, lambda n: n % 2 == 0])
def test_chunks_of_any_range_fit_into_xcom(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, hours: int, is_due: Due
) -> None:
    assert len(json.dumps(chunks_of(lake, monkeypatch, hours, 100_000, is_due)).encode()) < MOST_XCOM


def test_few_rows_are_one_job_however_many_partitions_they_are(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job takes minutes to start, and each is paid for."""
    assert len(chunks_of(lake, monkeypatch, 24 * 60, 100, lambda _: True)) == 1


def test_many_rows_are_several_jobs_however_few_partitions_they_are(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(chunks_of(lake, monkeypatch, 10, 1_000_000, lambda _: True)) == 10


def test_what_has_its_scores_makes_no_chunk(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chunks_of(lake, monkeypatch, 24, 100, lambda _: False) == []

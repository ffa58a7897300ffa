"""Objects, and manifests in which no writer overwrites another's change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from tests.calendars import utc_ranges
from tests.conftest import Cloud
from tests.plugins.faults import refused_by_s3
from tests.sluice.lake_contents import manifest_json, partition

from sluice.aws.wire import BucketWire, Wire
from sluice.errors import ConflictingWrite, MissingResource, UnreadableObject
from sluice.lake.look import Look
from sluice.lake.manifests import File, Manifest
from sluice.lake.objects import _AGAINST_OTHERS
from sluice.lake.store import Lake

NOW = datetime(2013, 1, 2, tzinfo=UTC)
DAY = partition("2013-01-01")


def with_file(name: str) -> Callable[[Manifest | None], Manifest]:
    """Return the change that adds one part."""
    file = File(key=name, size=1, etag=name, rows=1)

    def change(before: Manifest | None) -> Manifest:
        manifest = before or Manifest(dataset="raw/events", partition=DAY.key, state="open", written_at=NOW)
        if file in manifest.files:
            return manifest
        return manifest.model_copy(update={"files": (*manifest.files, file), "rows_in": manifest.rows_in + 1})

    return change


@pytest.mark.parametrize("by_wire", [True, False])
def test_every_page_is_listed(lake: Lake, monkeypatch: pytest.MonkeyPatch, by_wire: bool) -> None:
    """S3 returns at most 1,000 objects at once."""
    keys = [f"many/{number:04d}" for number in range(1_001)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: lake.put(key, key.encode()), keys))
    if not by_wire:
        monkeypatch.setattr(Wire, "send", lambda *_: None)

    assert [(key, size) for key, size, _ in lake.objects("many/")] == [(key, 9) for key in keys]


def test_no_change_of_twenty_writers_at_once_is_lost(cloud: Cloud, lake: Lake) -> None:
    """P5: each adds a part; every part is in the manifest once, and every sum is right."""
    start, writers = Barrier(20), [Lake(cloud.client("s3"), lake.bucket, "toy") for _ in range(20)]

    def add(number: int) -> None:
        start.wait(timeout=30)
        for part in range(2):
            writers[number].update_manifest("raw/events", DAY, with_file(f"part-{number}-{part}"))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(add, range(20)))

    manifest = manifest_json(lake, "raw/events", DAY.key)
    names = [file["key"] for file in manifest["files"]]
    assert sorted(names) == sorted(f"part-{number}-{part}" for number in range(20) for part in range(2))
    assert manifest["rows_in"] == 40


def test_writer_that_always_conflicts_gives_up_and_names_the_object(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_AGAINST_OTHERS, "sleep", lambda _: None)
    tries = 0

    def overtaken(before: Manifest | None) -> Manifest:
        nonlocal tries
        tries += 1
        lake.put(
            lake.layout.manifest("raw/events", DAY), with_file(f"other-{tries}")(before).model_dump_json().encode()
        )
        return with_file("mine")(before)

    with pytest.raises(ConflictingWrite, match=r"s3://.*/toy/raw/events/dt=2013-01-01/_manifest.json keeps being"):
        lake.update_manifest("raw/events", DAY, overtaken)
    assert tries == 20
    assert "mine" not in [file["key"] for file in manifest_json(lake, "raw/events", DAY.key)["files"]]


def test_put_that_meets_another_is_repeated(cloud: Cloud, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers 409 to conditional puts at the same time, of which none need have succeeded."""
    monkeypatch.setattr(_AGAINST_OTHERS, "sleep", lambda _: None)
    s3 = cloud.client("s3")
    answers = [refused_by_s3("ConditionalRequestConflict", 409)]
    s3.meta.events.register("before-send.s3.PutObject", lambda **_: answers.pop() if answers else None)
    mine = replace(lake, s3=s3)

    assert mine.create("toy/key", b"one")
    assert not mine.create("toy/key", b"two")
    assert lake.read("toy/key") == b"one"


@pytest.mark.usefixtures("no_wire")
def test_change_whose_answer_was_lost_is_made_once(cloud: Cloud, lake: Lake) -> None:
    """The put happened, the answer did not come: the client sends it again, S3 refuses, and that is no error."""
    s3 = cloud.client("s3")
    lost: list[str] = []

    def lose_the_first_answer(**_: object) -> None:
        if not lost:
            lost.append("answer")
            raise ReadTimeoutError(endpoint_url="here")

    s3.meta.events.register("after-call.s3.PutObject", lose_the_first_answer)
    writer = Lake(s3, lake.bucket, "toy")
    with pytest.raises(ReadTimeoutError):
        writer.update_manifest("raw/events", DAY, with_file("part"))

    after = writer.update_manifest("raw/events", DAY, with_file("part"))

    assert [file.key for file in after.files] == ["part"]


def test_unchanged_manifest_is_not_written(lake: Lake) -> None:
    lake.update_manifest("raw/events", DAY, with_file("part"))
    key = lake.layout.manifest("raw/events", DAY)
    lake.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})

    lake.update_manifest("raw/events", DAY, with_file("part"))

    assert len(lake.s3.list_object_versions(Bucket=lake.bucket, Prefix=key)["Versions"]) == 1


def test_only_the_first_of_two_creates_the_object(lake: Lake) -> None:
    assert lake.create("toy/once", b"first") is True
    assert lake.create("toy/once", b"second") is False
    assert lake.get("toy/once") == b"first"


def test_missing_object_is_distinguished_from_an_empty_one(lake: Lake) -> None:
    lake.put("toy/empty", b"")

    assert lake.read("toy/empty") == b""
    assert lake.read("toy/gone") is None
    with pytest.raises(MissingResource, match=r"/toy/gone is gone; .*restore it, or land the source again"):
        lake.get("toy/gone")


def test_missing_bucket_is_no_missing_object(cloud: Cloud) -> None:
    nowhere = Lake(cloud.client("s3"), "no-such-bucket-anywhere", "toy")

    with pytest.raises(ClientError, match="NoSuchBucket"):
        nowhere.read("toy/key")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        nowhere.update_manifest("raw/events", DAY, with_file("part"))


def test_partitions_of_a_dataset_are_those_with_a_manifest(lake: Lake) -> None:
    for key in ("2013-01-02", "0001-01-01", "2013-01-01"):
        lake.update_manifest("raw/events", partition(key), with_file("part"))
    lake.put("toy/raw/events/dt=2013-01-03/part-that-is-not-recorded.parquet", b"")
    lake.put("toy/raw/events_other/dt=2013-01-04/_manifest.json", b"")

    assert [each.key for each in lake.partitions("raw/events")] == ["dt=0001-01-01", "dt=2013-01-01", "dt=2013-01-02"]
    assert lake.manifest("raw/events", partition("2013-01-03")) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "_SUCCESS",
        "_manifest.json",
        ".DS_Store",
        "dt=foo/",
        "dt=foo/_manifest.json",
        "dt=2013-01-01.bak/_manifest.json",
        "dt=2013-13-01/_manifest.json",
        "dt=2013-01-01/hour=24/_manifest.json",
        "dt=9999-12-31/_manifest.json",
        "dt=2013-01-01/rev=0123456789abcdef/_manifest.json",
        "elsewhere/dt=2013-01-02/_manifest.json",
        "dt=2013-01-02/",
        "dt=2013-01-02/_SUCCESS",
        "dt=2013-01-02/_manifest.json/",
    ],
)
def test_what_is_no_partition_of_a_dataset_is_passed_over(lake: Lake, path: str) -> None:
    lake.update_manifest("raw/events", DAY, with_file("part"))
    lake.put(f"toy/raw/events/{path}", b"{}")

    assert lake.partitions("raw/events") == [DAY]
    assert [each.partition for each in Look(lake).manifests("raw/events")] == [DAY.key]


def test_manifest_that_is_cut_off_is_not_overwritten(lake: Lake) -> None:
    """Somebody may restore its former version: so nobody writes over it."""
    key = lake.layout.manifest("raw/events", DAY)
    lake.put(key, b'{"schema_version":1,"data')

    with pytest.raises(UnreadableObject, match=f"{key} is no JSON"):
        lake.update_manifest("raw/events", DAY, with_file("part"))
    assert lake.get(key) == b'{"schema_version":1,"data'


def test_folders_and_other_names_are_no_documents(lake: Lake) -> None:
    for path in ("", "a.json", "b.txt", "more/c.json", "more/"):
        lake.put(f"toy/folder/{path}", b"{}")

    assert lake.documents("toy/folder/") == ["toy/folder/a.json"]


@pytest.mark.parametrize("others", [0, 1, 400])
def test_listing_of_a_range_has_all_of_it_and_reads_little_behind_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Of 300 days with a manifest, 18 are listed, one of which has other objects than rows, also more than a page."""
    days = utc_ranges("dt=2013-01-01..dt=2013-10-27")
    asked, last = days[9:27], days[26]
    keys = [lake.layout.manifest("conform", day) for day in days]
    keys += [f"{lake.layout.partition('conform', last)}/{number:03d}.txt" for number in range(others)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: lake.put(key, b"{}"), keys))
    listed = list[int]()
    list_page = BucketWire.list

    def counted(self: BucketWire, parameters: Mapping[str, Any]) -> Any:
        page = list_page(self, parameters)
        assert page is not None
        listed.append(len(page["Contents"]))
        return page

    monkeypatch.setattr(BucketWire, "list", counted)

    found = [key for key, _, _ in lake.between(lake.layout.dataset("conform"), asked)]

    assert found == sorted(key for key in keys if any(day.key in key for day in asked))
    assert listed[0] <= 100 + 4 * 18
    assert len(listed) == (2 if others == 400 else 1)

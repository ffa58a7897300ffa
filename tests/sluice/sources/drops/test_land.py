"""A drop is landed as it was when it was complete; an overwritten one makes a new revision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.lake_contents import body_of, manifest_json, partition
from tests.sluice.s3_calls import counted
from tests.sluice.sources.drops.looking import why_incomplete
from tests.sluice.toy import DROPS, TOY

from sluice.errors import ConflictingWrite, SluiceError
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.sources.completeness import incomplete
from sluice.sources.drops.land import land_drops
from sluice.sources.ingest import land_partitions

DAY = partition("2013-01-01")
FOLDER = "drops/weather/dt=2013-01-01/"


def put_drop(lake: Lake, *, day: str = "2013-01-01", marker: str | None = "_SUCCESS", **files: bytes) -> None:
    for name, body in files.items():
        lake.s3.put_object(Bucket=lake.bucket, Key=f"drops/weather/dt={day}/{name}.csv", Body=body)
    if marker:
        lake.s3.put_object(Bucket=lake.bucket, Key=f"drops/weather/dt={day}/{marker}", Body=b"")


def raw_partition(lake: Lake) -> tuple[str, int, list[bytes]]:
    """Return the state, the revision and the content of the raw partition."""
    manifest = manifest_json(lake, "raw/weather", DAY.key)
    bodies = [body_of(lake, file["key"]) for file in manifest["files"]]
    return manifest["state"], manifest["revision"], sorted(bodies)


def test_complete_drop_is_copied_and_its_partition_closed(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n", b=b"x\n2\n")

    assert land_drops(lake, DROPS, [DAY]) == 1

    assert raw_partition(lake) == ("closed", 1, [b"x\n1\n", b"x\n2\n"])
    assert all(file["key"].endswith(".csv") for file in manifest_json(lake, "raw/weather", DAY.key)["files"])


def test_drop_that_did_not_change_is_not_copied_again(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n")
    land_drops(lake, DROPS, [DAY])
    before = manifest_json(lake, "raw/weather", DAY.key)

    assert land_drops(lake, DROPS, [DAY]) == 0

    assert manifest_json(lake, "raw/weather", DAY.key) == before


def test_overwritten_drop_makes_a_revision_and_the_first_is_kept(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n", b=b"x\n2\n")
    land_drops(lake, DROPS, [DAY])
    first = manifest_json(lake, "raw/weather", DAY.key)["files"]
    put_drop(lake, a=b"x\n9\n")

    assert land_drops(lake, DROPS, [DAY]) == 1

    assert raw_partition(lake) == ("closed", 2, [b"x\n2\n", b"x\n9\n"])
    assert sorted(body_of(lake, file["key"]) for file in first) == [b"x\n1\n", b"x\n2\n"]


def test_removed_object_makes_a_revision_too(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n", b=b"x\n2\n")
    land_drops(lake, DROPS, [DAY])
    lake.s3.delete_object(Bucket=lake.bucket, Key=f"{FOLDER}b.csv")

    land_drops(lake, DROPS, [DAY])

    assert raw_partition(lake) == ("closed", 2, [b"x\n1\n"])


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_drop_that_changes_while_it_is_copied_is_not_landed(cloud: Cloud, lake: Lake, change: str) -> None:
    """GIVEN a listed object that changes before its copy, THEN nothing is committed, and the next landing is whole."""
    put_drop(lake, a=b"x\n1\n")

    def meanwhile(**_: Any) -> None:
        if change == "overwritten":
            put_drop(lake, a=b"x\n9\n")
        else:
            lake.s3.delete_object(Bucket=lake.bucket, Key=f"{FOLDER}a.csv")

    s3 = cloud.client("s3")
    s3.meta.events.register_first("before-call.s3.CopyObject", meanwhile)

    with pytest.raises(ConflictingWrite, match=r"/drops/weather/dt=2013-01-01/a.csv was changed while it was landed"):
        land_drops(Lake(s3, lake.bucket, "toy"), DROPS, [DAY])
    assert lake.manifest("raw/weather", DAY) is None

    assert land_drops(lake, DROPS, [DAY]) == 1
    assert raw_partition(lake) == ("closed", 1, [b"x\n9\n"] if change == "overwritten" else [])


def test_drop_without_its_marker_is_not_complete(lake: Lake) -> None:
    put_drop(lake, marker=None, a=b"x\n1\n")

    assert why_incomplete(lake, DROPS, DAY) == "no _SUCCESS under drops/weather/{partition}/"
    assert land_drops(lake, DROPS, [DAY]) == 0
    assert lake.manifest("raw/weather", DAY) is None


def test_landed_drop_is_kept_after_its_sender_has_removed_it(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n")
    land_drops(lake, DROPS, [DAY])
    for name in ("a.csv", "_SUCCESS"):
        lake.s3.delete_object(Bucket=lake.bucket, Key=FOLDER + name)

    assert why_incomplete(lake, DROPS, DAY) is None
    assert land_drops(lake, DROPS, [DAY]) == 0
    assert raw_partition(lake) == ("closed", 1, [b"x\n1\n"])


def test_marker_alone_is_a_complete_drop_without_rows(lake: Lake) -> None:
    put_drop(lake)

    assert land_drops(lake, DROPS, [DAY]) == 1
    assert land_drops(lake, DROPS, [DAY]) == 0
    assert raw_partition(lake) == ("closed", 1, [])


def test_folder_object_of_the_console_is_no_part(lake: Lake) -> None:
    """S3's console puts an empty object named like the folder, with a slash; no step could read it."""
    lake.s3.put_object(Bucket=lake.bucket, Key=FOLDER, Body=b"")
    lake.s3.put_object(Bucket=lake.bucket, Key=f"{FOLDER}more/", Body=b"")
    put_drop(lake, a=b"x\n1\n")

    land_drops(lake, DROPS, [DAY])

    assert raw_partition(lake) == ("closed", 1, [b"x\n1\n"])


def test_names_of_any_characters_are_copied(lake: Lake) -> None:
    put_drop(lake, **{"Zürich HB + 50%&a=b": b"x\n1\n", "sub/folder": b"x\n2\n", "{a}": b"x\n3\n"})

    land_drops(lake, DROPS, [DAY])

    assert raw_partition(lake) == ("closed", 1, [b"x\n1\n", b"x\n2\n", b"x\n3\n"])


def test_two_landings_at_once_make_one_revision(cloud: Cloud, lake: Lake) -> None:
    put_drop(lake, **{f"part{n}": f"x\n{n}\n".encode() for n in range(5)})

    def land(_: int) -> int:
        return land_drops(Lake(cloud.client("s3"), lake.bucket, "toy"), DROPS, [DAY])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(land, range(4)))

    state, revision, bodies = raw_partition(lake)
    assert (state, revision, len(bodies)) == ("closed", 1, 5)


@pytest.mark.usefixtures("no_wire")
def test_queues_are_not_asked_for_what_only_drops_land(lake: Lake) -> None:
    keys: list[str] = []
    lake.s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: keys.append(params["Key"]))

    land_partitions(workspace_of(lake, TOY), "dt=2013-01-01..dt=2013-01-02")

    assert [key for key in keys if "raw/events" in key] == []


def test_range_is_landed_and_changes_are_counted(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n")
    put_drop(lake, day="2013-01-02", a=b"x\n2\n")

    assert land_partitions(workspace_of(lake, TOY), "dt=2013-01-01..dt=2013-01-02") == 2
    put_drop(lake, day="2013-01-02", a=b"x\n3\n")
    assert land_partitions(workspace_of(lake, TOY), "dt=2013-01-01..dt=2013-01-02") == 1


def test_missing_drop_keeps_no_other_from_landing(lake: Lake) -> None:
    put_drop(lake, a=b"x\n1\n")

    assert land_partitions(workspace_of(lake, TOY), "dt=2013-01-01..dt=2013-01-02") == 1


def test_manifest_of_a_landed_drop_that_can_not_be_read_is_kept_and_the_others_land(lake: Lake) -> None:
    """P17: nothing says what has landed, so nothing lands over it."""
    put_drop(lake, a=b"x\n1\n")
    put_drop(lake, day="2013-01-02", a=b"x\n1\n")
    key = lake.layout.manifest("raw/weather", DAY)
    lake.put(key, b"{}")

    assert land_partitions(workspace_of(lake, TOY), "dt=2013-01-01..dt=2013-01-02") == 1

    assert lake.get(key) == b"{}"
    (missing,) = [each for each in incomplete(workspace_of(lake, TOY), [DAY]) if each.source == "weather"]
    assert missing.reason.startswith(f"{lake.uri(key)} is no Manifest of Sluice: dataset: Field required; restore")


def test_drop_that_is_refused_keeps_no_other_from_landing(lake: Lake) -> None:
    """Sixteen days, of which the first is cut off: more than land at once."""
    days = [f"2013-01-{day:02d}" for day in range(1, 17)]
    for day in days:
        put_drop(lake, day=day, a=b"x\n1\n" if day != days[0] else b'x\n"')

    with pytest.raises(SluiceError, match=r"drops/weather/dt=2013-01-01/a\.csv"):
        land_partitions(workspace_of(lake, TOY), f"dt={days[0]}..dt={days[-1]}")

    assert [each.key for each in lake.partitions("raw/weather")] == [f"dt={day}" for day in days[1:]]


def test_drop_costs_three_calls_and_the_next_steps_read_its_manifest_with_others(lake: Lake) -> None:
    """Beside the copy, the read that checks it and the put of its manifest, sixteen drops cost four calls together."""
    days = [f"2013-01-{day:02d}" for day in range(1, 17)]
    partitions = [partition(day) for day in days]
    for day in days:
        put_drop(lake, day=day, a=b"x\n1\n")
    lake.begin("raw/weather", DAY, None)  # how the lake is divided is on record

    with counted(lake.bucket) as calls:
        assert land_drops(lake, DROPS, partitions) == 16
    assert calls["list"] == 2
    assert calls["put"] == 16 + 16 + 1
    assert calls["get"] == 16 + 1

    with counted(lake.bucket) as calls:
        assert len(Look(lake).manifests("raw/weather", partitions)) == 16
    assert calls == {"list": 1, "get": 1}

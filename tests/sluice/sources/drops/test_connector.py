"""What a drop holds counts, and what has landed of it once its sender has removed it."""

from __future__ import annotations

from dataclasses import replace

from tests.sluice.lake_contents import keys_below, partition
from tests.sluice.toy import DROPS

from sluice.declaration.completeness import ManifestFile
from sluice.lake.look import Look
from sluice.lake.manifests import Size
from sluice.lake.partitions import Partition
from sluice.sources.connecting import connect
from sluice.workspace import Workspace

DAY, NEXT = partition("2013-01-01"), partition("2013-01-02")


def put(workspace: Workspace, path: str, body: bytes) -> None:
    workspace.lake.s3.put_object(Bucket=workspace.lake.bucket, Key=f"drops/weather/{path}", Body=body)


def remove(workspace: Workspace, *paths: str) -> None:
    for path in paths:
        workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=f"drops/weather/{path}")


def test_size_is_that_of_the_files_and_of_what_has_landed_of_removed_ones(workspace: Workspace) -> None:
    drops = connect(workspace, DROPS)
    put(workspace, "dt=2013-01-01/a.csv", b"x\n1\n")
    put(workspace, "dt=2013-01-01/_SUCCESS", b"hidden")
    assert drops.sizes([DAY], Look(drops.lake)).get(DAY, Size()).bytes == 4
    drops.land([DAY])
    put(workspace, "dt=2013-01-01/b.csv", b"x\n12\n")
    assert drops.sizes([DAY], Look(drops.lake)).get(DAY, Size()).bytes == 9

    remove(workspace, "dt=2013-01-01/a.csv", "dt=2013-01-01/b.csv", "dt=2013-01-01/_SUCCESS")

    assert drops.sizes([DAY], Look(drops.lake)).get(DAY, Size()).bytes == 4
    assert drops.sizes([NEXT], Look(drops.lake)).get(NEXT, Size()).bytes == 0


def test_partitions_are_those_that_have_landed_or_have_objects(workspace: Workspace) -> None:
    drops = connect(workspace, DROPS)
    put(workspace, "dt=2013-01-01/a.csv", b"x\n1\n")
    put(workspace, "dt=2013-01-01/_SUCCESS", b"")
    drops.land([DAY])
    remove(workspace, "dt=2013-01-01/a.csv", "dt=2013-01-01/_SUCCESS")
    put(workspace, "dt=2013-01-02/_SUCCESS", b"")

    assert drops.partitions() == {DAY, NEXT}


def test_contents_follow_the_files_and_not_the_marker_and_stay_once_they_are_removed(workspace: Workspace) -> None:
    drops = connect(workspace, DROPS)
    assert drops.contents([DAY]) == {}
    put(workspace, "dt=2013-01-01/_SUCCESS", b"")
    alone = drops.contents([DAY])
    put(workspace, "dt=2013-01-01/a.csv", b"x\n1\n")
    first = drops.contents([DAY])
    put(workspace, "dt=2013-01-01/_SUCCESS", b"again")
    assert drops.contents([DAY]) == drops.contents() == first
    put(workspace, "dt=2013-01-01/a.csv", b"x\n2\n")
    second = drops.contents([DAY])
    drops.land([DAY])
    remove(workspace, "dt=2013-01-01/a.csv", "dt=2013-01-01/_SUCCESS")

    assert set(alone) == set(first) == set(second) == set(drops.contents([DAY])) == {DAY}
    assert len({each[DAY] for each in (alone, first, second)}) == 3


def test_unlanded_is_what_has_not_landed_in_its_present_form_and_nothing_is_written(workspace: Workspace) -> None:
    drops = connect(workspace, DROPS)

    def unlanded() -> set[Partition]:
        return drops.unlanded(Look(workspace.lake))

    assert unlanded() == set()
    for day in (DAY, NEXT):
        put(workspace, f"{day.key}/a.csv", b"x\n1\n")
        put(workspace, f"{day.key}/_SUCCESS", b"")
    assert unlanded() == {DAY, NEXT}
    drops.land([DAY, NEXT])
    keys = keys_below(workspace.lake, "")
    assert unlanded() == set()
    put(workspace, "dt=2013-01-01/a.csv", b"x\n2\n")
    assert unlanded() == {DAY}
    put(workspace, "dt=2013-01-02/b.csv", b"x\n1\n")
    assert unlanded() == {DAY, NEXT}
    assert keys_below(workspace.lake, "") == sorted([*keys, "drops/weather/dt=2013-01-02/b.csv"])
    drops.land([DAY, NEXT])
    remove(workspace, "dt=2013-01-01/a.csv", "dt=2013-01-01/_SUCCESS")
    assert unlanded() == set()


def test_files_that_the_senders_manifest_does_not_name_are_not_unlanded(workspace: Workspace) -> None:
    drops = connect(workspace, replace(DROPS, complete=ManifestFile()))
    put(workspace, "dt=2013-01-01/a.csv", b"x\n1\n")
    put(workspace, "dt=2013-01-01/_manifest.json", b'{"files": [{"name": "a.csv"}]}')
    drops.land([DAY])

    put(workspace, "dt=2013-01-01/other.csv", b"x\n1\n")
    assert drops.unlanded(Look(workspace.lake)) == set()
    put(workspace, "dt=2013-01-01/_manifest.json", b'{"files": [{"name": "a.csv"}, {"name": "other.csv"}]}')
    assert drops.unlanded(Look(workspace.lake)) == {DAY}
    put(workspace, "dt=2013-01-01/_manifest.json", b"no manifest")
    assert drops.unlanded(Look(workspace.lake)) == set()

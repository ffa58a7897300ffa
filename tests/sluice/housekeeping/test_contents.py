"""Of the datasets goes what nothing names, and never what a manifest or a snapshot names, or what may yet be named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.dataset.test_snapshot import put_days
from tests.sluice.dataset.test_snapshot import rows as training_rows
from tests.sluice.lake_contents import keys_below, manifest_json, partition, put_raw, put_rows, rows_of
from tests.sluice.toy import CONTRACT, EVENTS, message, reading

from sluice.completions import announce_partitions
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Drops, Input, Step
from sluice.errors import SluiceError
from sluice.housekeeping import removal
from sluice.housekeeping.contents import all_contents, split_name
from sluice.housekeeping.policy import Keep
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.lake.grains import Grain
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.redrive.quarantined import quarantined
from sluice.sources.drops.land import land_drops
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAY, KEY = "2013-01-01", "dt=2013-01-01"
MONTH = Keep(days=30)


@pytest.fixture
def lakeside(workspace: Workspace) -> Workspace:
    """The pipeline, without a training."""
    return replace(workspace, pipeline=replace(workspace.pipeline, training=None, deployment=None))


def after(workspace: Workspace, days: float) -> Workspace:
    """Return the workspace as it is after some days."""
    later = datetime.now(UTC) + timedelta(days=days)
    return replace(workspace, lake=replace(workspace.lake, now=lambda: later))


def cleaned(workspace: Workspace, keep: Keep = MONTH, days: float = 31) -> dict[str, int]:
    """Remove what may go after some days; return how many of each kind, as survey and removal agree."""
    late = after(workspace, days)
    found = survey(late, keep)
    removed = remove(late, found)
    assert removed == found.counts
    return {kind: count for kind, count in removed.items() if kind != "bytes"}


def put_values(lake: Lake, *values: Any) -> None:
    """Put a closed raw day with an event for each value; it replaces an existing one."""
    put_raw(
        lake,
        EVENTS,
        DAY,
        [message(reading(f"r-{n}", f"{DAY}T{n:02d}:00:00+00:00", value), n) for n, value in enumerate(values, 1)],
    )


def revisions(lake: Lake, dataset: str) -> list[str]:
    return [key for key in keys_below(lake, f"{lake.pipeline}/{dataset}/") if "/rev=" in key]


def test_superseded_revision_goes_and_the_named_one_stays(lakeside: Workspace) -> None:
    lake = lakeside.lake
    for values in ([1], [1, 2], [1, 2, 3]):
        put_values(lake, *values)
        for step in ("conform", "doubled", "running"):
            run_step(lakeside, step, KEY)
    before = {step: rows_of(lake, step, KEY) for step in ("conform", "doubled", "running")}
    assert [len(revisions(lake, step)) for step in before] == [3, 3, 3]

    assert cleaned(lakeside) == {"superseded revision": 6, "orphaned part": 2, "superseded ids": 2}

    assert [len(revisions(lake, step)) for step in before] == [1, 1, 1]
    assert {step: rows_of(lake, step, KEY) for step in before} == before
    assert cleaned(lakeside) == {}


def test_ids_that_count_stay_and_those_of_former_contents_go(lakeside: Workspace) -> None:
    """A copy on the day after repeats an id, until the first copy is no longer accepted."""
    lake, next_day = lakeside.lake, "2013-01-02"
    put_raw(lake, EVENTS, next_day, [message(reading("r-1", f"{next_day}T07:00:00+00:00"), 9)])
    for values in ([1], [1, 2], ["none", 2]):
        put_values(lake, *values)
        run_step(lakeside, "conform", f"{KEY},dt={next_day}")
        if values == [1, 2]:
            assert cleaned(lakeside) == {"superseded revision": 1, "orphaned part": 1, "superseded ids": 2}
            assert [len(keys_below(lake, f"toy/ids/conform/dt={day}/")) for day in (DAY, next_day)] == [1, 2]
            assert run_step(lakeside, "conform", f"{KEY},dt={next_day}")["changed"] == 0
            assert rows_of(lake, "conform", f"dt={next_day}") == []

    assert cleaned(lakeside)["superseded ids"] == 2

    assert [len(keys_below(lake, f"toy/ids/conform/dt={day}/")) for day in (DAY, next_day)] == [1, 1]
    assert run_step(lakeside, "conform", f"{KEY},dt={next_day}")["changed"] == 0
    assert [row["event_id"] for row in rows_of(lake, "conform", f"dt={next_day}")] == ["r-1"]


def test_superseded_state_goes_and_the_one_that_goes_on_stays(lakeside: Workspace, declare: Declare) -> None:
    summed = """
def summed(conform, state):
    total = int(conform["value"].sum()) + (0 if state.empty else int(state["total"].iloc[0]))
    return conform.assign(total=total), pd.DataFrame({"group": ["g"], "total": [total]})
"""
    declare("toy", {"contract": CONTRACT, "steps": f"import pandas as pd\n{summed}"})
    step = Step("summed", run="steps:summed", reads=(Input("conform"),), state_by="group")
    workspace = replace(lakeside, pipeline=replace(lakeside.pipeline, steps=(lakeside.pipeline.steps[0], step)))
    put_raw(workspace.lake, EVENTS, "2013-01-02", [message(reading("next", "2013-01-02T00:00:00+00:00", 7), 9)])
    for values in ([1], [1, 2], [1, 2, 3]):
        put_values(workspace.lake, *values)
        for name in ("conform", "summed"):
            run_step(workspace, name, f"{KEY},dt=2013-01-02")
    assert sum("/state=" in key for key in keys_below(workspace.lake, "toy/summed/")) == 6

    assert cleaned(workspace)["superseded state"] == 4

    left = [key for key in keys_below(workspace.lake, "toy/summed/") if "/state=" in key]
    assert left == [manifest_json(workspace.lake, "summed", f"dt=2013-01-0{n}")["carried"]["key"] for n in (1, 2)]
    put_raw(workspace.lake, EVENTS, "2013-01-02", [message(reading("next", "2013-01-02T00:00:00+00:00", 8), 9)])
    for name in ("conform", "summed"):
        run_step(workspace, name, "dt=2013-01-02")
    assert [row["total"] for row in rows_of(workspace.lake, "summed", "dt=2013-01-02")] == [14]


def test_what_was_superseded_within_the_days_stays(lakeside: Workspace) -> None:
    """However old it is: a run that has read the manifest before may still read it."""
    lake = lakeside.lake
    put_rows(lake, "doubled", DAY, training_rows(1))
    put_rows(lake, "doubled", DAY, training_rows(2))
    manifest = lake.manifest("doubled", partition(DAY))
    assert manifest is not None
    at = datetime.now(UTC) + timedelta(days=40)
    lake.update_manifest("doubled", partition(DAY), lambda _: manifest.model_copy(update={"written_at": at}))

    assert cleaned(lakeside, days=69) == {}
    assert cleaned(lakeside, days=71) == {"superseded revision": 1}


def test_one_day_stays_whatever_the_policy_says(lakeside: Workspace) -> None:
    put_rows(lakeside.lake, "doubled", DAY, training_rows(1))
    put_rows(lakeside.lake, "doubled", DAY, training_rows(2))

    assert cleaned(lakeside, Keep(days=0, quarantine_days=0), days=0.9) == {}
    assert cleaned(lakeside, Keep(days=0, quarantine_days=0), days=1.1) == {"superseded revision": 1}


def test_revision_that_a_snapshot_names_stays_as_long_as_the_snapshot(workspace: Workspace) -> None:
    lake = workspace.lake
    put_days(lake, range(1, 5))
    snapshot = make_snapshot(workspace)
    (frozen,) = revisions(lake, f"running/{KEY}")
    for total in (7, 8):
        put_rows(lake, "running", DAY, training_rows(1, total=[total, total, total]))
    assert len(revisions(lake, "running")) == 6

    assert cleaned(workspace) == {"superseded revision": 1}
    assert frozen in revisions(lake, "running")

    lake.s3.delete_object(Bucket=lake.bucket, Key=f"toy/snapshots/{snapshot.fingerprint}/snapshot.json")
    assert cleaned(workspace) == {"superseded revision": 1}
    assert frozen not in revisions(lake, "running")


def test_nothing_goes_if_a_snapshot_does_not_say_what_it_names(lakeside: Workspace) -> None:
    key = f"toy/snapshots/{'a' * 32}/snapshot.json"
    lakeside.lake.put(key, b"{}")

    with pytest.raises(SluiceError, match=rf"^s3://{lakeside.lake.bucket}/{key} does not say .+; restore it"):
        survey(lakeside, MONTH)


def test_part_that_was_never_recorded_goes_after_the_days(lakeside: Workspace) -> None:
    """GIVEN a drain that died between the put and the record; and one that has not recorded its first part yet."""
    lake = lakeside.lake
    put_values(lake, 1, 2)
    for day in (DAY, "2013-01-02"):
        lake.put(f"toy/raw/events/dt={day}/part-7-{'a' * 16}.parquet", b"part")

    assert cleaned(lakeside, days=29) == {}
    assert cleaned(lakeside) == {"orphaned part": 1}

    assert len(rows_of(lake, "raw/events", KEY)) == 2
    assert [key.split("/")[3] for key in keys_below(lake, "toy/raw/events/") if "part-7-" in key] == ["dt=2013-01-02"]


def test_copy_of_a_drop_goes_once_its_sender_has_replaced_it(lakeside: Workspace) -> None:
    lake, drops = lakeside.lake, Drops("weather", prefix="drops/weather/")
    for body in (b"a\n1\n", b"a\n2\n"):
        lake.put(f"drops/weather/{KEY}/day.csv", body)
        lake.put(f"drops/weather/{KEY}/_SUCCESS", b"")
        land_drops(lake, drops, [partition(DAY)])

    assert cleaned(lakeside) == {"orphaned part": 1}

    (file,) = manifest_json(lake, "raw/weather", KEY)["files"]
    assert lake.get(file["key"]) == b"a\n2\n"
    assert len(keys_below(lake, f"drops/weather/{KEY}/")) == 2


def test_part_that_is_recorded_after_the_survey_stays(lakeside: Workspace) -> None:
    lake, late = lakeside.lake, after(lakeside, 31)
    put_values(lake, 1)
    part = lake.put(f"toy/raw/events/{KEY}/part-7-{'a' * 16}.parquet", b"part", rows=1)
    found = survey(late, MONTH)
    assert found.counts["orphaned part"] == 1

    def record(before: Any) -> Any:
        return before.model_copy(update={"files": (*before.files, part)})

    lake.update_manifest("raw/events", partition(DAY), record)

    assert remove(late, found) == {"bytes": 0}
    assert lake.get(part.key) == b"part"


def test_quarantine_of_the_manifest_stays_unless_the_policy_says_for_how_long(lakeside: Workspace) -> None:
    lake, bad = lakeside.lake, "no number"
    for values in ([bad], [bad, bad]):
        put_values(lake, 1, *values)
        run_step(lakeside, "conform", KEY)

    def held() -> list[str]:
        return sorted(each.event_id for each in quarantined(lakeside, EVENTS, lambda _: True))

    assert cleaned(lakeside, days=400) == {"superseded quarantine": 1, "orphaned part": 1}
    assert held() == ["r-2", "r-3"]

    assert cleaned(lakeside, Keep(quarantine_days=90), days=89) == {}
    assert cleaned(lakeside, Keep(quarantine_days=90), days=91) == {"old quarantine": 1}

    assert held() == []
    manifest = manifest_json(lake, "conform", KEY)
    assert (manifest["quarantined"], sum(manifest["rejected"].values()), manifest["rows_out"]) == ([], 2, 1)
    assert keys_below(lake, "toy/quarantine/") == []
    assert [row["body"] for row in rows_of(lake, "raw/events", KEY) if bad in row["body"]] != []


def test_removal_that_stops_after_the_manifest_is_finished_by_the_next_one(
    lakeside: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_values(lakeside.lake, "no number")
    run_step(lakeside, "conform", KEY)
    late, keep = after(lakeside, 91), Keep(quarantine_days=90)
    with monkeypatch.context() as patched:
        patched.setattr(removal, "_delete_objects", _die)
        with pytest.raises(KeyboardInterrupt):
            remove(late, survey(late, keep))
    assert list(quarantined(lakeside, EVENTS, lambda _: True)) == []

    assert cleaned(lakeside, keep, days=91) == {"superseded quarantine": 1}


def _die(*_: Any) -> None:
    raise KeyboardInterrupt


def test_marker_of_the_present_content_stays_so_nothing_is_announced_twice(lakeside: Workspace, own_name: str) -> None:
    made = lakeside.aws.client("sns").create_topic(Name=f"{own_name}.fifo", Attributes={"FifoTopic": "true"})
    workspace = replace(lakeside, resources=replace(lakeside.resources, topic_arn=made["TopicArn"]))
    lake = workspace.lake

    def announce() -> int:
        return announce_partitions(workspace, "doubled", KEY, "run")

    for day in (1, 2, 3):
        put_rows(lake, "doubled", DAY, training_rows(day))
        if day < 3:
            assert announce() == 1
    assert len(keys_below(lake, "toy/announced/doubled/")) == 2

    assert cleaned(workspace) == {"superseded revision": 2}  # the next event must say that there was one before
    assert announce() == 1
    assert cleaned(workspace) == {"superseded marker": 2}
    assert (len(keys_below(lake, "toy/announced/doubled/")), announce()) == (1, 0)


def test_what_has_another_form_or_belongs_to_others_stays(lakeside: Workspace) -> None:
    lake = lakeside.lake
    put_values(lake, 1)
    put_rows(lake, "doubled", DAY, training_rows(1))
    others = [
        f"toy/raw/events/{KEY}/notes.txt",
        f"toy/raw/events/{KEY}/copies/part-1.parquet",
        f"toy/raw/unknown/{KEY}/part-1.parquet",
        f"toy/doubled/{KEY}/rev=mine/part-0.parquet",
        f"toy/doubled/{KEY}/rev={'a' * 16}/part-1.parquet",
        f"toy/doubled/{KEY}/hour=07/rev={'a' * 16}/part-0.parquet",
        f"toy/doubled/rev={'a' * 16}/part-0.parquet",
        f"toy/not_declared/{KEY}/rev={'a' * 16}/part-0.parquet",
        f"toy/announced/training/toy-xgboost/{'a' * 16}",
        f"another/doubled/{KEY}/rev={'a' * 16}/part-0.parquet",
    ]
    for key in others:
        lake.put(key, b"1")

    assert cleaned(lakeside, Keep(0, 0, 0), days=900) == {}
    assert set(others) <= set(keys_below(lake, ""))


@pytest.mark.parametrize("dataset", ["raw/events", "doubled"])
@pytest.mark.parametrize("key", ["dt=2013-01-15", "dt=2013-01-15/hour=07", "week=2013-01-14", "month=2013-01"])
def test_name_has_the_dataset_and_the_key_of_any_grain(dataset: str, key: str) -> None:
    assert split_name(f"{dataset}/{key}") == (dataset, key)


@pytest.mark.parametrize("every", ["week", "month"])
def test_superseded_revision_of_any_grain_goes(lakeside: Workspace, every: Grain) -> None:
    pipeline = replace(lakeside.pipeline, every=every, start=datetime(2013, 7, 1, tzinfo=UTC))
    world = replace(lakeside, pipeline=pipeline, lake=replace(lakeside.lake, calendar=pipeline.calendar))
    key = Partition.containing(partition(DAY).start, pipeline.calendar).key
    for digest in ("a" * 16, "b" * 16):
        world.lake.put(f"toy/doubled/{key}/rev={digest}/part-0.parquet", b"1")
    named = f"toy/doubled/{key}/rev={'c' * 16}/part-0.parquet"
    manifest = Manifest(
        dataset="doubled",
        partition=key,
        state="closed",
        files=(world.lake.put(named, b"1"),),
        written_at=datetime.now(UTC),
    )
    world.lake.put(f"toy/doubled/{key}/_manifest.json", manifest.model_dump_json().encode())

    assert cleaned(world) == {"superseded revision": 2}
    assert revisions(world.lake, "doubled") == [named]


def test_each_manifest_is_read_once_and_hours_are_partitions(lakeside: Workspace, own_name: str, no_wire: None) -> None:
    lake = lakeside.lake
    pipeline = replace(lakeside.pipeline, every="hour")
    hourly = replace(lakeside, pipeline=pipeline, lake=replace(lakeside.lake, calendar=pipeline.calendar))
    for hour in range(5):
        for place in range(hour):
            lake.put(f"toy/raw/events/{KEY}/hour={hour:02d}/part-{place}.parquet", b"1")
    read: Counter[str] = Counter()
    lake.s3.meta.events.register("before-parameter-build.s3.GetObject", _count(read))

    found = {each.name: len(each.objects) for each in all_contents(hourly)}

    assert found == {f"raw/events/{KEY}/hour={hour:02d}": hour for hour in range(1, 5)}
    assert read == {f"toy/raw/events/{KEY}/hour={hour:02d}/_manifest.json": 1 for hour in range(1, 5)}


def _count(read: Counter[str]) -> Callable[..., None]:
    def count(params: Any, **_: Any) -> None:
        read[params["Key"]] += 1

    return count

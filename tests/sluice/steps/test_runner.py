"""A step's output is made from its current inputs, once, and again only when they change (P4)."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from threading import Barrier, Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError
from tests.calendars import utc
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import keys_below, manifest_json, put_raw, rows_of
from tests.sluice.s3_calls import counted
from tests.sluice.toy import CONTRACT, DROPS, EVENTS, MODULES, STEPS, TOY, message, reading, toy

from sluice.aws.failures import is_transient
from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import (
    ConflictingWrite,
    DeclarationError,
    MissingResource,
    RunInterrupted,
    SluiceError,
    UnreadableObject,
)
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.sources.drops.land import land_drops
from sluice.steps import code, output
from sluice.steps.code import code_fingerprint
from sluice.steps.runner import run_step

_SECONDS = 30


def put_day(lake: Lake, day: int, *values: int) -> None:
    """Put a closed raw partition with one event per value; it replaces an existing one."""
    key = f"2013-01-{day:02d}"
    put_raw(
        lake,
        EVENTS,
        key,
        [
            message(reading(f"r-{day}-{n}", f"{key}T{n:02d}:00:00+00:00", value), n + 1)
            for n, value in enumerate(values)
        ],
    )


def run_all(lake: Lake, pipeline: Pipeline, ranges: str) -> list[dict[str, Any]]:
    return [run_step(workspace_of(lake, pipeline), step.name, ranges) for step in pipeline.steps]


def totals(lake: Lake, *days: int) -> list[int]:
    """Return the totals of ``running`` for each day: twice the values of it and of the day before."""
    return [rows_of(lake, "running", f"dt=2013-01-{day:02d}")[0]["total"] for day in days]


def test_steps_run_one_after_another_and_persist_what_they_make(lake: Lake, toy_pipeline: Pipeline) -> None:
    put_day(lake, 1, 1, 2)
    put_day(lake, 2, 5)

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-02")

    assert totals(lake, 1, 2) == [6, 16]
    assert ran[0] == {
        "partitions": "dt=2013-01-01..dt=2013-01-02",
        "held_back": 0,
        "changed": 2,
        "rows_in": 3,
        "rows_out": 3,
        "rejected": 0,
    }
    conformed = rows_of(lake, "conform", "dt=2013-01-01")
    assert [(row["event_id"], row["value"]) for row in conformed] == [("r-1-0", 1), ("r-1-1", 2)]
    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-01")] == [2, 4]


def test_manifest_records_what_was_read_and_made(lake: Lake, toy_pipeline: Pipeline) -> None:
    bad = message(reading("bad", "2013-01-01T05:00:00+00:00", "x"), 9)
    good = reading("good", "2013-01-01T07:00:00+00:00", 1)
    put_raw(lake, EVENTS, "2013-01-01", [bad, message(good, 1), message(good, 2)])

    run_step(workspace_of(lake, toy_pipeline), "conform", "dt=2013-01-01")

    manifest = manifest_json(lake, "conform", "dt=2013-01-01")
    raw = lake.manifest("raw/events", utc("dt=2013-01-01"))
    assert raw is not None
    (key_file,) = keys_below(lake, "toy/ids/conform/dt=2013-01-01/")
    assert manifest["inputs"] == {
        "raw/events/dt=2013-01-01": raw.digest,
        "ids/conform/dt=2013-01-01": key_file.removesuffix(".parquet")[-16:],
    }
    assert (manifest["state"], manifest["revision"]) == ("closed", 1)
    assert (manifest["rows_in"], manifest["rows_out"], manifest["duplicates"]) == (3, 1, 1)
    assert manifest["rejected"] == {"value: int_type": 1}
    assert manifest["first_event_time"] == manifest["last_event_time"] == "2013-01-01T07:00:00Z"
    (quarantined,) = rows_of(lake, "conform", "dt=2013-01-01", "quarantined")
    assert (quarantined["event_id"], quarantined["reason"]) == ("bad", "value: int_type")


def test_repeated_run_without_a_change_writes_nothing(lake: Lake, toy_pipeline: Pipeline) -> None:
    put_day(lake, 1, 1, 2)
    run_all(lake, toy_pipeline, "dt=2013-01-01")
    before = {name: manifest_json(lake, name, "dt=2013-01-01") for name in ("conform", "doubled", "running")}
    keys = keys_below(lake, "toy/")

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01")

    assert [run["changed"] for run in ran] == [0, 0, 0]
    assert {name: manifest_json(lake, name, "dt=2013-01-01") for name in before} == before
    assert keys_below(lake, "toy/") == keys


def test_late_data_reruns_what_depends_on_it_and_nothing_else(lake: Lake, toy_pipeline: Pipeline) -> None:
    for day in (1, 2, 3):
        put_day(lake, day, day)
    run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-03")
    untouched = manifest_json(lake, "running", "dt=2013-01-03")
    put_day(lake, 1, 1, 100)

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01")

    assert [run["changed"] for run in ran] == [1, 1, 2]
    assert ran[2]["partitions"] == "dt=2013-01-01..dt=2013-01-02"
    assert totals(lake, 1, 2, 3) == [202, 206, 10]
    assert manifest_json(lake, "running", "dt=2013-01-03") == untouched
    assert manifest_json(lake, "running", "dt=2013-01-02")["revision"] == 2


@pytest.mark.usefixtures("no_wire")
def test_run_reads_no_list_of_all_partitions(lake: Lake, toy_pipeline: Pipeline) -> None:
    """Many small chunks of a long history would list it again and again."""
    for day in (1, 2, 3):
        put_day(lake, day, day)
    run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-03")
    put_day(lake, 1, 1, 100)
    listed: list[dict[str, Any]] = []
    lake.s3.meta.events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: listed.append(params))

    assert [run["changed"] for run in run_all(lake, toy_pipeline, "dt=2013-01-01")] == [1, 1, 2]

    assert {(each["Prefix"], each["StartAfter"]) for each in listed} == {
        ("toy/ids/conform/", "toy/ids/conform/dt=2012-12-25"),
        ("toy/doubled/", "toy/doubled/dt=2012-12-31"),
    }


@pytest.mark.usefixtures("no_wire")
def test_run_that_has_nothing_to_do_reads_each_manifest_once(lake: Lake, toy_pipeline: Pipeline) -> None:
    """Though each partition looks back on the one before."""
    days = [f"dt=2013-01-{day:02d}" for day in range(1, 6)]
    for day in range(1, 6):
        put_day(lake, day, day)
    run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-05")
    keys: list[str] = []
    lake.s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: keys.append(params["Key"]))

    run_step(workspace_of(lake, toy_pipeline), "running", "dt=2013-01-01..dt=2013-01-05")

    own = [f"toy/running/{day}/_manifest.json" for day in [*days, "dt=2013-01-06"]]
    read = [f"toy/doubled/{day}/_manifest.json" for day in ["dt=2012-12-31", *days]]
    assert sorted(key for key in keys if key.endswith("_manifest.json")) == sorted([*own, *read])


def test_late_data_that_changes_no_row_reruns_no_later_step(lake: Lake, toy_pipeline: Pipeline) -> None:
    """An equal copy makes another raw revision, and the same conformed bytes: no later step runs."""
    put_day(lake, 1, 7)
    run_all(lake, toy_pipeline, "dt=2013-01-01")
    body = reading("r-1-0", "2013-01-01T00:00:00+00:00", 7)
    put_raw(lake, EVENTS, "2013-01-01", [message(body, 1)], [message(body, 5)])

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01")

    assert [run["changed"] for run in ran] == [0, 0, 0]
    conformed = manifest_json(lake, "conform", "dt=2013-01-01")
    assert (conformed["revision"], conformed["duplicates"]) == (1, 1)


def test_changed_code_reruns_its_step_and_equal_rows_rerun_no_later_step(
    lake: Lake, toy_pipeline: Pipeline, declare: Declare
) -> None:
    put_day(lake, 1, 7)
    run_all(lake, toy_pipeline, "dt=2013-01-01")
    declare("toy", {**MODULES, "steps": STEPS.replace("* 2", "* 3")})
    assert [run["changed"] for run in run_all(lake, toy_pipeline, "dt=2013-01-01")] == [0, 1, 1]
    before = manifest_json(lake, "running", "dt=2013-01-01")["code"]

    declare("toy", {**MODULES, "steps": STEPS.replace("* 2", "* 3") + "# a comment\n"})

    assert [run["changed"] for run in run_all(lake, toy_pipeline, "dt=2013-01-01")] == [0, 0, 0]
    assert manifest_json(lake, "running", "dt=2013-01-01")["code"] != before
    assert manifest_json(lake, "running", "dt=2013-01-01")["revision"] == 2


def test_other_bytes_of_the_same_rows_are_no_change(
    lake: Lake, toy_pipeline: Pipeline, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another version of the library that writes Parquet makes them."""
    put_day(lake, 1, 7)
    run_all(lake, toy_pipeline, "dt=2013-01-01")
    before = manifest_json(lake, "doubled", "dt=2013-01-01")
    declare("toy", {**MODULES, "steps": STEPS + "# a comment\n"})
    monkeypatch.setattr(output, "parquet_bytes", written_by_another_version)

    assert [run["changed"] for run in run_all(lake, toy_pipeline, "dt=2013-01-01")] == [0, 0, 0]

    after = manifest_json(lake, "doubled", "dt=2013-01-01")
    assert (after["revision"], after["files"][0]["key"]) == (1, before["files"][0]["key"])
    assert after["files"][0]["etag"] != before["files"][0]["etag"]
    assert totals(lake, 1) == [14]


def written_by_another_version(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"by": "another version"}), buffer, compression="snappy")
    return buffer.getvalue()


@pytest.mark.parametrize("state", ["absent", "open"])
def test_partition_whose_events_are_not_complete_is_held_back(lake: Lake, toy_pipeline: Pipeline, state: str) -> None:
    put_day(lake, 2, 7)
    if state == "open":
        put_raw(lake, EVENTS, "2013-01-01", [message("{}")], state="open")

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-02")

    assert [(each["partitions"], each["held_back"]) for each in ran] == [("dt=2013-01-02", 1)] * 3
    assert lake.partitions("conform") == [utc("dt=2013-01-02")]


def test_step_before_that_has_not_run_is_named(lake: Lake, toy_pipeline: Pipeline) -> None:
    put_day(lake, 1, 7)

    with pytest.raises(MissingResource, match=r"/toy/conform/dt=2013-01-01/ has no manifest; run step 'conform' first"):
        run_step(workspace_of(lake, toy_pipeline), "doubled", "dt=2013-01-01")
    assert lake.partitions("doubled") == []


def test_empty_partition_goes_through_every_step_with_its_columns(lake: Lake, toy_pipeline: Pipeline) -> None:
    """A gap in the events makes a partition without rows, and no step fails on it."""
    put_raw(lake, EVENTS, "2013-01-01")

    ran = run_all(lake, toy_pipeline, "dt=2013-01-01")

    assert [run["rows_out"] for run in ran] == [0, 0, 0]
    assert rows_of(lake, "running", "dt=2013-01-01") == []
    assert manifest_json(lake, "running", "dt=2013-01-01")["last_event_time"] is None


def with_step(declare: Declare, body: str, *reads: Input) -> Pipeline:
    """Return the toy with one step of its own after ``conform``."""
    declare("toy", {**MODULES, "steps": STEPS + body})
    return toy(steps=(*TOY.steps, Step("own", run="steps:own", reads=reads or (Input("conform"),))))


def own(lake: Lake, pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return the rows that the step makes of a day with two rows."""
    put_day(lake, 1, 1, 2)
    run_step(workspace_of(lake, pipeline), "conform", "dt=2013-01-01")
    run_step(workspace_of(lake, pipeline), "own", "dt=2013-01-01")
    return rows_of(lake, "own", "dt=2013-01-01")


@pytest.mark.parametrize(
    ("returned", "rows"),
    [
        ("conform.iloc[:0]", []),
        ("pd.DataFrame()", []),
        ("pd.DataFrame({'x': []})", []),
        ("conform[['value']].set_axis([5, 5])", [{"value": 1}, {"value": 2}]),
        ("conform[['value']].rename(columns={'value': 7})", [{"7": 1}, {"7": 2}]),
        ("pd.DataFrame({'x': [None, None]})", [{"x": None}, {"x": None}]),
    ],
)
def test_unusual_rows_are_kept_as_they_are(lake: Lake, declare: Declare, returned: str, rows: list[Any]) -> None:
    assert own(lake, with_step(declare, f"def own(conform): return {returned}\n")) == rows


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        ("None", DeclarationError, "returned NoneType; return a DataFrame"),
        ("conform['value']", DeclarationError, "returned Series; return a DataFrame"),
        (
            "conform.groupby('group')[['value']].sum()",
            DeclarationError,
            r"returned group as index, which is not kept; return reset_index\(\)",
        ),
        ("conform[['value', 'value']]", SluiceError, "on dt=2013-01-01: steps:own returned two columns 'value'"),
        (
            "pd.DataFrame({'x': [1, 'a']})",
            SluiceError,
            "returned a column 'x' that Parquet can't hold: its values are of several types",
        ),
        ("pd.DataFrame({'x': [-2**64]})", SluiceError, "column 'x' .*: -18446744073709551616 is beyond 64 bits"),
        ("pd.DataFrame({'x': [1j]})", SluiceError, "column 'x' that Parquet can't hold: "),
        ("pd.DataFrame({'x': [{}]})", SluiceError, "column 'x' that Parquet can't hold: Cannot write struct"),
        ("conform[['nothing']]", SluiceError, "failed on dt=2013-01-01: KeyError.*correct pipelines/toy, then clear"),
        ("1 / 0", SluiceError, "failed on dt=2013-01-01: ZeroDivisionError"),
    ],
)
def test_result_that_is_no_rows_fails_the_step_in_one_line_and_commits_nothing(
    lake: Lake, declare: Declare, returned: str, error: type[Exception], message: str
) -> None:
    pipeline = with_step(declare, f"def own(conform): return {returned}\n")

    with pytest.raises(error, match=message):
        own(lake, pipeline)
    assert lake.partitions("own") == []


def test_step_may_change_its_input_without_changing_that_of_another(lake: Lake, declare: Declare) -> None:
    body = """
def own(conform, conform_before):
    seen = len(conform_before), int(conform["value"].sum())
    conform["value"] = 0
    conform.drop(conform.index, inplace=True)
    return pd.DataFrame({"before": [seen[0]], "sum": [seen[1]], "columns": [len(conform_before.columns)]})
"""
    pipeline = with_step(declare, body, Input("conform", look_back=1))

    assert own(lake, pipeline) == [{"before": 0, "sum": 3, "columns": 8}]
    assert [row["value"] for row in rows_of(lake, "conform", "dt=2013-01-01")] == [1, 2]


def test_look_back_rows_are_in_the_order_of_time_and_gaps_count_as_no_rows(lake: Lake, declare: Declare) -> None:
    body = "def own(conform, conform_before): return conform_before[['value']]\n"
    pipeline = with_step(declare, body, Input("conform", look_back=3))
    for day in (2, 3, 5, 6):
        put_day(lake, day, day)
    run_step(workspace_of(lake, pipeline), "conform", "dt=2013-01-02..dt=2013-01-03,dt=2013-01-05..dt=2013-01-06")

    run_step(workspace_of(lake, pipeline), "own", "dt=2013-01-06")

    assert [row["value"] for row in rows_of(lake, "own", "dt=2013-01-06")] == [3, 5]


def test_step_reads_drops_as_they_were_landed(lake: Lake, declare: Declare) -> None:
    pipeline = with_step(declare, "def own(weather): return weather\n", Input("weather"))
    lake.put("drops/weather/dt=2013-01-01/a.csv", b"place,wind\nEWR,5\nJFK,\n")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")
    land_drops(lake, DROPS, [utc("dt=2013-01-01")])

    assert own(lake, pipeline) == [{"place": "EWR", "wind": "5"}, {"place": "JFK", "wind": ""}]


def test_drops_whose_types_differ_are_named_as_they_were_dropped(lake: Lake, declare: Declare) -> None:
    body = "def own(weather, weather_before): return weather\n"
    pipeline = with_step(declare, body, Input("weather", look_back=1))
    for day, rows in (("2012-12-31", b'{"wind": 5}'), ("2013-01-01", b'{"wind": "strong"}')):
        lake.put(f"drops/weather/dt={day}/a.json", rows)
        lake.put(f"drops/weather/dt={day}/_SUCCESS", b"")
        land_drops(lake, DROPS, [utc(f"dt={day}")])

    with pytest.raises(SluiceError, match="wind") as refused:
        own(lake, pipeline)

    for name in (
        "drops/weather/dt=2012-12-31/a.json",
        "drops/weather/dt=2013-01-01/a.json",
        "int64",
        "string",
        "schema",
    ):
        assert name in str(refused.value)


def test_step_reads_drops_in_their_declared_types(lake: Lake, declare: Declare) -> None:
    typed = replace(DROPS, schema={"place": "string", "wind": "int64"})
    pipeline = replace(
        with_step(declare, "def own(weather): return weather\n", Input("weather")), sources=(EVENTS, typed)
    )
    lake.put("drops/weather/dt=2013-01-01/a.csv", b"place,wind\nEWR,5\nJFK,\n")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")
    land_drops(lake, typed, [utc("dt=2013-01-01")])

    assert own(lake, pipeline) == [{"place": "EWR", "wind": 5}, {"place": "JFK", "wind": None}]


@pytest.mark.usefixtures("no_wire")
def test_failure_of_the_cloud_is_no_error_of_the_pipeline(cloud: Cloud, lake: Lake, toy_pipeline: Pipeline) -> None:
    """The task is retried: only an error that a change can repair is a SluiceError."""
    put_day(lake, 1, 1)
    s3 = cloud.client("s3")

    def unreachable(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith(".parquet"):
            raise EndpointConnectionError(endpoint_url="here")

    s3.meta.events.register("before-call.s3.GetObject", unreachable)

    with pytest.raises(EndpointConnectionError):
        run_step(workspace_of(Lake(s3, lake.bucket, "toy"), toy_pipeline), "conform", "dt=2013-01-01")


HOOKED = """
import pandas as pd
HOOK = lambda: None

def doubled(conform):
    rows = conform.assign(value=conform["value"] * 2)
    HOOK()
    return rows

def running(doubled, doubled_before):
    rows = doubled[["event_id", "event_time", "value"]].copy()
    rows["total"] = int(doubled["value"].sum() + doubled_before["value"].sum())
    HOOK()
    return rows
"""


@pytest.fixture
def hook(declare: Declare) -> Callable[[Callable[[], None]], None]:
    """Sets what happens while a step of the toy runs, after it has read its input."""
    declare("toy", {**MODULES, "steps": HOOKED})

    def set_hook(happens: Callable[[], None]) -> None:
        importlib.import_module("pipelines.toy.steps").HOOK = happens  # type: ignore[attr-defined]

    return set_hook


def wait_once(has_read: Event, may_continue: Event) -> None:
    """Hold the first run, until it may continue."""
    if not has_read.is_set():
        has_read.set()
        assert may_continue.wait(_SECONDS)


def test_input_that_changes_while_the_step_runs_is_read_again(
    lake: Lake, hook: Callable[[Callable[[], None]], None]
) -> None:
    put_day(lake, 1, 1)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
    changes = iter([lambda: put_day(lake, 1, 50)])

    def change() -> None:
        for each in changes:
            each()
            run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
            break

    hook(change)

    run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")

    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-01")] == [100]


@pytest.mark.parametrize("reverted", [False, True])
def test_code_that_changes_while_the_step_runs_is_never_recorded_for_rows_of_the_other(
    lake: Lake, declare: Declare, reverted: bool
) -> None:
    """The process has loaded the former code, and can't run the new one. The run ends; a new process repairs it."""
    folder = declare("toy", {**MODULES, "steps": HOOKED})
    steps, new = folder / "steps.py", HOOKED.replace("* 2", "* 3")
    importlib.import_module("pipelines.toy.steps").HOOK = lambda: steps.write_text(new)  # type: ignore[attr-defined]
    put_day(lake, 1, 1)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
    before = code_fingerprint(TOY, TOY.step("doubled"))

    with pytest.raises(RunInterrupted, match=r"step 'doubled' of toy has changed .*; clear this task") as end:
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")

    assert is_transient(end.value)  # a retry is a new process
    assert manifest_json(lake, "doubled", "dt=2013-01-01")["code"] == before
    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-01")] == [2]
    with pytest.raises(RunInterrupted):
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")
    assert manifest_json(lake, "doubled", "dt=2013-01-01")["code"] == before

    declare("toy", {**MODULES, "steps": HOOKED if reverted else new})
    importlib.import_module("pipelines.toy.steps").HOOK = lambda: None  # type: ignore[attr-defined]
    run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")

    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-01")] == [2 if reverted else 3]


def test_code_that_changes_between_the_plan_and_the_run_commits_nothing(
    lake: Lake, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = declare("toy", MODULES) / "steps.py"
    put_day(lake, 1, 1)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")

    def changed(pipeline: Pipeline, reference: str) -> Any:
        steps.write_text(STEPS.replace("* 2", "* 3"))
        return resolve(pipeline, reference)

    monkeypatch.setattr(code, "resolve", changed)

    with pytest.raises(RunInterrupted, match="the code of step 'doubled' of toy has changed"):
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")
    assert lake.partitions("doubled") == []


def test_two_runs_of_the_same_days_at_once_make_what_one_makes(
    cloud: Cloud, lake: Lake, toy_pipeline: Pipeline, own_name: str
) -> None:
    """P4: each of them runs all steps; also the revisions are those of one run."""
    alone = Lake(lake.s3, f"{own_name[:36]}-1", "toy")
    lake.s3.create_bucket(Bucket=alone.bucket)
    for each in (lake, alone):
        for day in range(1, 7):
            put_day(each, day, *range(day))
    range_, start = "dt=2013-01-01..dt=2013-01-06", Barrier(2)
    run_all(alone, toy_pipeline, range_)

    def run(name: str) -> None:
        own = workspace_of(Lake(cloud.client("s3"), lake.bucket, "toy"), toy_pipeline)
        start.wait(_SECONDS)
        run_step(own, name, range_)

    for step in toy_pipeline.steps:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, [step.name] * 2))

    def made(of: Lake) -> list[tuple[str, str, int, int]]:
        manifests = (each for step in toy_pipeline.steps for each in Look(of).manifests(step.name))
        return [(each.partition, each.digest, each.revision, each.rows_out) for each in manifests]

    assert len(made(alone)) == 18
    assert made(lake) == made(alone)


def test_run_without_a_change_makes_as_many_calls_for_a_month_as_for_half_of_it(
    lake: Lake, toy_pipeline: Pipeline
) -> None:
    """The first run leaves copies of all manifests, its own and those of raw partitions."""
    for day in range(1, 31):
        put_day(lake, day, day)
    run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-30")

    def calls(days: int) -> dict[str, int]:
        with counted(lake.bucket) as made:
            ran = run_all(lake, toy_pipeline, f"dt=2013-01-01..dt=2013-01-{days}")
        assert [run["changed"] for run in ran] == [0, 0, 0]
        return dict(made)

    assert calls(30) == calls(15)
    assert calls(30).keys() == {"get", "list"}
    assert sum(calls(30).values()) <= 24


def test_clock_that_goes_back_changes_no_result(lake: Lake, toy_pipeline: Pipeline) -> None:
    """GIVEN manifests of a time to come, THEN what is due is made, and nothing else."""
    ahead = replace(lake, now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    back = replace(lake, now=lambda: datetime(2013, 1, 5, tzinfo=UTC))
    for day in (1, 2):
        put_day(lake, day, day)
    run_all(ahead, toy_pipeline, "dt=2013-01-01..dt=2013-01-02")
    untouched = manifest_json(lake, "conform", "dt=2013-01-02")
    assert untouched["written_at"].startswith("2030")
    put_day(lake, 1, 1, 100)

    ran = run_all(back, toy_pipeline, "dt=2013-01-01..dt=2013-01-02")

    assert [run["changed"] for run in ran] == [1, 1, 2]
    assert totals(lake, 1, 2) == [202, 206]
    assert manifest_json(lake, "conform", "dt=2013-01-01")["revision"] == 2
    assert manifest_json(lake, "conform", "dt=2013-01-02") == untouched


def test_slow_run_on_old_inputs_does_not_overwrite_a_newer_one(
    cloud: Cloud, lake: Lake, hook: Callable[[Callable[[], None]], None]
) -> None:
    """GIVEN a run that has read, WHEN another reads newer inputs and commits first, THEN the newer rows are kept."""
    put_day(lake, 1, 1)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
    has_read, may_continue = Event(), Event()
    hook(partial(wait_once, has_read, may_continue))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(
            run_step, workspace_of(Lake(cloud.client("s3"), lake.bucket, "toy"), TOY), "doubled", "dt=2013-01-01"
        )
        assert has_read.wait(_SECONDS)
        put_day(lake, 1, 50)
        run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")
        may_continue.set()
        slow.result(_SECONDS)

    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-01")] == [100]


def test_two_days_at_once_end_as_if_run_one_after_another(
    cloud: Cloud, lake: Lake, hook: Callable[[Callable[[], None]], None]
) -> None:
    """GIVEN day 2 that has looked back on a missing day 1, WHEN day 1 is written before day 2 commits,
    THEN no other run finds day 2 to run it again, and so day 2 itself reads its inputs again."""
    for day in (1, 2):
        put_day(lake, day, day)
        run_step(workspace_of(lake, TOY), "conform", f"dt=2013-01-0{day}")
    run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-02")
    has_read, may_continue = Event(), Event()
    hook(partial(wait_once, has_read, may_continue))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(
            run_step, workspace_of(Lake(cloud.client("s3"), lake.bucket, "toy"), TOY), "running", "dt=2013-01-02"
        )
        assert has_read.wait(_SECONDS)
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")
        run_step(workspace_of(lake, TOY), "running", "dt=2013-01-01")
        may_continue.set()
        second.result(_SECONDS)

    assert totals(lake, 1, 2) == [2, 6]


SEEDED = """
import numpy as np

def doubled(conform):
    np.random.seed(7)
    noise = np.mean([np.random.rand(len(conform)) for _ in range(500)], axis=0)
    return conform.assign(noise=noise)
"""


def test_step_that_seeds_random_numbers_gives_the_same_bytes_each_time(lake: Lake, declare: Declare) -> None:
    """The generator belongs to the process, and a run makes several partitions side by side."""
    declare("toy", {**MODULES, "steps": SEEDED})
    for day in range(1, 9):
        put_day(lake, day, 1, 2, 3)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01..dt=2013-01-08")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01..dt=2013-01-08")
    finally:
        sys.setswitchinterval(before)

    rows = [rows_of(lake, "doubled", f"dt=2013-01-{day:02d}") for day in range(1, 9)]
    assert len({tuple(row["noise"] for row in each) for each in rows}) == 1


def test_inputs_that_keep_changing_fail_the_step(lake: Lake, hook: Callable[[Callable[[], None]], None]) -> None:
    put_day(lake, 1, 0)
    run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")
    values = iter(range(1, 100))

    def change() -> None:
        put_day(lake, 1, next(values))
        run_step(workspace_of(lake, TOY), "conform", "dt=2013-01-01")

    hook(change)

    with pytest.raises(ConflictingWrite, match="was made 5 times, and each time its inputs changed"):
        run_step(workspace_of(lake, TOY), "doubled", "dt=2013-01-01")
    assert next(values) == 6


@pytest.mark.parametrize("step", ["conform", "doubled", "running"])
def test_manifest_of_an_output_that_can_not_be_read_is_kept_and_all_other_partitions_are_made(
    lake: Lake, toy_pipeline: Pipeline, step: str
) -> None:
    """P17: the error names it, also where an earlier partition is made on which it looks back."""
    for day in range(1, 10):
        put_day(lake, day, day)
    key = lake.layout.manifest(step, utc("dt=2013-01-05"))
    lake.put(key, b'{"schema_version": 2}')
    before = [each.name for each in TOY.steps[: TOY.steps.index(TOY.step(step))]]
    for name in before:
        run_step(workspace_of(lake, toy_pipeline), name, "dt=2013-01-01..dt=2013-01-09")

    with pytest.raises(UnreadableObject, match=f"{key} has schema 2, .* update Sluice"):
        run_step(workspace_of(lake, toy_pipeline), step, "dt=2013-01-01..dt=2013-01-09")

    assert lake.get(key) == b'{"schema_version": 2}'
    others = [day for day in range(1, 10) if day != 5]
    made = [manifest_json(lake, step, f"dt=2013-01-{day:02d}")["rows_out"] for day in others]
    assert made == [1] * len(others)


def test_later_output_that_looks_back_and_can_not_be_read_is_named(lake: Lake, toy_pipeline: Pipeline) -> None:
    """It would stay as it is although its input has changed, so the run must not be green."""
    for day in (1, 2):
        put_day(lake, day, day)
    run_all(lake, toy_pipeline, "dt=2013-01-01..dt=2013-01-02")
    key = lake.layout.manifest("running", utc("dt=2013-01-02"))
    former = lake.get(key)
    lake.put(key, former[:-1])
    put_day(lake, 1, 1, 100)

    with pytest.raises(UnreadableObject, match=f"{key} is no JSON"):
        run_all(lake, toy_pipeline, "dt=2013-01-01")
    assert totals(lake, 1) == [202]

    lake.put(key, former)
    run_all(lake, toy_pipeline, "dt=2013-01-01")

    assert totals(lake, 1, 2) == [202, 206]


def test_input_that_can_not_be_read_fails_its_partition_and_all_others_are_made(
    lake: Lake, toy_pipeline: Pipeline
) -> None:
    for day in range(1, 10):
        put_day(lake, day, day)
    key = lake.layout.manifest("raw/events", utc("dt=2013-01-01"))
    former = lake.get(key)
    lake.put(key, former[:-1])

    with pytest.raises(UnreadableObject, match=f"{key} is no JSON"):
        run_step(workspace_of(lake, toy_pipeline), "conform", "dt=2013-01-01..dt=2013-01-09")
    assert [each.key for each in lake.partitions("conform")] == [f"dt=2013-01-{day:02d}" for day in range(2, 10)]

    lake.put(key, former)
    ran = run_step(workspace_of(lake, toy_pipeline), "conform", "dt=2013-01-01..dt=2013-01-09")

    assert (ran["changed"], ran["rows_out"]) == (1, 9)


def foreign(rows: int = 1) -> bytes:
    return written_by_another_version(pa.table({"x": list(range(rows))}))


def damage(lake: Lake, key: str, how: str) -> bytes:
    """Damage an object, and return its former content."""
    former = lake.get(key)
    if how == "gone":
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    else:
        lake.put(key, {"cut off": former[:-20], "empty": b"", "foreign": foreign(), "of others": foreign(2)}[how])
    return former


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("cut off", r"can't be read \(.*footer.*\): it is damaged, or something else wrote it; restore its former"),
        ("empty", r"can't be read \(.*0 bytes.*\): it is damaged"),
        ("foreign", r"can't be read \(it has no column event_id, .*\): it is damaged, or something else wrote it"),
        ("of others", r"can't be read \(it has 2 rows, and its manifest says 1\): it is damaged, or something else"),
        ("gone", r"is gone, but its manifest names it; restore it"),
    ],
)
def test_raw_part_that_can_not_be_read_fails_its_partition_alone(
    lake: Lake, toy_pipeline: Pipeline, how: str, why: str
) -> None:
    for day in range(1, 10):
        put_day(lake, day, day)
    (part,) = manifest_json(lake, "raw/events", "dt=2013-01-01")["files"]
    former = damage(lake, part["key"], how)
    of_partition = lake.uri(lake.layout.manifest("raw/events", utc("dt=2013-01-01")))

    with pytest.raises(SluiceError, match=f"^{lake.uri(part['key'])} {why}") as failed:
        run_step(workspace_of(lake, toy_pipeline), "conform", "dt=2013-01-01..dt=2013-01-09")

    assert str(failed.value).endswith(f", or remove {of_partition} as well and replay from the stream")
    assert not is_transient(failed.value)
    assert [each.key for each in lake.partitions("conform")] == [f"dt=2013-01-{day:02d}" for day in range(2, 10)]

    lake.put(part["key"], former)
    ran = run_step(workspace_of(lake, toy_pipeline), "conform", "dt=2013-01-01..dt=2013-01-09")

    assert (ran["changed"], ran["rows_out"]) == (1, 9)


@pytest.mark.parametrize("how", ["cut off", "empty", "of others", "gone"])
def test_output_that_can_not_be_read_fails_what_reads_it_and_is_made_again_as_the_error_says(
    lake: Lake, toy_pipeline: Pipeline, how: str
) -> None:
    """Day 3 reads it, and day 4 looks back on it."""
    for day in range(1, 9):
        put_day(lake, day, day)
    range_ = "dt=2013-01-01..dt=2013-01-08"
    for name in ("conform", "doubled"):
        run_step(workspace_of(lake, toy_pipeline), name, range_)
    made = manifest_json(lake, "doubled", "dt=2013-01-03")
    damage(lake, made["files"][0]["key"], how)

    with pytest.raises(SluiceError, match=f"^{lake.uri(made['files'][0]['key'])} ") as failed:
        run_step(workspace_of(lake, toy_pipeline), "running", range_)

    assert str(failed.value).endswith("or remove the _manifest.json of its partition and run its step again")
    assert not is_transient(failed.value)
    assert [each.start.day for each in lake.partitions("running")] == [1, 2, 5, 6, 7, 8]

    lake.s3.delete_object(Bucket=lake.bucket, Key="toy/doubled/dt=2013-01-03/_manifest.json")
    run_step(workspace_of(lake, toy_pipeline), "doubled", "dt=2013-01-03")
    run_step(workspace_of(lake, toy_pipeline), "running", range_)

    again = manifest_json(lake, "doubled", "dt=2013-01-03")
    assert [file["key"] for file in again["files"]] == [file["key"] for file in made["files"]]
    assert totals(lake, 3, 4) == [10, 14]


def test_landed_drop_that_has_lost_its_end_is_no_smaller_drop(lake: Lake, declare: Declare) -> None:
    """GIVEN a CSV, whose end nothing marks, THEN the manifest shows that rows are missing."""
    pipeline = with_step(declare, "def own(weather):\n    return weather\n", Input("weather"))
    lake.put("drops/weather/dt=2013-01-01/day.csv", b"x\n1\n2\n3\n")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")
    land_drops(lake, DROPS, [utc("dt=2013-01-01")])
    (landed,) = manifest_json(lake, "raw/weather", "dt=2013-01-01")["files"]
    lake.put(landed["key"], b"x\n1\n2\n")

    with pytest.raises(SluiceError, match=f"^{landed['key']} has 6 bytes and 8 were dropped: it is damaged, .*restore"):
        run_step(workspace_of(lake, pipeline), "own", "dt=2013-01-01")
    assert lake.partitions("own") == []


def changed_contract(lake: Lake, declare: Declare, kind: str) -> Pipeline:
    """Return a pipeline of which day 1 was conformed by a contract of whole numbers, and day 2 by another."""
    code = "import pandas as pd\ndef both(conform, conform_before): return pd.concat([conform_before, conform])\n"
    step = Step("both", run="steps:both", reads=(Input("conform", look_back=1),))
    pipeline = replace(TOY, steps=(TOY.steps[0], step), training=None, deployment=None)
    put_day(lake, 1, 1)
    put_raw(
        lake, EVENTS, "2013-01-02", [message(reading("r", "2013-01-02T00:00:00Z", 0.5 if kind == "float" else "a"))]
    )
    for day, contract in ((1, CONTRACT), (2, CONTRACT.replace("value: int", f"value: {kind}"))):
        declare("toy", {"contract": contract, "steps": code})
        run_step(workspace_of(lake, pipeline), "conform", f"dt=2013-01-{day:02d}")
    return pipeline


def test_look_back_over_a_changed_contract_unifies_types(lake: Lake, declare: Declare) -> None:
    pipeline = changed_contract(lake, declare, "float")

    run_step(workspace_of(lake, pipeline), "both", "dt=2013-01-02")

    assert [row["value"] for row in rows_of(lake, "both", "dt=2013-01-02")] == [1.0, 0.5]


def test_look_back_over_types_that_no_type_holds_is_refused(lake: Lake, declare: Declare) -> None:
    pipeline = changed_contract(lake, declare, "str")

    with pytest.raises(
        SluiceError,
        match=r"column 'value' is int64 in toy/conform/dt=2013-01-01/.* and string in toy/conform/dt=2013-01-02/",
    ):
        run_step(workspace_of(lake, pipeline), "both", "dt=2013-01-02")


def test_changed_contract_is_a_new_revision_of_its_partitions(lake: Lake, declare: Declare) -> None:
    pipeline = changed_contract(lake, declare, "float")

    ran = run_step(workspace_of(lake, pipeline), "conform", "dt=2013-01-01")

    assert ran["changed"] == 1
    assert manifest_json(lake, "conform", "dt=2013-01-01")["revision"] == 2
    assert [type(row["value"]) for row in rows_of(lake, "conform", "dt=2013-01-01")] == [float]

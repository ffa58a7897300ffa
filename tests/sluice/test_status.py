"""The status of a pipeline is read from its resources; the read changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.draining import workspace_of
from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.serving.live import Live
from tests.sluice.toy import DROPS, EVENTS, message, reading, toy

from sluice.cli.state import pipeline_answer
from sluice.declaration.deployment import Deployment
from sluice.declaration.envelopes import Sns
from sluice.declaration.scoring import Scoring
from sluice.declaration.sources import Stream
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.sources.connecting import connect_events
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance
from sluice.status import (
    DatasetStatus,
    PipelineStatus,
    SourceStatus,
    dataset_status,
    pipeline_status,
    source_status,
)
from sluice.steps.output import Output, commit
from sluice.steps.runner import run_step
from sluice.workspace import Workspace


def queue_status(waiting: int, in_flight: int) -> SourceStatus:
    figures = {
        "waiting": waiting,
        "in_flight": in_flight,
        "delayed": 0,
        "backlog": waiting + in_flight,
        "dead_letters": 0,
        "landed_until": None,
    }
    return SourceStatus("events", "queue", figures)


def stream_status(shards: int, ended: int, read_until: datetime | None, lag: float | None, gaps: int) -> SourceStatus:
    figures = {"shards": shards, "ended": ended, "read_until": read_until, "read_lag_seconds": lag, "gaps": gaps}
    return SourceStatus("stream", "stream", figures)


def test_pipeline_without_runs_has_empty_datasets(workspace: Workspace) -> None:
    unused = replace(workspace, pipeline=replace(workspace.pipeline, deployment=Deployment("toy-never-deployed")))

    status = pipeline_status(unused)

    names = [dataset.name for dataset in status.datasets]
    assert names == ["raw/events", "raw/weather", "conform", "doubled", "running"]
    empty = {(dataset.open, dataset.closed, dataset.rows_out or 0) for dataset in status.datasets}
    assert empty == {("", "", 0)}
    assert (status.endpoint, status.deployment) == (None, None)
    assert status.sources == (queue_status(waiting=0, in_flight=0),)


def test_partitions_rows_and_rejects_are_summed(workspace: Workspace) -> None:
    lake = workspace.lake
    for day in ("2013-01-01", "2013-01-02", "2013-01-04"):
        good = reading(f"good-{day}", f"{day}T07:00:00+00:00")
        bad = reading("bad", f"{day}T07:00:00+00:00", "x")
        put_raw(lake, EVENTS, day, [message(good, 1), message(bad, 2)], [message(good, 3)])
    put_raw(lake, EVENTS, "2013-01-05", [message("{}")], state="open")
    run_step(workspace_of(lake, workspace.pipeline), "conform", "dt=2013-01-01..dt=2013-01-02")

    assert source_status(workspace, EVENTS) == DatasetStatus(
        name="raw/events",
        open="dt=2013-01-05",
        closed="dt=2013-01-01..dt=2013-01-02,dt=2013-01-04",
        parts=7,
        rows_out=10,
        duplicates=0,
        rejected={},
        not_conformed=4,
    )
    assert dataset_status(workspace, "conform") == DatasetStatus(
        name="conform",
        open="",
        closed="dt=2013-01-01..dt=2013-01-02",
        parts=2,
        rows_out=2,
        duplicates=2,
        rejected={"value: int_type": 2},
    )


def test_messages_that_hold_no_event_are_counted(workspace: Workspace) -> None:
    lake, wrapped = workspace.lake, replace(EVENTS, unwrap=(Sns(),))
    put_raw(lake, wrapped, "2013-01-01", [message('{"Type": "SubscriptionConfirmation"}')])
    run_step(workspace_of(lake, workspace.pipeline), "conform", "dt=2013-01-01")

    status = dataset_status(workspace, "conform")

    assert (status.control, status.rows_out, status.rejected) == (1, 0, {})
    assert source_status(workspace, EVENTS).not_conformed == 0


def test_all_landed_events_are_shown(workspace: Workspace) -> None:
    """Events before start or after end, of each source, and those that no conform step has read."""
    lake, days = workspace.lake, ("2012-12-31", "2013-01-01", "2013-12-31", "2014-01-01")
    ended = replace(workspace, pipeline=replace(workspace.pipeline, end=datetime(2013, 12, 31, tzinfo=UTC)))
    for day in days:
        put_raw(lake, EVENTS, day, [message(reading(day, f"{day}T07:00:00+00:00"))])
        lake.put(f"{DROPS.prefix}dt={day}/part.csv", b"a")
    for name in ("dt=2014-01-02.bak/a", "dt=2014-02-30/a", "notes.txt"):
        lake.put(f"{DROPS.prefix}{name}", b"a")
    run_step(workspace_of(lake, ended.pipeline), "conform", "dt=2013-01-01")
    put_raw(lake, EVENTS, "2013-01-01", [message(reading(f"e{n}", "2013-01-01T07:00:00+00:00"), n) for n in range(3)])

    events, weather = (source_status(ended, source) for source in (EVENTS, DROPS))

    assert (events.rows_out, weather.rows_out) == (6, None)  # drops land unread
    assert (events.outside, weather.outside) == ("dt=2012-12-31,dt=2014-01-01",) * 2
    assert events.not_conformed == 3 + 2  # three days that were not run, and what came late to one that was
    assert events.late == {"dt=2013-01-01": 1}
    columns = shown(pipeline_status(ended), "toy: datasets")
    assert (columns["not conformed"][0], columns["changed late"][0]) == ("5", "dt=2013-01-01 1")
    assert columns["outside start and end"][0] == "dt=2012-12-31, dt=2014-01-01"


def shown(status: PipelineStatus, title: str) -> dict[str, list[str]]:
    """Return the cells of a table that `sluice status` shows, by their columns."""
    (table,) = [each for each in pipeline_answer("toy", status).texts() if getattr(each, "title", "") == title]
    return {column: [row[place].plain for row in table.rows] for place, column in enumerate(table.columns)}


def test_backlog_is_shown_and_unchanged(workspace: Workspace, sqs: Any) -> None:
    url = workspace.resources.made_for("queues", "events")
    for n in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="{}", MessageGroupId="g", MessageDeduplicationId=f"status-{n}")
    try:
        statuses = [pipeline_status(workspace).sources for _ in range(2)]
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)
        statuses.append(pipeline_status(workspace).sources)

        waiting, received = (queue_status(waiting=waiting, in_flight=3 - waiting) for waiting in (3, 1))
        assert statuses == [(waiting,), (waiting,), (received,)]
    finally:
        sqs.purge_queue(QueueUrl=url)


def test_moment_up_to_which_a_queue_has_landed_is_shown(workspace: Workspace) -> None:
    proved = connect_events(workspace, EVENTS).evidence(timedelta(0)).landed_until

    (shown,) = pipeline_status(workspace).sources
    assert proved is not None
    assert shown.figures["landed_until"] == proved


def test_queue_without_dead_letters_has_none(workspace: Workspace) -> None:
    url = workspace.resources.made_for("queues", "events")
    bare = replace(workspace, resources=replace(workspace.resources, of_sources={"queues/events": url}))

    assert [source.figures["dead_letters"] for source in pipeline_status(bare).sources] == [None]


def test_stream_is_behind_by_its_slowest_open_shard(workspace: Workspace) -> None:
    moment = datetime(2013, 1, 1, 12, tzinfo=UTC)
    lake = Lake(workspace.lake.s3, workspace.lake.bucket, workspace.lake.pipeline, now=lambda: moment)
    pipeline = toy(sources=(EVENTS, DROPS, Stream("stream", event_id="id", event_time="at")))
    streaming = replace(workspace, pipeline=pipeline, lake=lake)
    assert pipeline_status(streaming).sources[1:] == (stream_status(0, 0, None, None, 0),)

    gap = Gap(since=moment - timedelta(days=9), until=moment - timedelta(days=8))
    for shard, minutes, ended in (("old", 600, True), ("left", 5, False), ("right", 2, False)):
        read_until = moment - timedelta(minutes=minutes)
        advance(lake, "stream", Checkpoint(shard=shard, read_until=read_until, ended=ended, gaps=(gap,) * ended))

    assert pipeline_status(streaming).sources[1:] == (stream_status(2, 1, moment - timedelta(minutes=5), 300, 1),)


def _endpoint_row(status: PipelineStatus) -> dict[str, str]:
    return {column: cells[0] for column, cells in shown(status, "toy: endpoint").items()}


def test_endpoint_and_the_last_proven_deployment_are_shown(live: Live) -> None:
    status = pipeline_status(live.workspace)

    assert status.endpoint is not None
    assert (status.endpoint.name, status.endpoint.status) == (live.endpoint, "InService")
    assert status.deployment is not None
    recipe = status.deployment.recipe
    other = recipe.model_copy(update={"config": {**recipe.config, "EndpointConfigName": "other"}})
    unproven = replace(status, deployment=status.deployment.model_copy(update={"recipe": other}))
    row = _endpoint_row(status)
    assert [_endpoint_row(each)["proven"] for each in (status, unproven)] == ["yes", "no"]
    assert row["model"] == live.job.name
    assert row["trained"] == f"{live.job.ended_at:%Y-%m-%d %H:%M:%S}"
    assert row["on"] == "dt=2013-01-01..dt=2013-01-06"
    assert row["test auc"] == f"{live.auc_of('test'):.4f}"
    assert [_endpoint_row(each)["an hour"] for each in (status, unproven)] == ["0.1150 $", ""]
    newest = live.workspace.aws.client("sagemaker").list_training_jobs(
        NameContains="toy-xgboost-", SortBy="CreationTime", SortOrder="Descending", MaxResults=5
    )
    assert [job.name for job in status.jobs] == [each["TrainingJobName"] for each in newest["TrainingJobSummaries"]]


def test_newest_scored_partition_is_shown_with_its_model_and_the_live_one(workspace: Workspace, live: Live) -> None:
    lake, scoring = workspace.lake, Scoring("risks", keep=("value",))
    own = replace(workspace, pipeline=toy(deployment=None, scoring=scoring))

    def row() -> list[str]:
        return [cell for (cell,) in shown(pipeline_status(own), "toy: batch scoring").values()]

    assert row() == ["risks", "-", "-", "-", "-", "-"]
    for day, job in (("2013-01-01", "older"), ("2013-01-02", "newer")):
        output = Output(pa.table({"value": [1.0], "score": [0.5]}))
        commit(Look(lake), "risks", partition(day), output, inputs={f"models/{job}": ""}, code="", rows_in=1)
    record = DeploymentRecord(endpoint=None, model=live.model, verdict=1, metrics={"auc": 0.75}, recipe=None)
    record_deployment(lake, record)

    trained = f"{live.job.ended_at:%Y-%m-%d %H:%M:%S}"
    assert row() == ["risks", "dt=2013-01-02", "newer", live.model.job, trained, "0.7500"]
    assert pipeline_status(own).datasets[-1] == DatasetStatus(
        "risks", open="", closed="dt=2013-01-01..dt=2013-01-02", parts=2, rows_out=2, duplicates=0, rejected={}
    )


def test_each_job_has_its_price_or_says_that_there_is_none(live: Live) -> None:
    pipeline = live.workspace.pipeline
    status = pipeline_status(replace(live.workspace, pipeline=replace(pipeline, prices={"ml.m5.large": 36})))

    def billed(status: PipelineStatus) -> list[str]:
        return shown(status, "toy: training jobs")["billed"]

    assert status.jobs
    assert billed(status) == [f"{job.billable_seconds / 100:.4f} $" for job in status.jobs]
    unknown = replace(status, job_prices=dict.fromkeys(status.job_prices))
    assert billed(unknown) == ["no price"] * len(status.jobs)


def test_status_shows_all_but_a_manifest_that_can_not_be_read_and_names_it(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    lake = workspace.lake
    for day in ("2013-01-01", "2013-01-02"):
        put_raw(lake, EVENTS, day, [message(reading("r", f"{day}T07:00:00+00:00"))])
    keys = [lake.layout.manifest(dataset, partition("2013-01-02")) for dataset in ("raw/events", "conform")]
    for key in keys:
        lake.put(key, b"{")

    status = pipeline_status(replace(workspace, pipeline=replace(workspace.pipeline, deployment=None)))

    assert [(each.name, each.closed) for each in status.datasets[:3]] == [
        ("raw/events", "dt=2013-01-01"),
        ("raw/weather", ""),
        ("conform", ""),
    ]
    assert status.datasets[0].not_conformed == 1
    for key in keys:
        assert f"{lake.uri(key)} is no JSON: it is cut off or damaged; restore its former version" in caplog.text

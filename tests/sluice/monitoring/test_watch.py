"""A look measures the live model on what came after its training, and says what is beyond a bound."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.sluice.lake_contents import body_of, keys_below, put_rows
from tests.sluice.monitoring.looks import NOW, new_rows, put_days, watched
from tests.sluice.serving.live import Live

from sluice.lake.store import Lake
from sluice.monitoring.report import Report, read_report
from sluice.monitoring.watch import announce_findings, training_run, watch
from sluice.serving.records import DeploymentRecord, deployment_records, record_deployment
from sluice.workspace import Workspace


def look(workspace: Workspace) -> Report:
    return read_report(workspace.lake, watch(workspace))


def texts(report: Report, about: str) -> list[str]:
    return [each.text for each in report.findings if each.about == about]


def auc(labels: Any, scores: Any) -> float:
    """Return the AUC by its definition."""
    pairs = [
        (one > other) + (one == other) / 2
        for (of_one, one), (of_other, other) in product(zip(labels, scores, strict=True), repeat=2)
        if of_one > of_other
    ]
    return float(np.mean(pairs))


def scores_of(live: Live, rows: pd.DataFrame) -> list[float]:
    return live.predictions([f"{value},{total}" for value, total in zip(rows["value"], rows["total"], strict=True)])


def proven_at(workspace: Workspace, endpoint: str, **changes: Any) -> DeploymentRecord:
    """Record that the model of the first deployment was proven at another endpoint, or with another recipe."""
    record = deployment_records(workspace.lake)[1]
    record = record.model_copy(update={"endpoint": endpoint, **changes})
    record_deployment(workspace.lake, record)
    return record


def test_metrics_are_those_of_the_answers_for_the_newest_rows_with_an_outcome(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake, window=2)
    put_days(lake, [7, 8, 9])  # trained on, or too old for the window
    rows = put_days(lake, [10, 11])
    open_day = new_rows(12, 60, flipped=True)
    put_rows(lake, "running", "2013-01-12", open_day, state="open")
    rows.loc[60:69, "late"] = None
    put_rows(lake, "running", "2013-01-11", rows[60:].convert_dtypes())

    report = look(workspace)

    assert (report.partitions, report.rows, report.judged) == ("dt=2013-01-10..dt=2013-01-11", 120, 110)
    judged = rows.dropna()
    expected = auc(judged["late"], scores_of(live, judged))
    assert 0.6 < expected < 0.99
    found = report.metrics["auc"]
    assert found.value == pytest.approx(expected, abs=1e-4)
    assert found.low is not None
    assert found.high is not None
    assert 0.02 < found.high - found.low < 0.3
    accuracy = np.mean((np.array(scores_of(live, judged)) >= 0.5) == (judged["late"] == 1))
    assert report.metrics["accuracy"].value == pytest.approx(accuracy, abs=1e-6)
    assert report.findings == ()
    assert report.model == live.model.job
    assert report.status.startswith("InService on toy-live-")


def test_outcome_that_arrives_late_is_judged_by_the_next_look(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    rows = put_days(lake, [9])
    put_rows(lake, "running", "2013-01-09", rows.assign(late=None).astype({"late": "Int64"}))

    first = look(workspace)
    put_rows(lake, "running", "2013-01-09", rows)
    second = look(workspace)

    assert (first.rows, first.judged, first.metrics) == (60, 0, {})
    assert set(first.drift) == {"value", "total"}  # needs no outcome
    assert second.judged == 60
    assert second.metrics["auc"].value == pytest.approx(auc(rows["late"], scores_of(live, rows)), abs=1e-4)


@pytest.mark.parametrize(
    ("retrain", "action"),
    [
        (False, "run toy_train"),
        pytest.param(True, "toy_train is triggered: read its verdict", marks=pytest.mark.slow),
    ],
)
def test_model_that_is_worse_than_its_bound_is_found_with_the_next_action(
    live: Live, lake: Lake, retrain: bool, action: str
) -> None:
    workspace = watched(live, lake, retrain=retrain)
    rows = put_days(lake, [9, 10], flipped=True)

    number = watch(workspace)

    report = read_report(lake, number)
    found = report.metrics["auc"]
    assert found.value == pytest.approx(auc(rows["late"], scores_of(live, rows)), abs=1e-4)
    assert texts(report, "metric") == [
        f"auc is {found.value:.4f} ({found.low:.4f} to {found.high:.4f}) on 120 of the 120 rows of "
        f"dt=2013-01-09..dt=2013-01-10, and the bound is 0.6; {action}"
    ]
    assert training_run(workspace, number) == f"monitoring={report.digest[:16]}"


@pytest.mark.parametrize(("worst", "count"), [(0.3, 0), (0.95, 1)])
def test_bound_of_the_monitoring_replaces_that_of_the_gate(live: Live, lake: Lake, worst: float, count: int) -> None:
    workspace = watched(live, lake, worst=worst)
    put_days(lake, [9, 10], rows=200)

    assert len(texts(look(workspace), "metric")) == count


def test_few_rows_start_no_training(live: Live, lake: Lake) -> None:
    """The value is below the bound, but the interval is not."""
    rows = put_days(lake, [9], rows=30)
    expected = auc(rows["late"], scores_of(live, rows))

    report = look(watched(live, lake, worst=expected + 0.02))

    assert expected < 0.95
    assert report.metrics["auc"].value == pytest.approx(expected, abs=1e-4)
    assert report.findings == ()


def test_fewer_rows_than_the_gate_asks_for_are_not_judged(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    training = workspace.pipeline.require_training()
    strict = replace(training, gate=replace(training.gate, rows=61))
    put_days(lake, [9], flipped=True)

    report = look(replace(workspace, pipeline=replace(workspace.pipeline, training=strict)))

    assert (report.judged, report.metrics) == (0, {})
    assert texts(report, "metric") == []


def test_feature_that_has_drifted_is_found(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    rows = put_days(lake, [9, 10], shift=0.5)
    train = body_of(lake, f"toy/snapshots/{live.fingerprint}/gaps/train/part-0.csv").decode().split()
    value = np.sort([float(line.split(",")[1]) for line in train])
    edges = np.array([value[int(np.ceil(len(value) * tenth / 10)) - 1] for tenth in range(1, 10)])
    shares = [
        np.bincount((each[:, None] > edges).sum(1), minlength=10) / len(each)
        for each in (value, rows["value"].to_numpy())
    ]
    before, after = (np.maximum([*each, 0], 1e-4) for each in shares)
    by_hand = sum((a - b) * np.log(a / b) for a, b in zip(after, before, strict=True))

    report = look(workspace)

    assert by_hand > 0.5
    assert report.drift["value"] == pytest.approx(by_hand)
    assert report.drift["total"] < 0.25
    assert texts(report, "drift") == [
        f"value has drifted by {by_hand:.2f} (population stability index) in the 120 rows of "
        "dt=2013-01-09..dt=2013-01-10, and the bound is 0.25; look at what writes it, and run toy_train"
    ]
    assert report.is_outdated


def test_model_without_new_partitions_has_no_findings(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    put_days(lake, range(1, 9), flipped=True)

    report = look(workspace)

    assert (report.partitions, report.rows, report.findings) == ("", 0, ())


def test_pipeline_without_a_proven_model_has_no_findings(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake, endpoint="toy-never")
    put_days(lake, [9], flipped=True)

    report = look(workspace)

    assert (report.model, report.status, report.findings) == (None, "gone", ())


def test_endpoint_that_is_gone_is_found_and_is_no_reason_to_train(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake, endpoint="toy-gone")
    record = proven_at(workspace, "toy-gone")
    put_days(lake, [9], flipped=True)

    report = look(workspace)

    assert [each.text for each in report.findings] == [
        f"endpoint toy-gone is gone, and {record.config} was proven; look at the log group "
        "/aws/sagemaker/Endpoints/toy-gone, then run toy_rollback to the last deployment that `sluice deployments toy` "
        "lists"
    ]
    assert not report.is_outdated


def test_endpoint_that_serves_something_else_is_found_and_not_judged(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    recipe = deployment_records(lake)[2].recipe
    proven_at(workspace, live.endpoint, recipe=recipe)
    put_days(lake, [9], flipped=True)

    report = look(workspace)

    (found,) = report.findings
    assert found.text.startswith("endpoint toy-live is InService on toy-live-")
    assert f", and {recipe.config_name} was proven" in found.text
    assert report.metrics == {}


def test_endpoint_that_refuses_the_rows_is_found(live: Live, lake: Lake) -> None:
    """GIVEN a model that takes another number of columns than its snapshot says."""
    workspace = watched(live, lake)
    key = f"toy/snapshots/{live.fingerprint}/snapshot.json"
    snapshot = json.loads(body_of(lake, key))
    snapshot["encoding"]["columns"].append({**snapshot["encoding"]["columns"][0], "feature": "more"})
    lake.put(key, json.dumps(snapshot).encode())
    put_rows(lake, "running", "2013-01-09", new_rows(9, 60).assign(more=1.0))

    report = look(workspace)

    (found,) = report.findings
    assert found.about == "endpoint"
    assert found.text.startswith("endpoint toy-live does not answer the newest rows: ")
    assert report.metrics == {}


def test_errors_and_latency_of_the_worst_minute_of_the_last_day_are_found(live: Live, lake: Lake) -> None:
    name = f"{lake.bucket}-metrics"
    workspace = now_watched(live, lake, endpoint=name)
    proven_at(workspace, name)
    put_metric(workspace, name, "Invocation5XXErrors", [(25, 9), (20, 2), (20, 1), (3, 1)])
    put_metric(workspace, name, "ModelLatency", [(25, 9e6), (20, 1_500_000), (1, 100)])

    report = look(workspace)

    assert (report.errors, report.latency) == (3, 1.5)
    _, errors, latency = texts(report, "endpoint")
    assert errors.startswith(
        f"endpoint {name} answered 3 requests of one minute of the last day with a status of 5XX, and the bound is 0; "
    )
    assert latency.startswith(f"endpoint {name} took 1.500 s (the 99th percentile of one minute of the last day), and ")
    assert "and the bound is 1 s; declare more instances" in latency


def now_watched(live: Live, lake: Lake, **more: Any) -> Workspace:
    """Return a workspace whose clock is right: CloudWatch drops the metrics of two weeks ago at any moment."""
    workspace, now = watched(live, lake, **more), datetime.now(UTC)
    return replace(workspace, lake=replace(workspace.lake, now=lambda: now))


def put_metric(workspace: Workspace, endpoint: str, metric: str, values: list[tuple[float, float]]) -> None:
    """Put values of a metric, each with how many hours ago it was."""
    workspace.aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [
                    {"Name": "EndpointName", "Value": endpoint},
                    {"Name": "VariantName", "Value": "primary"},
                ],
                "Timestamp": workspace.lake.now() - timedelta(hours=hours),
                "Value": value,
            }
            for hours, value in values
        ],
    )


def test_events_that_wait_for_too_long_are_found(live: Live, lake: Lake) -> None:
    queue = live.workspace.resources.made_for("queues", "events").rpartition("/")[2]
    workspace = now_watched(live, lake, endpoint="toy-never", oldest=timedelta(hours=1))
    workspace.aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
                "Timestamp": workspace.lake.now() - timedelta(minutes=minutes),
                "Value": seconds,
            }
            for minutes, seconds in ((20, 99_999), (2, 9_000))
        ],
    )

    report = look(workspace)

    assert report.oldest == {"events": 9_000}
    assert texts(report, "source") == [
        "the oldest event that waits in events is 2.5 h old, and the bound is 1 h; look at the runs of toy_ingest_queue"
    ]
    longer = now_watched(live, lake, endpoint="toy-never", oldest=timedelta(hours=3))
    assert look(longer).findings == ()


def test_look_that_finds_the_same_records_nothing(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake, endpoint="toy-gone")
    proven_at(workspace, "toy-gone")
    later = replace(workspace, lake=replace(workspace.lake, now=lambda: NOW + timedelta(days=1)))

    assert [watch(workspace), watch(later)] == [1, 1]
    assert keys_below(lake, "toy/monitoring/") == ["toy/monitoring/000001.json"]


def test_findings_are_announced_once_until_they_come_back(
    live: Live, lake: Lake, queue: str, own_name: str, sqs: Any
) -> None:
    workspace = watched(live, lake, endpoint="toy-gone")
    sns = workspace.aws.client("sns")
    topic = sns.create_topic(Name=f"{own_name}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    workspace = replace(workspace, resources=replace(workspace.resources, topic_arn=topic))
    hours = iter(range(9))
    later = replace(workspace, lake=replace(workspace.lake, now=lambda: NOW + timedelta(hours=next(hours))))

    def announced() -> bool:
        return announce_findings(later, watch(later), "run")

    assert not announced()  # nothing was proven, so nothing is missed
    proven_at(workspace, "toy-gone")
    assert [announced(), announced()] == [True, False]
    put_days(lake, [9])
    assert not announced()  # the report is another one, and its finding the same
    recovered = read_report(lake, 3).model_copy(update={"findings": (), "since": NOW})
    lake.put("toy/monitoring/000004.json", recovered.model_dump_json().encode())
    assert announced()

    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    first, second = (json.loads(each["Body"]) for each in found)
    (finding,) = read_report(lake, 2).findings
    assert first["findings"] == second["findings"] == [finding.text]
    assert (first["stage"], first["subject"], first["run_id"]) == ("monitoring", "toy-gone", "run")
    assert first["manifest_uri"] == f"s3://{lake.bucket}/toy/monitoring/000002.json"
    assert found[0]["MessageAttributes"]["stage"]["StringValue"] == "monitoring"
    assert first["checksum"] != second["checksum"]

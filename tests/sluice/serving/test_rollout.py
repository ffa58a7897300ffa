"""A canary moves a share of the traffic first, and an alarm returns all of it, while a client asks all the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.serving.live import Live, deploy, follow, settled
from tests.sluice.toy import TOY

from localcloud.testing.waiting import wait_for
from sluice.declaration import Canary, Deployment, LinearLearner, Serverless
from sluice.errors import DeclarationError
from sluice.serving.deployment import Done, Failed, start
from sluice.serving.endpoint import find_endpoint
from sluice.serving.rollout import alarm_names, deployment_config, longest_change
from sluice.workspace import Workspace

CANARY = Canary(share=0.25, bake=timedelta(seconds=6))
ROW = "0.9,0.1"
TREES = TOY.training.candidates[0]


@pytest.fixture
def own(own_name: str, live: Live, cloud: Cloud) -> Iterator[Workspace]:
    """The toy with an endpoint of the test's own that has a canary, and the two alarms."""
    endpoint, cloudwatch = f"c-{own_name}"[:40].strip("-"), cloud.client("cloudwatch")
    pipeline = replace(live.workspace.pipeline, deployment=Deployment(endpoint, instances=2, canary=CANARY))
    for name in alarm_names(pipeline):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "primary"}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
    workspace = replace(live.workspace, pipeline=pipeline)
    yield workspace
    settled(workspace, endpoint)
    if find_endpoint(workspace, endpoint) is not None:
        cloud.client("sagemaker").delete_endpoint(EndpointName=endpoint)


@contextmanager
def client(workspace: Workspace) -> Iterator[Counter[str]]:
    """Ask the endpoint in a loop while the context lasts; yield the counts of its answers and errors."""
    counts, over = Counter[str](), Event()
    runtime, endpoint = workspace.aws.client("sagemaker-runtime"), workspace.pipeline.deployment.endpoint

    def ask() -> None:
        while not over.wait(0.02):
            try:
                answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=ROW.encode())
                counts[f"{float(answer['Body'].read()):.5f}"] += 1
            except Exception as error:
                counts[str(error)] += 1

    thread = Thread(target=ask)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join(30)


def answer(live: Live, job: Any) -> str:
    from tests.sluice.serving.live import predictions

    from sluice.training.jobs import completed_job

    (score,) = predictions(live.workspace.lake, completed_job(live.workspace, job), [ROW])
    return f"{score:.5f}"


def test_new_model_gets_its_share_first_and_then_all(live: Live, own: Workspace) -> None:
    old, new = answer(live, live.model.job), answer(live, live.other.job)
    assert isinstance(deploy(own, live.target(own, live.model)), Done)
    target = live.target(own, live.other)

    with client(own) as counts:
        step = start(own, target)
        wait_for(lambda: counts[new] > 0, what="the canary")
        counts.clear()
        wait_for(lambda: sum(counts.values()) > 100, what="a hundred requests")
        during = Counter(counts)
        done = follow(own, target, step)
        counts.clear()
        wait_for(lambda: sum(counts.values()) > 20, what="twenty requests")
        after = Counter(counts)

    assert isinstance(done, Done)
    assert set(during) == {old, new}
    assert 0.1 < during[new] / sum(during.values()) < 0.45
    assert set(after) == {new}


def test_alarm_in_the_bake_returns_all_traffic_and_no_client_sees_an_error(
    live: Live, own: Workspace, cloud: Cloud
) -> None:
    old, new = answer(live, live.model.job), answer(live, live.other.job)
    first = live.target(own, live.model)
    deploy(own, first)
    target = live.target(own, live.other)

    with client(own) as counts:
        step = start(own, target)
        wait_for(lambda: counts[new] > 0, what="the canary")
        (errors, _) = alarm_names(own.pipeline)
        cloud.client("cloudwatch").set_alarm_state(AlarmName=errors, StateValue="ALARM", StateReason="a drill")
        failed = follow(own, target, step)
        seen = Counter(counts)
        counts.clear()
        wait_for(lambda: sum(counts.values()) > 20, what="twenty requests")
        after = Counter(counts)

    assert isinstance(failed, Failed)
    assert not failed.passes
    assert f"does not serve {target.config}: it is InService on {first.config}" in failed.reason
    assert f"CloudWatch alarms {', '.join(alarm_names(own.pipeline))}" in failed.reason
    assert failed.reason.endswith(f"(rolled back: {first.config} is live)")
    assert set(seen) == {old, new}
    assert seen[new] / sum(seen.values()) < 0.5
    assert set(after) == {old}


@pytest.mark.slow
def test_model_that_answers_wrongly_is_undone_while_a_client_sees_no_error(live: Live, own: Workspace) -> None:
    """GIVEN another model behind the name of the winner THEN the proof finds it, and all traffic returns.

    The client gets answers of both models, and nothing else: first the canary's share of the wrong ones, then none.
    """
    old, wrong = answer(live, live.model.job), answer(live, live.other.job)
    quick = replace(own.pipeline.deployment, canary=replace(CANARY, bake=timedelta(seconds=3)))
    own = replace(own, pipeline=replace(own.pipeline, deployment=quick))
    first = live.target(own, live.model)
    assert isinstance(deploy(own, first), Done)
    target = live.target(own, live.other).model_copy(update={"model": live.model})

    with client(own) as counts:
        step = start(own, target)
        wait_for(lambda: counts[wrong] > 0, what="the canary")
        counts.clear()
        wait_for(lambda: sum(counts.values()) > 60, what="sixty requests")
        during = Counter(counts)
        failed = follow(own, target, step)
        seen = Counter(counts)
        counts.clear()
        wait_for(lambda: sum(counts.values()) > 20, what="twenty requests")
        after = Counter(counts)

    assert isinstance(failed, Failed)
    assert failed.reason.endswith(f"(rolled back: {first.config} is live)")
    assert 0.1 < during[wrong] / sum(during.values()) < 0.45
    assert set(seen) == {old, wrong}
    assert set(after) == {old}


def test_declared_canary_makes_the_request() -> None:
    plain = replace(TOY, deployment=Deployment("toy-late"))
    canary = replace(TOY, deployment=Deployment("toy-late", instances=2, canary=Canary(bake=timedelta(minutes=5))))

    assert deployment_config(plain, 2) == {}
    assert deployment_config(canary, 1) == {}
    assert longest_change(plain) == timedelta(minutes=90)
    assert longest_change(canary) == timedelta(minutes=100)
    assert deployment_config(canary, 2) == {
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                    "WaitIntervalInSeconds": 300,
                },
                "TerminationWaitInSeconds": 300,
                "MaximumExecutionTimeoutInSeconds": 2400,
            },
            "AutoRollbackConfiguration": {
                "Alarms": [{"AlarmName": "sluice-toy-toy-late-5xx"}, {"AlarmName": "sluice-toy-toy-late-latency"}]
            },
        }
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Canary(share=0.6), "canary: share=0.6 must be a number from 0.01 to 0.5"),
        (lambda: Canary(bake=timedelta(hours=2)), "canary: bake=.* must be a timedelta from 0 seconds to 1 hours"),
        (lambda: Canary(most_errors=-1), "canary: most_errors=-1 must be a whole number from 0"),
        (lambda: Canary(slowest=timedelta(0)), "canary: slowest=.* must be a timedelta above 0"),
        (lambda: Serverless(memory_mb=1500), "serverless: memory_mb=1500 must be a multiple of 1024"),
        (lambda: Serverless(concurrency=0), "serverless: concurrency=0 must be a whole number from 1 to 200"),
        (
            lambda: Deployment("toy-late", instances=2, canary=Canary(), serverless=Serverless()),
            "a canary needs instances, and serverless has none",
        ),
        (
            lambda: LinearLearner({"predictor_type": "regressor"}, spot=timedelta(hours=1)),
            "spot needs an algorithm that",
        ),
        (
            lambda: replace(TOY.training, candidates=(replace(TREES, spot=timedelta(minutes=1)),)),
            "candidate xgboost: spot=.* is shorter than the training's max_runtime",
        ),
        (lambda: Deployment("toy-late", canary=Canary()), "at most half of the instances, so it needs two; write"),
    ],
)
def test_wrong_rollout_or_capacity_is_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()

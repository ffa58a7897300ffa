"""Waits for training jobs that end in each way, by the sensor of the training DAG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from localcloud.testing import training
from sluice.aws.clients import Aws
from sluice.workspace import Workspace
from sluice_airflow.job_sensors import TrainingJobSensor
from sluice_airflow.shared import WORKSPACES
from tests.cases.case import Case
from tests.conftest import Cloud
from tests.plugins.task_life import event_of

_ENDED = ("Completed", "Failed", "Stopped")
_BUCKET = "job-end-states"
_SHORT = {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
# What the corpus calls an end, and the job that ends so.
_ENDS: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "Completed": ({}, {}),
    "Failed": (
        {"objective": "count:poisson", "eval_metric": "rmse"},
        {"InputDataConfig": [training.channel("train", f"s3://{_BUCKET}/bad/")]},
    ),
    "Stopped": (training.ENDLESS, {}),
    "MaxRuntimeExceeded": (training.ENDLESS, _SHORT),
}


def check(case: Case, request: pytest.FixtureRequest) -> None:
    parcels: Workspace = request.getfixturevalue("parcels")
    data = training.put_data(parcels.lake.s3, _BUCKET)
    parcels.lake.s3.put_object(Bucket=_BUCKET, Key="bad/part-0.csv", Body=b"-1,1,2\n-2,2,1\n")
    assert {end_of(job) for job in case.given["jobs"]} == set(_ENDS)
    assert case.right["waits_ended"] == "each within one poll of the end state"
    for mode in case.given["modes"]:
        for given in case.given["jobs"]:
            check_end(case, request, given, mode, data)


def end_of(job: Mapping[str, str]) -> str:
    return job.get("secondary", job["status"])


def check_end(
    case: Case, request: pytest.FixtureRequest, given: Mapping[str, str], mode: str, data: training.Data
) -> None:
    cloud, end = request.getfixturevalue("cloud"), end_of(given)
    name = start(cloud, data, f"ends-{end}-{mode.replace(' ', '-')}".lower(), end)
    waiting = TrainingJobSensor(
        task_id="wait", pipeline="parcels", job_name=name, max_runtime=timedelta(hours=1), poll_seconds=0.1
    )
    if mode == "not deferred":
        training.finished(cloud.client("sagemaker"), name)
        result = outcome(lambda: waiting.execute({}))
    else:
        with pytest.raises(TaskDeferred) as deferred:
            waiting.wait({})
        with statuses_found() as found:
            event = event_of(deferred.value.trigger)
        assert event["found"] == given["status"]
        assert [each for each in found if each in _ENDED] == [given["status"]]
        result = outcome(lambda: waiting.resume({}, event))
    job = training.finished(cloud.client("sagemaker"), name)
    assert job["SecondaryStatus"] == given.get("secondary", given["status"])
    check_outcome(case.right[end], given, result, job)


def start(cloud: Cloud, data: training.Data, name: str, end: str) -> str:
    """Start a job that ends in a way; one that is stopped trains before."""
    hyperparameters, changes = _ENDS[end]
    cloud.client("sagemaker").create_training_job(**training.request(name, data, hyperparameters, **changes))
    if end == "Stopped":
        training.trains(cloud, name)
        cloud.client("sagemaker").stop_training_job(TrainingJobName=name)
    return name


@contextmanager
def statuses_found() -> Iterator[list[str]]:
    """Give a list that gets the status which each look at a training job finds."""
    found, make_client = list[str](), Aws.make_client

    def telling(aws: Aws, service: str) -> Any:
        client = make_client(aws, service)
        client.meta.events.register(
            "after-call.sagemaker.DescribeTrainingJob", lambda parsed, **_: found.append(parsed["TrainingJobStatus"])
        )
        return client

    WORKSPACES.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Aws, "make_client", telling)
        yield found
    WORKSPACES.clear()


def outcome(wait: Callable[[], Any]) -> str | AirflowFailException:
    try:
        return str(wait())
    except AirflowFailException as error:
        return error


def check_outcome(right: str, given: Mapping[str, str], result: str | AirflowFailException, job: Any) -> None:
    if right == "task succeeds":
        assert result == "Completed"
        return
    assert isinstance(result, AirflowFailException)
    told = str(result)
    assert told.startswith(f"training job {job['TrainingJobName']} ended {given['status']} (")
    assert "\n" not in told
    named = {
        "task fails with FailureReason": " ".join(job.get("FailureReason", "no reason").split()),
        "task fails and says who may have stopped it": "stopped by a user who cleared, failed or marked the task",
        "task fails and names max_runtime": "max_runtime of Training",
    }
    assert named[right] in told
    assert all(word in told for word in given.get("FailureReason", "").split())

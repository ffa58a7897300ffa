"""One training request is one paid job, however often it is made (P7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from tests.clients import OneClient
from tests.conftest import Cloud
from tests.sluice.toy import TOY

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.xgboost import XGBoost
from sluice.errors import TrainingFailed
from sluice.training.attempts import Launch
from sluice.training.attempts import launch as launch_request
from sluice.training.jobs import Job, completed_job, find_job, list_jobs, stop_job
from sluice.training.launching import launch_training
from sluice.workspace import Workspace

ROLE = "arn:aws:iam::000000000000:role/training-role"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ENDLESS = {"num_round": "100000000"}


@pytest.fixture(scope="module")
def data(cloud: Cloud) -> str:
    """The prefix of channels that a model can learn from; those below ``bad`` are invalid."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="jobs-data")
    random = np.random.default_rng(1)
    for channel in ("train", "validation"):
        values = random.uniform(-1, 1, (200, 2)).round(3)
        lines = [f"{int(a + b > 0)},{a},{b}" for a, b in values]
        s3.put_object(Bucket="jobs-data", Key=f"{channel}/part-0.csv", Body="\n".join(lines).encode())
        s3.put_object(Bucket="jobs-data", Key=f"bad/{channel}/part-0.csv", Body=b"7,1,2\n7,2,1\n")  # no label of 0 or 1
    return "s3://jobs-data"


@pytest.fixture
def request_for(data: str, own_name: str, workspace: Workspace) -> Iterator[Callable[..., dict[str, Any]]]:
    """Makes requests of the test's own; a job that still runs in the end is stopped."""

    def make(hyperparameters: Mapping[str, str] = MappingProxyType({}), source: str = data) -> dict[str, Any]:
        def channel(of: str) -> dict[str, Any]:
            where = {"S3DataType": "S3Prefix", "S3Uri": f"{source}/{of}/", "S3DataDistributionType": "FullyReplicated"}
            return {"ChannelName": of, "ContentType": "text/csv", "DataSource": {"S3DataSource": where}}

        settings = {"objective": "binary:logistic", "num_round": "2", "nthread": "1", "eval_metric": "auc"}
        return {
            "TrainingJobName": own_name,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "HyperParameters": {**settings, **hyperparameters},
            "InputDataConfig": [channel("train"), channel("validation")],
            "OutputDataConfig": {"S3OutputPath": "s3://jobs-data/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }

    yield make
    for job in names(workspace, own_name):
        stop_job(workspace, job)


def names(workspace: Workspace, contains: str) -> list[str]:
    sagemaker = workspace.aws.client("sagemaker")
    found = sagemaker.list_training_jobs(NameContains=contains, MaxResults=100)["TrainingJobSummaries"]
    return sorted(summary["TrainingJobName"] for summary in found)


def launch(workspace: Workspace, request: Mapping[str, Any]) -> Launch:
    create = workspace.aws.client("sagemaker").create_training_job
    return launch_request(request, "TrainingJobName", partial(find_job, workspace), create)


def ended(workspace: Workspace, name: str) -> Job:
    def probe() -> Job | None:
        job = find_job(workspace, name)
        return job if job is not None and job.ended else None

    return wait_for(probe, what=f"the end of {name}")


def test_request_is_started_adopted_and_reused(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for()
    name = request["TrainingJobName"]

    first, second = launch(workspace, request), launch(workspace, request)
    job = ended(workspace, name)
    third = launch(workspace, request)

    assert [each.action for each in (first, third)] == ["started", "reused"]
    assert second.action in {"adopted", "reused"}
    assert {each.job_name for each in (first, second, third)} == {name}
    assert names(workspace, name) == [name]
    assert job.status == "Completed"
    assert job.model_uri == f"s3://jobs-data/models/{name}/output/model.tar.gz"
    assert 0.5 < job.metrics["validation:auc"] <= 1


def test_running_job_is_adopted(workspace: Workspace, request_for: Callable[..., dict[str, Any]]) -> None:
    request = request_for(ENDLESS)
    launch(workspace, request)

    assert launch(workspace, request).action == "adopted"


def test_one_of_many_launchers_at_once_starts_the_job(
    cloud: Cloud, workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(ENDLESS)

    with ThreadPoolExecutor(8) as pool:
        workspaces = [replace(workspace, aws=OneClient(only=cloud.client("sagemaker"))) for _ in range(8)]
        launched = list(pool.map(lambda each: launch(each, request), workspaces))

    assert sorted(each.action for each in launched) == ["adopted"] * 7 + ["started"]
    assert names(workspace, request["TrainingJobName"]) == [request["TrainingJobName"]]


def test_job_that_was_created_between_the_check_and_the_creation_is_adopted(
    cloud: Cloud, workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(ENDLESS)
    ours, theirs = cloud.client("sagemaker"), cloud.client("sagemaker")
    overtaken: list[str] = []

    def overtake(**_: Any) -> None:
        if not overtaken:
            overtaken.append(theirs.create_training_job(**request)["TrainingJobArn"])

    ours.meta.events.register_first("before-call.sagemaker.CreateTrainingJob", overtake)

    assert launch(replace(workspace, aws=OneClient(only=ours)), request).action == "adopted"


def test_stopped_job_gets_a_next_attempt_and_the_first_that_ran_is_kept(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(ENDLESS)
    name = request["TrainingJobName"]
    launch(workspace, request)
    stop_job(workspace, name)
    assert ended(workspace, name).status == "Stopped"

    second = launch(workspace, request)
    third = launch(workspace, request)

    assert (second.job_name, second.action) == (f"{name}-2", "started")
    assert (third.job_name, third.action) == (f"{name}-2", "adopted")


def test_no_attempt_is_started_after_five_failed_ones(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(source="s3://jobs-data/bad")
    name = request["TrainingJobName"]
    attempts = []
    for _ in range(5):
        launched = launch(workspace, request)
        attempts.append(launched.job_name)
        assert ended(workspace, launched.job_name).status == "Failed"

    assert attempts == [name, *(f"{name}-{attempt}" for attempt in (2, 3, 4, 5))]
    with pytest.raises(TrainingFailed, match=rf"{name} failed or was stopped 5 times, the last one as {name}-5 \(\w+"):
        launch(workspace, request)
    assert len(names(workspace, name)) == 5


def test_completed_job_is_distinguished_from_all_others(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(source="s3://jobs-data/bad")
    name = launch(workspace, request).job_name
    ended(workspace, name)

    with pytest.raises(TrainingFailed, match=rf"{name} ended Failed \(.+\); its log .+ ends: .*base_score"):
        completed_job(workspace, name)
    with pytest.raises(TrainingFailed, match="training job no-such-job does not exist; clear the launch task"):
        completed_job(workspace, "no-such-job")
    assert find_job(workspace, "no-such-job") is None


def test_ended_or_missing_job_is_not_stopped(workspace: Workspace, request_for: Callable[..., dict[str, Any]]) -> None:
    name = launch(workspace, request_for()).job_name
    ended(workspace, name)

    stop_job(workspace, name)
    stop_job(workspace, "no-such-job")

    assert completed_job(workspace, name).status == "Completed"


def test_job_that_ends_before_the_request_to_stop_it_is_no_failure(
    cloud: Cloud, workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    """SageMaker refuses to stop a job that has ended."""
    name = launch(workspace, request_for(ENDLESS)).job_name
    ours, refusals = cloud.client("sagemaker"), list[str]()

    def overtake(**_: Any) -> None:
        workspace.aws.client("sagemaker").stop_training_job(TrainingJobName=name)
        ended(workspace, name)

    ours.meta.events.register("before-call.sagemaker.StopTrainingJob", overtake)
    ours.meta.events.register(
        "after-call.sagemaker.StopTrainingJob", lambda parsed, **_: refusals.append(parsed["Error"]["Message"])
    )

    assert not stop_job(replace(workspace, aws=OneClient(only=ours)), name)
    assert refusals == ["The request was rejected because the training job is in status Stopped."]


def test_job_in_progress_is_stopped_and_its_end_says_by_whom(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    name = launch(workspace, request_for(ENDLESS)).job_name

    assert stop_job(workspace, name)
    ended(workspace, name)

    with pytest.raises(TrainingFailed, match=rf"{name} ended Stopped \(Stopped: it was stopped by a user .*CloudTrail"):
        completed_job(workspace, name)


@pytest.mark.parametrize(
    ("secondary", "setting"),
    [
        ("MaxRuntimeExceeded", "max_runtime of Training"),
        ("MaxWaitTimeExceeded", "spot of its candidate"),
        ("Interrupted", "goes on from its last checkpoint"),
    ],
)
def test_job_that_sagemaker_stopped_names_the_setting(
    cloud: Cloud, workspace: Workspace, request_for: Callable[..., dict[str, Any]], secondary: str, setting: str
) -> None:
    name = launch(workspace, request_for(ENDLESS)).job_name
    stop_job(workspace, name)
    ended(workspace, name)
    told = replace(workspace, aws=Aws(workspace.aws.session, workspace.aws.endpoint))
    told.aws.client("sagemaker").meta.events.register(
        "after-call.sagemaker.DescribeTrainingJob", lambda parsed, **_: parsed.update(SecondaryStatus=secondary)
    )

    with pytest.raises(TrainingFailed, match=rf"ended Stopped \({secondary}: .*{setting}") as failed:
        completed_job(told, name)
    assert "CloudTrail" not in str(failed.value)


def listed(pipeline: Pipeline, digits: str) -> str:
    return f"{pipeline.name}-{pipeline.training.candidates[0].name}-".replace("_", "-") + digits


def test_only_the_pipelines_own_jobs_are_listed_newest_first(
    workspace: Workspace, request_for: Callable[..., dict[str, Any]]
) -> None:
    """``my_toy`` contains the name of ``toy``, and is another pipeline."""
    candidate = XGBoost(TOY.training.candidates[0].hyperparameters, name="listed")
    ours = replace(TOY, training=replace(TOY.training, candidates=(candidate,)))
    theirs = replace(ours, name="my_toy")
    own = [listed(ours, digit * 16) for digit in "ab"] + [listed(ours, "b" * 16 + "-2")]
    for name in [own[0], listed(theirs, "a" * 16), *own[1:], listed(theirs, "b" * 16)]:
        workspace.aws.client("sagemaker").create_training_job(**{**request_for(), "TrainingJobName": name})

    assert [each.name for each in list_jobs(replace(workspace, pipeline=ours))] == own[::-1]
    assert [each.name for each in list_jobs(replace(workspace, pipeline=ours), most=1)] == own[-1:]


def test_snapshot_and_the_declaration_make_the_request(workspace: Workspace) -> None:
    from tests.sluice.dataset.test_snapshot import put_days

    from sluice.dataset.snapshot import make_snapshot

    put_days(workspace.lake, range(1, 5))
    snapshot = make_snapshot(workspace)

    launched = launch_training(workspace, TOY.training.candidates[0], snapshot.fingerprint)
    again = launch_training(workspace, TOY.training.candidates[0], snapshot.fingerprint)

    assert re.fullmatch(r"toy-xgboost-[0-9a-f]{16}", launched.job_name)
    assert (launched.action, again.job_name) == ("started", launched.job_name)
    job = ended(workspace, launched.job_name)
    assert launch_training(workspace, TOY.training.candidates[0], snapshot.fingerprint).action == "reused"
    key = job.model_uri.removeprefix(f"s3://{workspace.lake.bucket}/")
    workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)
    anew = launch_training(workspace, TOY.training.candidates[0], snapshot.fingerprint)
    assert (anew.job_name, anew.action) == (f"{launched.job_name}-2", "started")
    described = workspace.aws.client("sagemaker").describe_training_job(TrainingJobName=launched.job_name)
    assert described["RoleArn"] == workspace.resources.role_arn
    assert described["OutputDataConfig"]["S3OutputPath"] == f"s3://{workspace.lake.bucket}/toy/models"

"""A tuned candidate is one paid tuning job, and the best of its training jobs is the candidate's (P7)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.sluice.serving.live import auc_of, put_learnable

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Categorical, Continuous, Integer, LinearLearner, Tuning, XGBoost
from sluice.declaration.candidates import Candidate
from sluice.errors import TrainingFailed
from sluice.training.jobs import Job, find_job, list_jobs
from sluice.training.kinds import kind_of
from sluice.training.launching import launch_training
from sluice.training.models import trained_models
from sluice.training.tuning import TuningJob, completed_tuning, find_tuning, stop_tuning, tuning_progress
from sluice.workspace import Workspace

SEARCH = Tuning({"eta": Continuous(0.01, 0.5, "log"), "max_depth": Integer(1, 4)}, jobs=3, parallel=2)
TREES = XGBoost({"objective": "binary:logistic", "num_round": 3, "nthread": 1}, tuning=SEARCH)
LINEAR = LinearLearner(
    {"predictor_type": "binary_classifier", "mini_batch_size": 20, "epochs": 2},
    tuning=Tuning({"learning_rate": Continuous(1e-4, 0.5, "log")}, jobs=2, objective="validation:objective_loss"),
)
ENDLESS = replace(TREES, hyperparameters={**TREES.hyperparameters, "num_round": 100_000_000}, name="endless")


@pytest.fixture
def own(workspace: Workspace) -> Workspace:
    """The toy with tuned candidates and rows that they can learn from."""
    training = replace(workspace.pipeline.training, candidates=(TREES, LINEAR, ENDLESS))
    put_learnable(workspace.lake, 6)
    return replace(workspace, pipeline=replace(workspace.pipeline, training=training))


@pytest.fixture
def fingerprint(own: Workspace) -> str:
    return make_snapshot(own).fingerprint


@pytest.fixture
def endless(own: Workspace, fingerprint: str) -> Iterator[str]:
    """A tuning job that does not end by itself."""
    name = launch_training(own, ENDLESS, fingerprint).job_name
    yield name
    stop_tuning(own, name)


def ended(workspace: Workspace, name: str) -> TuningJob:
    def look() -> TuningJob | None:
        job = find_tuning(workspace, name)
        return job if job is not None and job.ended else None

    return wait_for(look, what=f"the end of {name}")


def tune(workspace: Workspace, candidate: Candidate, fingerprint: str) -> TuningJob:
    return ended(workspace, launch_training(workspace, candidate, fingerprint).job_name)


def of_tuning(workspace: Workspace, name: str) -> list[Job]:
    """Return the training jobs of a tuning job, found by their names."""
    listed = workspace.aws.client("sagemaker").list_training_jobs(NameContains=name, MaxResults=100)
    found = [find_job(workspace, each["TrainingJobName"]) for each in listed["TrainingJobSummaries"]]
    return [job for job in found if job is not None]


def creations(workspace: Workspace) -> tuple[Workspace, list[str]]:
    """Return a workspace whose creations are recorded."""
    calls: list[str] = []
    aws = Aws(workspace.aws.session, workspace.aws.endpoint)
    aws.client("sagemaker").meta.events.register(
        "before-call", lambda model, **_: calls.append(model.name) if model.name.startswith("Create") else None
    )
    return replace(workspace, aws=aws), calls


def test_best_training_job_is_the_model_of_the_candidate(own: Workspace, fingerprint: str) -> None:
    tuning = tune(own, TREES, fingerprint)
    jobs = of_tuning(own, tuning.name)
    [model] = trained_models(own, [tuning.name], fingerprint)

    assert tuning.completed, tuning
    assert len(jobs) == 3
    aucs = {job.name: auc_of(own.lake, fingerprint, job, "validation") for job in jobs}
    assert len(set(aucs.values())) > 1
    assert aucs[model.job] == max(aucs.values())
    assert tuning.value == pytest.approx(max(aucs.values()), abs=1e-5)
    assert (model.candidate, model.algorithm, model.snapshot) == ("xgboost", TREES.algorithm, fingerprint)
    assert model.artefact == f"s3://{own.lake.bucket}/toy/models/{model.job}/output/model.tar.gz"
    described = own.aws.client("sagemaker").describe_training_job(TrainingJobName=model.job)
    assert {name: described["HyperParameters"][name] for name in SEARCH.ranges} == tuning.chosen
    assert {
        each["Key"] for each in own.aws.client("sagemaker").list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    } == {
        "sluice:pipeline",
        "sluice:snapshot",
    }


def test_cost_is_that_of_all_training_jobs(own: Workspace, fingerprint: str) -> None:
    tuning = tune(own, TREES, fingerprint)
    jobs = of_tuning(own, tuning.name)
    [model] = trained_models(own, [tuning.name], fingerprint)

    assert all(job.billable_seconds > 0 for job in jobs)
    assert model.seconds == sum(job.billable_seconds for job in jobs)
    assert {job.name for job in jobs} <= {job.name for job in list_jobs(own, most=100)}, (
        "status shows each with its price"
    )


def test_request_is_started_adopted_and_reused(
    own: Workspace, fingerprint: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sluice.training.launching")
    recorded, created = creations(own)

    first, second = (launch_training(recorded, TREES, fingerprint) for _ in range(2))
    tuning = ended(own, first.job_name)
    third = launch_training(recorded, TREES, fingerprint)

    assert (first.action, third.action) == ("started", "reused")
    assert second.action in {"adopted", "reused"}
    assert {first.job_name, second.job_name, third.job_name} == {tuning.name}
    assert created == ["CreateHyperParameterTuningJob"]
    most = "3 training jobs of at most 1:00:00 on ml.m5.large, 0.34 USD at most"  # 3 · 0.115 USD
    said = [each.getMessage() for each in caplog.records if each.name == "sluice.training.launching"]
    assert said[0] == f"tuning job {tuning.name} (started): {most}"


def test_same_request_tries_the_same_hyperparameters(own: Workspace, fingerprint: str) -> None:
    """GIVEN a tuning whose best model was removed WHEN it is launched again THEN its next attempt finds the same."""
    tuning = tune(own, TREES, fingerprint)
    [model] = trained_models(own, [tuning.name], fingerprint)
    own.lake.s3.delete_object(Bucket=own.lake.bucket, Key=model.artefact.removeprefix(f"s3://{own.lake.bucket}/"))

    again = launch_training(own, TREES, fingerprint)

    assert (again.job_name, again.action) == (f"{tuning.name}-2", "started")
    anew = ended(own, again.job_name)
    assert (anew.chosen, anew.value) == (tuning.chosen, tuning.value)
    assert anew.best != tuning.best


def test_linear_learner_is_tuned(own: Workspace, fingerprint: str) -> None:
    tuning = tune(own, LINEAR, fingerprint)
    losses = {
        job.name: job.metrics["validation:objective_loss"] for job in of_tuning(own, tuning.name) if job.completed
    }

    [model] = trained_models(own, [tuning.name], fingerprint)

    assert len(losses) == 2
    assert losses[model.job] == min(losses.values())
    assert (model.candidate, model.takes_missing) == ("linear", False)


def test_running_tuning_job_is_followed_adopted_and_stopped(own: Workspace, fingerprint: str, endless: str) -> None:
    wait_for(lambda: len(of_tuning(own, endless)) == 2, what="two training jobs")
    kind = kind_of(own.pipeline, endless)

    assert launch_training(own, ENDLESS, fingerprint).action == "adopted"
    assert kind.progress(own, kind.find(own, endless)) == "InProgress: 0 of 3 training jobs have ended"
    kind.stop(own, endless)
    assert ended(own, endless).status == "Stopped"
    assert {job.status for job in of_tuning(own, endless)} == {"Stopped"}
    with pytest.raises(
        TrainingFailed,
        match=rf"^tuning job {endless} ended Stopped without a best training job \(no training job has reported "
        r"validation:auc: it was stopped by a user .*, whom CloudTrail names\); 0 of 2 training jobs failed; "
        r"correct the cause, then clear the launch task for a new att",
    ):
        completed_tuning(own, endless)
    kind.stop(own, endless)  # it has ended
    launched = launch_training(own, ENDLESS, fingerprint)
    kind.stop(own, launched.job_name)
    assert (launched.job_name, launched.action) == (f"{endless}-2", "started")


def test_failure_names_a_training_job_and_its_reason(own: Workspace) -> None:
    request = {"booster": Categorical(("gbtree", "dart"))}
    bad = replace(TREES, hyperparameters={**TREES.hyperparameters, "base_score": 7.0}, tuning=Tuning(request, jobs=2))
    training = replace(own.pipeline.training, candidates=(bad,))
    failing = replace(own, pipeline=replace(own.pipeline, training=training))
    name = tune(failing, bad, make_snapshot(failing).fingerprint).name

    with pytest.raises(TrainingFailed) as failure:
        trained_models(failing, [name], "f" * 32)

    told = rf"tuning job {name} ended Failed without a best training job \(All training jobs failed\. .*\); "
    because = rf"2 of 2 training jobs failed, {name}-001-[0-9a-f]{{8}} because of AlgorithmError: .*base_score.*; "
    assert re.match(f"{told}{because}correct the cause, then clear the launch task", str(failure.value))
    assert "\n" not in str(failure.value)


def test_tuning_job_that_does_not_exist_is_named(own: Workspace) -> None:
    assert find_tuning(own, "no-such-job") is None
    stop_tuning(own, "no-such-job")
    with pytest.raises(TrainingFailed, match=r"^tuning job no-such-job does not exist; clear the launch task$"):
        completed_tuning(own, "no-such-job")


def _job(**changes: Any) -> TuningJob:
    job = TuningJob(
        "t",
        "InProgress",
        "",
        10,
        4,
        1,
        "validation:auc",
        "t-002-0123abcd",
        0.812345,
        {"eta": "0.0123456789", "booster": "dart"},
    )
    return replace(job, **changes)


def test_progress_names_the_best_hyperparameters_so_far() -> None:
    said = tuning_progress(_job())

    assert (
        said
        == "InProgress: 4 of 10 training jobs have ended, best validation:auc 0.812345 (booster dart, eta 0.0123457)"
    )
    assert tuning_progress(_job(best="", value=math.nan)) == "InProgress: 4 of 10 training jobs have ended"


def test_completed_tuning_job_without_a_best_training_job_has_no_model() -> None:
    assert _job(status="Completed").completed
    assert not _job(status="Completed", best="").completed
    assert _job(status="Completed", best="").ended

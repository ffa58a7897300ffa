"""A training by Step Functions makes the calls of Airflow's own tasks, and each adopts what the other has begun."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import STEP_IMAGE
from tests.sluice.serving.live import deploy, put_learnable, settled, train

import pipelines
from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.compute.artefacts import Artefacts
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import StepFunctions
from sluice.declaration.loading import load_pipeline
from sluice.errors import DeclarationError, SluiceError, TrainingFailed
from sluice.evaluation.report import make_report
from sluice.evaluation.transforms import find_scoring
from sluice.orchestration import executions, handler
from sluice.orchestration.executions import (
    completed_execution,
    find_execution,
    newest_state,
    start_execution,
    stop_execution,
)
from sluice.provisioning.provision import provision
from sluice.serving.deployment import Done
from sluice.serving.endpoint import delete, find_endpoint
from sluice.serving.judging import announce_winner, launch_scorings, make_verdict, names_of_scorings
from sluice.serving.quotas import require_quotas
from sluice.serving.records import deployment_records
from sluice.serving.targets import target_of_verdict
from sluice.steps.code import training_fingerprint
from sluice.training.jobs import find_job
from sluice.training.launching import launch_training
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Declare = Callable[..., Workspace]

_PIPELINE = """
from datetime import UTC, datetime, timedelta

from sluice.declaration import (
    Conform, Deployment, FifoQueue, Gate, Input, LinearLearner, Pipeline, Step, StepFunctions, Training, XGBoost
)

PIPELINE = Pipeline(
    name={name!r},
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("running", run="steps:running", reads=(Input("conform"),)),
    ),
    training=Training(
        rows="running",
        label="late",
        features=("value", "total"),
        candidates=(
            XGBoost({{"objective": "binary:logistic", "num_round": {rounds}, "nthread": 1}}),
            LinearLearner({{"predictor_type": "binary_classifier", "mini_batch_size": 20}}),
        ),
        gate=Gate("auc", at_least={gate}, rows=1),
        max_runtime=timedelta(minutes=5),
        orchestrator=StepFunctions({schedule!r}, poll=timedelta(seconds=1)),
    ),
    deployment=Deployment({endpoint!r}),
)
"""


@pytest.fixture
def declared(
    aws: Aws, image_pipelines: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Declare]:
    """Provisions a pipeline of the test's own that Step Functions trains; its endpoint is deleted in the end."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(image_pipelines)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"m{zlib.crc32(request.node.nodeid.encode()):08x}"
    made: list[Workspace] = []

    def make(gate: float = 0.6, rounds: int = 5, schedule: str | None = None) -> Workspace:
        folder = image_pipelines / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        declaration = _PIPELINE.format(name=name, gate=gate, rounds=rounds, schedule=schedule, endpoint=f"{name}-late")
        (folder / "pipeline.py").write_text(declaration)
        provision(aws, load_pipeline(name), Artefacts(STEP_IMAGE))
        workspace = Workspace.open(aws, name)
        put_learnable(workspace.lake, 8)
        made.append(workspace)
        return workspace

    yield make
    for workspace in made:
        endpoint = workspace.pipeline.require_deployment().endpoint
        if find_endpoint(workspace, endpoint) is not None:
            settled(workspace, endpoint)
            delete(workspace, endpoint)


def ended(workspace: Workspace, arn: str) -> Mapping[str, Any]:
    wait_for(lambda: find_execution(workspace, arn).ended, what=f"the end of {arn}", seconds=240)
    return completed_execution(workspace, arn)


def sagemaker_jobs(workspace: Workspace) -> set[str]:
    """Return the names of all training and transform jobs of the pipeline."""
    client, name = workspace.aws.client("sagemaker"), workspace.pipeline.name
    trained = client.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    scored = client.list_transform_jobs(NameContains=name)["TransformJobSummaries"]
    return {*(job["TrainingJobName"] for job in trained), *(job["TransformJobName"] for job in scored)}


def train_as_airflow_does(workspace: Workspace) -> Mapping[str, Any]:
    """Make the calls of the tasks of Airflow's training DAG, in its order; return what the machine's state has."""
    fingerprint = make_snapshot(workspace).fingerprint
    require_quotas(workspace)
    candidates = workspace.pipeline.require_training().candidates
    jobs = [launch_training(workspace, candidate, fingerprint, "airflow").job_name for candidate in candidates]
    for candidate in candidates:
        train(workspace, fingerprint, candidate)
    scorings = launch_scorings(workspace, jobs, fingerprint)
    for name in scorings:
        wait_for(lambda of=name: (found := find_scoring(workspace, of)) and found.ended, what=f"the end of {name}")
    number = make_verdict(workspace, jobs, fingerprint)
    make_report(workspace, number)
    announce_winner(workspace, number, "airflow")
    done = deploy(workspace, target_of_verdict(workspace, number))
    assert isinstance(done, Done)
    return {"snapshot": fingerprint, "jobs": jobs, "scorings": scorings, "verdict": number, "deployment": done.number}


def without_run(state: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: state[name] for name in ("snapshot", "jobs", "scorings", "verdict", "deployment")}


def test_machine_makes_a_model_live_and_airflow_adopts_all_of_it(declared: Declare) -> None:
    workspace = declared()

    state = ended(workspace, start_execution(workspace, "run"))
    by_machine = sagemaker_jobs(workspace)
    again = train_as_airflow_does(workspace)

    assert without_run(state) == again
    assert state["jobs"] == [job for job in state["jobs"] if job in by_machine]
    assert sagemaker_jobs(workspace) == by_machine
    assert len(by_machine) == 4
    assert set(state["scorings"]) < set(names_of_scorings(workspace, state["jobs"], state["snapshot"]))
    records = deployment_records(workspace.lake)
    assert list(records) == [1]
    endpoint = find_endpoint(workspace, workspace.pipeline.require_deployment().endpoint)
    assert endpoint is not None
    assert (endpoint.status, endpoint.config) == ("InService", records[1].config)
    assert workspace.lake.read(workspace.lake.layout.report(1)) is not None
    announced = list(workspace.lake.objects(workspace.lake.layout.announcements("training")))
    assert len(announced) == 1


def test_machine_adopts_what_airflow_has_made_live(declared: Declare) -> None:
    workspace = declared()
    by_airflow = train_as_airflow_does(workspace)
    jobs, record = sagemaker_jobs(workspace), deployment_records(workspace.lake)[1]

    state = ended(workspace, start_execution(workspace, "run"))

    # The champion, which was not there at first, has scored the rows already: it is the winner of the same verdict.
    assert without_run(state) == by_airflow
    assert sagemaker_jobs(workspace) == jobs
    assert deployment_records(workspace.lake) == {1: record}


def test_model_below_its_gate_ends_the_machine_with_the_reason(declared: Declare) -> None:
    workspace = declared(gate=0.99)
    arn = start_execution(workspace, "run")

    with pytest.raises(TrainingFailed, match=rf"execution {re.escape(arn)} is FAILED: TrainingFailed: .*auc"):
        ended(workspace, arn)

    assert find_endpoint(workspace, workspace.pipeline.require_deployment().endpoint) is None
    assert workspace.lake.read(workspace.lake.layout.report(1)) is not None


def test_run_has_one_execution_at_a_time(declared: Declare) -> None:
    workspace = declared(gate=0.99)

    first, second = start_execution(workspace, "run"), start_execution(workspace, "run")
    other = start_execution(workspace, "run", first="2013-01-02")
    with pytest.raises(TrainingFailed):
        ended(workspace, first)
    after = start_execution(workspace, "run")

    assert first == second
    assert len({first, other, after}) == 3
    for arn in (other, after):
        stop_execution(workspace, arn)


def require_stopped(workspace: Workspace) -> None:
    """Require that the training job which would never end is stopped."""
    name = next(job for job in sagemaker_jobs(workspace) if "xgboost" in job)
    wait_for(lambda: (job := find_job(workspace, name)) is not None and job.status == "Stopped", what="a stopped job")


def test_stopped_execution_stops_its_jobs(declared: Declare) -> None:
    workspace = declared(rounds=100_000_000)
    arn = start_execution(workspace, "run")
    wait_for(lambda: "jobs" in newest_state(workspace, arn), what="the end of the launch")

    stop_execution(workspace, arn)
    stop_execution(workspace, arn)

    assert find_execution(workspace, arn).status == "ABORTED"
    require_stopped(workspace)


def an_ended_execution(workspace: Workspace) -> str:
    arn = start_execution(workspace, "over", last="2013-01-01")
    with pytest.raises(TrainingFailed):
        ended(workspace, arn)
    return arn


def launched(workspace: Workspace) -> Mapping[str, Any]:
    """Launch as the act does; return the state before it."""
    fingerprint = make_snapshot(workspace).fingerprint
    for candidate in workspace.pipeline.require_training().candidates:
        launch_training(workspace, candidate, fingerprint, "run")
    return {"snapshot": fingerprint, "run": "run"}


def test_execution_that_is_stopped_while_it_launches_stops_its_jobs(
    declared: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newest state is that of the snapshot: the names of the jobs are not in it."""
    workspace = declared(rounds=100_000_000)
    before, arn = launched(workspace), an_ended_execution(workspace)
    monkeypatch.setattr(executions, "newest_state", lambda *_: before)

    stop_execution(workspace, arn)

    require_stopped(workspace)


@pytest.mark.parametrize("fails", [False, True])
def test_launch_whose_execution_was_stopped_meanwhile_stops_what_it_has_started(
    declared: Declare, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    workspace = declared(rounds=100_000_000)
    arn = an_ended_execution(workspace)
    before = {"snapshot": make_snapshot(workspace).fingerprint, "run": "run"}
    monkeypatch.setattr(handler, "Aws", lambda: workspace.aws)
    if fails:
        monkeypatch.setitem(handler.ACTS, "launch", launch_and_fail)

    with pytest.raises(handler.Refused, match="no more") if fails else nullcontext():
        handler.handle({**event_of(workspace, "launch", arn), "state": before}, None)

    require_stopped(workspace)


def launch_and_fail(workspace: Workspace, state: Mapping[str, Any]) -> Mapping[str, Any]:
    launch_training(workspace, workspace.pipeline.require_training().candidates[0], state["snapshot"], "run")
    raise TrainingFailed("no more")


def event_of(workspace: Workspace, act: str, arn: str) -> Mapping[str, Any]:
    code = training_fingerprint(workspace.pipeline)
    return {"pipeline": workspace.pipeline.name, "act": act, "code": code, "execution": arn}


def test_machine_of_other_code_than_the_dag_is_not_started(declared: Declare, image_pipelines: Path) -> None:
    workspace = declared()
    name = workspace.pipeline.name
    with (image_pipelines / name / "pipeline.py").open("a") as declaration:
        declaration.write("# other code\n")

    with pytest.raises(
        SluiceError, match=rf"^function {name}-train has the code [0-9a-f]{{12}} of the training, and the DAG has"
    ):
        start_execution(workspace, "run")


def test_function_of_other_code_than_the_machine_is_refused_before_it_has_an_effect(
    declared: Declare, image_pipelines: Path
) -> None:
    """As where the image was built from other code than `sluice provision` has run with."""
    workspace = declared()
    arn = workspace.resources.require_machine()
    with (image_pipelines / workspace.pipeline.name / "pipeline.py").open("a") as declaration:
        declaration.write("# other code\n")
    started = workspace.aws.client("stepfunctions").start_execution(stateMachineArn=arn, name="run", input="{}")

    with pytest.raises(
        TrainingFailed,
        match=rf"is FAILED: TrainingFailed: the machine's function has the code [0-9a-f]{{12}} of the training, and "
        rf"the DAG has [0-9a-f]{{12}}; build the image .* `sluice provision {workspace.pipeline.name}`",
    ):
        ended(workspace, started["executionArn"])

    assert sagemaker_jobs(workspace) == set()
    assert list(workspace.lake.objects(workspace.lake.layout.snapshots())) == []


def test_code_is_not_compared_once_an_endpoint_may_change(declared: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = declared()
    monkeypatch.setattr(handler, "Aws", lambda: workspace.aws)
    for act in ("judge", "announce", "deploy", "undo"):
        monkeypatch.setitem(handler.ACTS, act, lambda _, state: state)
        event = {**event_of(workspace, act, "none"), "code": "other", "state": {"verdict": 1}}
        assert handler.handle(event, None) == {"verdict": 1}
    for act in ("snapshot", "launch", "score"):
        with pytest.raises(handler.Refused, match="of the training, and the DAG has other; build the image"):
            handler.handle({**event_of(workspace, act, "none"), "code": "other", "state": {}}, None)


def test_schedule_of_eventbridge_starts_the_machine_without_airflow(declared: Declare) -> None:
    workspace = declared(gate=0.99, schedule="rate(1 minute)")
    machine, states = workspace.resources.require_machine(), workspace.aws.client("stepfunctions")

    wait_for(lambda: states.list_executions(stateMachineArn=machine)["executions"], seconds=120, what="an execution")
    workspace.aws.client("scheduler").delete_schedule(Name=f"{workspace.pipeline.name}-train")
    (begun, *_) = states.list_executions(stateMachineArn=machine)["executions"]

    with pytest.raises(TrainingFailed, match="is FAILED: TrainingFailed: "):
        ended(workspace, begun["executionArn"])
    assert len(sagemaker_jobs(workspace)) == 4


def test_schedule_has_the_form_of_eventbridge() -> None:
    with pytest.raises(DeclarationError, match=r"write 'rate\(7 days\)' or 'cron\("):
        StepFunctions(schedule="@weekly")
    with pytest.raises(DeclarationError, match=r"poll=.* must be a timedelta from 1 seconds to 1 hours"):
        StepFunctions(poll=timedelta(0))

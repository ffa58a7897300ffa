"""A worker may start, follow and stop its own machine, and the machine's function may do what its acts do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import STEP_IMAGE, Cloud
from tests.sluice.conftest import Declare
from tests.sluice.provisioning.calls import RecordingAws, rights
from tests.sluice.provisioning.stacks import Policy, rights_of_workers
from tests.sluice.provisioning.steps_elsewhere import folders, without_network
from tests.sluice.serving.live import put_learnable
from tests.sluice.toy import TOY

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.compute.artefacts import Artefacts
from sluice.declaration import Continuous, Deployment, Gate, StepFunctions, Training, Tuning, XGBoost
from sluice.evaluation.transforms import find_scoring
from sluice.lake.store import Lake
from sluice.orchestration import handler
from sluice.orchestration.executions import find_execution, newest_state, start_execution, stop_execution
from sluice.provisioning.provision import provision
from sluice.steps.code import training_fingerprint
from sluice.training.kinds import kind_of
from sluice.workspace import Workspace

NAME, LIVED = "conducted", "conduct"
TRAINING = Training(
    rows="running",
    label="late",
    features=("value", "total"),
    candidates=(
        XGBoost({"objective": "binary:logistic", "num_round": 5, "nthread": 1}),
        XGBoost(
            {"objective": "binary:logistic", "num_round": 3, "nthread": 1},
            name="tuned",
            tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=1, parallel=1),
        ),
    ),
    gate=Gate("auc", at_least=0.6, rows=1),
    max_runtime=timedelta(minutes=5),
    orchestrator=StepFunctions(),
)
PIPELINE = replace(
    TOY,
    name=LIVED,
    training=TRAINING,
    deployment=Deployment(f"{LIVED}-late"),
)
# What the role allows although only a failure needs it, or another service uses it, and why.
NOT_CALLED = {
    "application-autoscaling:DeregisterScalableTarget": "where the endpoint was declared to scale before",
    "logs:CreateLogStream": "Lambda calls it in the role's name",
    "logs:DescribeLogStreams": "for the reason of a training job that has failed",
    "logs:GetLogEvents": "for the reason of a training job that has failed",
    "logs:PutLogEvents": "Lambda calls it in the role's name",
    "s3:AbortMultipartUpload": "boto3 calls it when the upload of a large training channel fails",
    "sagemaker:DeleteEndpoint": "to undo a deployment where nothing served before",
    "sagemaker:UpdateEndpoint": "where an endpoint serves already",
    "servicequotas:ListAWSDefaultServiceQuotas": "AWS may list a quota that was never changed among the defaults only",
}


def test_policy_of_the_workers_allows_exactly_the_calls_for_the_machine(cloud: Cloud, aws: Aws, tmp_path: Path) -> None:
    declared = without_network(NAME)
    with folders(tmp_path, NAME):
        policy = rights_of_workers(cloud, provision(cloud, declared, Artefacts(STEP_IMAGE)))
        recording = RecordingAws(aws.session, aws.endpoint)
        resources = find(recording, NAME)
        workspace = Workspace(declared, resources, Lake(recording.client("s3"), resources.bucket, NAME), recording)

        arn = start_execution(workspace, "run")
        newest_state(workspace, arn)
        stop_execution(workspace, arn)

    assert find_execution(workspace, arn).status == "ABORTED"
    needed = {right for call in recording.calls for right in rights(call)}
    assert {(action, resource) for action, resource in needed if not policy.allows(action, resource)} == set()
    assert {action for action in policy.actions if action.startswith("states:")} == {
        action for action, _ in needed if action.startswith("states:")
    }
    assert policy.resources("lambda:GetFunctionConfiguration") >= {
        resource for action, resource in needed if action == "lambda:GetFunctionConfiguration"
    }
    of_others = {(action, resource.replace(NAME, f"{NAME}s")) for action, resource in needed}
    assert not any(policy.allows(*right) for right in of_others)


@pytest.fixture
def lived(cloud: Cloud, aws: Aws, declare: Declare, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A pipeline of which the acts are done in this process: its machine does nothing but wait."""
    declare(LIVED, {"pipeline": f"from {__name__} import PIPELINE\n", "contract": "", "steps": ""})
    provision(cloud, PIPELINE, Artefacts(STEP_IMAGE))
    workspace = Workspace.open(aws, LIVED)
    put_learnable(workspace.lake, 8)
    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
    cloud.client("stepfunctions").update_state_machine(
        stateMachineArn=workspace.resources.require_machine(), definition=json.dumps(waiting)
    )
    return workspace


@pytest.mark.slow
def test_role_of_the_function_allows_exactly_the_calls_of_the_acts(
    lived: Workspace, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = RecordingAws(lived.aws.session, lived.aws.endpoint)
    monkeypatch.setattr(handler, "Aws", lambda: recording)

    with recording.on_the_wire():
        live_through(lived)

    function = cloud.client("lambda").get_function_configuration(FunctionName=f"{LIVED}-train")
    role = function["Role"].rpartition("/")[2]
    policy = Policy.of(cloud.client("iam").get_role_policy(RoleName=role, PolicyName="train")["PolicyDocument"])
    needed = {right for call in recording.calls for right in rights(call)}
    assert {(action, resource) for action, resource in needed if not policy.allows(action, resource)} == set()
    assert policy.actions - {action for action, _ in needed} == set(NOT_CALLED)
    of_others = {(action, resource.replace(LIVED, f"{LIVED}s")) for action, resource in needed if LIVED in resource}
    assert not any(policy.allows(*right) for right in of_others)


def live_through(workspace: Workspace) -> None:
    """Do all acts of a machine. The jobs are stopped once, as if somebody had stopped an execution meanwhile."""
    running, stopped = start_execution(workspace, "run"), start_execution(workspace, "stopped")
    stop_execution(workspace, stopped)
    state = act(workspace, "snapshot", running, {"run": "run"})
    jobs = act(workspace, "launch", stopped, state)["jobs"]
    wait_for(lambda: all(kind_of(PIPELINE, each).find(workspace, each).ended for each in jobs), what="stopped jobs")
    state = act(workspace, "launch", running, state)
    assert not set(state["jobs"]) & set(jobs)
    state = looked(workspace, "look_at_training", running, state)
    scorings = act(workspace, "score", stopped, state)["scorings"]
    wait_for(lambda: all(_has_ended(workspace, each) for each in scorings), what="stopped scorings")
    state = looked(workspace, "look_at_scores", running, act(workspace, "score", running, state))
    for name in ("judge", "announce"):
        state = act(workspace, name, running, state)
    state = looked(workspace, "deploy", running, state)
    assert state["deployment"] == 1
    with pytest.raises(handler.Refused, match="no proof"):
        act(workspace, "undo", running, {**state, "reason": "no proof"})
    stop_execution(workspace, running)


def _has_ended(workspace: Workspace, scoring: str) -> bool:
    found = find_scoring(workspace, scoring)
    return found is not None and found.ended


def act(workspace: Workspace, name: str, execution: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    code = training_fingerprint(workspace.pipeline)
    event = {"pipeline": LIVED, "act": name, "code": code, "execution": execution, "state": state}
    return handler.handle(event, None)


def looked(workspace: Workspace, name: str, execution: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do an act until it does not wait any more."""
    found = [act(workspace, name, execution, state)]

    def look() -> bool:
        if found[-1]["waiting"]:
            found.append(act(workspace, name, execution, found[-1]))
        return not found[-1]["waiting"]

    wait_for(look, what=f"the end of {name}", seconds=120)
    return found[-1]

"""A worker may do what steps on Lambda and Fargate need, a step what it needs itself, and neither anything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import STEP_IMAGE, Cloud
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import DAY, STEP, result, runtime, start
from tests.sluice.provisioning.calls import RecordingAws, rights
from tests.sluice.provisioning.stacks import Policy, rights_of_workers

from sluice.compute import handler
from sluice.compute.artefacts import Artefacts
from sluice.compute.attempts import Attempt, Claim, find_work
from sluice.compute.contract import Runtime
from sluice.compute.remote import RemoteRuntime
from sluice.compute.supervising import Ended
from sluice.errors import SluiceError
from sluice.provisioning.provision import provision
from sluice.workspace import Workspace

DECLARED = {"Lambda": "Lambda(memory_mb=512)", "Fargate": "Fargate(vcpu=0.25, memory_gb=0.5)"}
ACCOUNT = "us-east-1:000000000000"
# What the services themselves do in the name of a step's role.
BY_THE_SERVICE = ("logs:", "ec2:")
# What a step without a look-back does not call, and why its role allows it.
NOT_CALLED = {
    "s3:AbortMultipartUpload": "boto3 calls it when the upload of a large part fails",
}


def outputs(elsewhere: Elsewhere, workspace: Workspace) -> Any:
    return provision(elsewhere.aws, workspace.pipeline, Artefacts(STEP_IMAGE))


def remote(workspace: Workspace) -> RemoteRuntime[Any]:
    found: Runtime[Any] = runtime(workspace)
    assert isinstance(found, RemoteRuntime)
    return found


def live_through(workspace: Workspace) -> None:
    """Run a step, adopt one that runs, find that nothing is due, read the log of one that is lost, and cancel it."""
    there = remote(workspace)
    first, second = start(workspace), start(workspace)
    assert result(workspace, first) == result(workspace, second)
    assert start(workspace).result is not None
    look_at_a_lost_one(workspace, there)
    there.cancel(first.reference)


def look_at_a_lost_one(workspace: Workspace, there: RemoteRuntime[Any]) -> None:
    """Look at an attempt whose function or task has ended long ago, without a result."""
    task = f"arn:aws:ecs:{ACCOUNT}:task/{workspace.pipeline.name}/0123456789abcdef"
    log = f"/sluice/{workspace.pipeline.name}/{STEP}:stream"
    long_ago = workspace.lake.now() - timedelta(days=1)
    claim, attempt = Claim(by=task, size=there.size, until=long_ago, log=log), Attempt(STEP, "0" * 64, 1)
    attempt.claim(workspace.lake, claim)
    reference = {**there.adopt(claim), "work": attempt.work, "attempt": 1, "since": long_ago.isoformat()}
    with pytest.raises(SluiceError, match="ended without a result"):
        there.look(reference)


@pytest.mark.parametrize("kind", DECLARED)
def test_policy_of_the_workers_allows_exactly_the_calls_for_steps_elsewhere(
    elsewhere: Elsewhere, cloud: Cloud, kind: str
) -> None:
    policy = rights_of_workers(cloud, outputs(elsewhere, elsewhere.make(DECLARED[kind])))
    recording = RecordingAws(elsewhere.aws.session, elsewhere.aws.endpoint)

    with recording.on_the_wire():
        live_through(Workspace.open(recording, elsewhere.name))

    needed = {right for call in recording.calls for right in rights(call)}
    assert {(action, resource) for action, resource in needed if not policy.allows(action, resource)} == set()
    for_steps = {action for action in policy.actions if action.startswith(("lambda:", "ecs:", "states:", "logs:"))}
    assert for_steps == {action for action, _ in needed if not action.startswith(("s3:", "ssm:"))}
    of_others = {(action, resource.replace(elsewhere.name, f"{elsewhere.name}s")) for action, resource in needed}
    assert {right for right in of_others if policy.allows(*right)} == {
        (action, "*") for action in ("ecs:DescribeTaskDefinition", "ecs:ListTasks") if kind == "Fargate"
    }


def test_worker_hands_over_the_roles_of_steps_and_runs_tasks_in_its_own_cluster_only(
    elsewhere: Elsewhere, cloud: Cloud
) -> None:
    workspace = elsewhere.make(DECLARED["Fargate"])
    policy = rights_of_workers(cloud, outputs(elsewhere, workspace))
    found = cloud.client("ecs").describe_task_definition(taskDefinition=f"{elsewhere.name}-{STEP}")["taskDefinition"]

    assert policy.resources("iam:PassRole") == {found["taskRoleArn"], found["executionRoleArn"]}
    in_cluster = {"ArnEquals": {"ecs:cluster": f"arn:aws:ecs:{ACCOUNT}:cluster/{elsewhere.name}"}}
    assert {action: condition for actions, _, condition in policy.statements if condition for action in actions} == {
        "ecs:RunTask": in_cluster,
        "ecs:ListTasks": in_cluster,
        "ecs:TagResource": {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        "iam:PassRole": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    }


def test_role_of_steps_allows_exactly_the_calls_of_the_handler(
    elsewhere: Elsewhere, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is run in this process, whose calls can be recorded."""
    workspace = elsewhere.make(DECLARED["Lambda"])
    arn = cloud.client("lambda").get_function_configuration(FunctionName=f"{elsewhere.name}-{STEP}")["Role"]
    document = cloud.client("iam").get_role_policy(RoleName=arn.rpartition("/")[2], PolicyName="run-steps")
    policy = Policy.of(document["PolicyDocument"])
    request = remote(workspace).request(find_work(workspace, STEP, DAY), "declared")
    recording = RecordingAws(elsewhere.aws.session, elsewhere.aws.endpoint)
    monkeypatch.setattr(handler, "Aws", lambda *_: recording)
    monkeypatch.setattr(handler, "supervise", lambda call, *_: Ended("returned", call(), 0, 0, ()))

    with recording.on_the_wire():
        outcomes = [handler.run(request, by, "group:stream", 60)["outcome"] for by in ("first", "second")]

    assert outcomes == ["done", "doubled"]
    needed = {right for call in recording.calls for right in rights(call)}
    assert {(action, resource) for action, resource in needed if not policy.allows(action, resource)} == set()
    own = {action for action in policy.actions if not action.startswith(BY_THE_SERVICE)}
    assert own - {action for action, _ in needed} == set(NOT_CALLED)
    of_others = {(action, resource.replace(elsewhere.name, f"{elsewhere.name}s")) for action, resource in needed}
    assert not any(policy.allows(*right) for right in of_others)

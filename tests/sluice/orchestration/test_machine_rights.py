"""A worker may start, follow and stop the machine of its own pipeline, and nothing else of Step Functions."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import STEP_IMAGE, Cloud
from tests.sluice.provisioning.calls import RecordingAws, rights
from tests.sluice.provisioning.stacks import rights_of_workers
from tests.sluice.provisioning.steps_elsewhere import folders, without_network

from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.compute.artefacts import Artefacts
from sluice.lake.store import Lake
from sluice.orchestration.executions import find_execution, newest_state, start_execution, stop_execution
from sluice.provisioning.provision import provision
from sluice.workspace import Workspace

NAME = "conducted"


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
    of_others = {(action, resource.replace(NAME, f"{NAME}s")) for action, resource in needed}
    assert not any(policy.allows(*right) for right in of_others)

"""The runs of a training's machine: started, looked at, stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code, is_absent
from sluice.errors import MissingResource, TrainingFailed
from sluice.evaluation.transforms import stop_scoring
from sluice.lake.manifests import digest_of
from sluice.training.kinds import kind_of
from sluice.workspace import Workspace

_DIGITS = 32
_MOST_ATTEMPTS = 50


@dataclass(frozen=True)
class Execution:
    """A run of a machine as Step Functions describes it.

    Attributes:
        arn: Its ARN.
        status: ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        output: The state of the run at its end; empty before.
        reason: Why it has failed; empty if it has not.
    """

    arn: str
    status: str
    output: Mapping[str, Any]
    reason: str

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status != "RUNNING"


def start_execution(workspace: Workspace, run: str, first: str | None = None, last: str | None = None) -> str:
    """Start the machine, or adopt the execution that runs for the same run; return the ARN of the execution.

    Args:
        workspace: The workspace of a pipeline whose training Step Functions runs.
        run: What names the run, such as the id of an Airflow run.
        first: The first partition to train on; None: no limit.
        last: The last partition, included; None: no limit.

    Raises:
        MissingResource: there is no machine.
        TrainingFailed: too many executions of this run have ended.
    """
    limits = json.dumps({name: value for name, value in (("from", first), ("to", last)) if value}, sort_keys=True)
    machine = workspace.resources.require_machine()
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        # The same name with the same input is the same execution while it runs. Once it has ended, its name is taken.
        name = digest_of([run, limits, attempt])[:_DIGITS]
        try:
            started = workspace.aws.client("stepfunctions").start_execution(
                stateMachineArn=machine, name=name, input=limits
            )
        except ClientError as error:
            if error_code(error) == "ExecutionAlreadyExists":
                continue
            if not is_absent(error):
                raise
            raise MissingResource(f"there is no {machine}; run `sluice provision {workspace.pipeline.name}`") from error
        arn: str = started["executionArn"]
        return arn
    raise TrainingFailed(f"{_MOST_ATTEMPTS} executions of {machine} have ended for run {run}; trigger another run")


def find_execution(workspace: Workspace, arn: str) -> Execution:
    """Return a run of the machine, by one call.

    Args:
        workspace: The workspace of the pipeline.
        arn: The ARN of the execution.
    """
    found = workspace.aws.client("stepfunctions").describe_execution(executionArn=arn)
    reason = ": ".join(filter(None, [found.get("error"), found.get("cause")]))
    return Execution(arn, found["status"], json.loads(found.get("output") or "{}"), reason)


def completed_execution(workspace: Workspace, arn: str) -> Mapping[str, Any]:
    """Return the state at the end of a run, and require that it has succeeded.

    Args:
        workspace: The workspace of the pipeline.
        arn: The ARN of the execution.

    Raises:
        TrainingFailed: it has not.
    """
    found = find_execution(workspace, arn)
    if found.status != "SUCCEEDED":
        raise TrainingFailed(
            f"execution {arn} is {found.status}: {found.reason or 'no reason is given'}; correct that, then clear this "
            f"task"
        )
    return found.output


def stop_execution(workspace: Workspace, arn: str) -> None:
    """Stop a run of the machine, and the jobs that it waits for. It is safe to repeat.

    Args:
        workspace: The workspace of the pipeline.
        arn: The ARN of the execution.
    """
    why = "The task that waited for it was cleared, failed or marked by a user."
    try:
        workspace.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause=why)
    except ClientError:
        if not find_execution(workspace, arn).ended:  # one that has just ended needs no stop
            raise
    state = newest_state(workspace, arn)
    for name in state.get("jobs", ()):
        kind_of(workspace.pipeline, name).stop(workspace, name)
    for name in state.get("scorings", ()):
        stop_scoring(workspace, name)


def newest_state(workspace: Workspace, arn: str) -> Mapping[str, Any]:
    """Return the state of a run of the machine after its last act; empty before the first.

    Args:
        workspace: The workspace of the pipeline.
        arn: The ARN of the execution.
    """
    client = workspace.aws.client("stepfunctions")
    for page in client.get_paginator("get_execution_history").paginate(executionArn=arn, reverseOrder=True):
        for event in page["events"]:
            output = event.get("taskSucceededEventDetails", {}).get("output")
            if output is not None:
                state: Mapping[str, Any] = json.loads(output)["Payload"]
                return state
    return {}

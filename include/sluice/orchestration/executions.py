"""The runs of a training's machine: started, looked at, stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code, is_absent
from sluice.compute.versions import code_of_function, require_same_code
from sluice.errors import MissingResource, TrainingFailed
from sluice.evaluation.transforms import stop_scoring
from sluice.lake.manifests import digest_of
from sluice.orchestration.names import machine_name
from sluice.serving.judging import names_of_scorings
from sluice.steps.code import training_fingerprint
from sluice.training.kinds import kind_of
from sluice.training.launching import names_of_training
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
        SluiceError: the machine was provisioned with other code than the DAG has.
        TrainingFailed: too many executions of this run have ended.
    """
    _require_same_code(workspace)
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


def _require_same_code(workspace: Workspace) -> None:
    pipeline = workspace.pipeline
    function = machine_name(pipeline)
    try:
        found = workspace.aws.client("lambda").get_function_configuration(FunctionName=function)
    except ClientError as error:
        if not is_absent(error):
            raise
        raise MissingResource(f"there is no function {function}; run `sluice provision {pipeline.name}`") from error
    code = training_fingerprint(pipeline)
    require_same_code(f"function {function}", code_of_function(found), "the training", code, pipeline.name)


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
    """Stop a run of the machine, and the jobs that it waits for or is about to start. It is safe to repeat.

    Step Functions does not stop a function that runs. What it starts afterwards, it stops itself
    (:func:`stop_jobs_of_ended`).

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
    _stop_jobs(workspace, newest_state(workspace, arn))


def stop_jobs_of_ended(workspace: Workspace, arn: str, state: Mapping[str, Any]) -> None:
    """Stop the jobs that an act has started, if its execution has ended meanwhile: nobody waits for them.

    Who stops an execution stops its jobs afterwards, and an act looks for the end of its execution after it has started
    its jobs. So whichever of them comes last finds the jobs.

    Args:
        workspace: The workspace of the pipeline.
        arn: The ARN of the execution.
        state: The state of the run after the act; before it, if it has failed.
    """
    if find_execution(workspace, arn).ended:
        _stop_jobs(workspace, state)


def _stop_jobs(workspace: Workspace, state: Mapping[str, Any]) -> None:
    """Stop the jobs of a run. Their names follow from the state before the act that starts them."""
    for name in _trainings(workspace, state):
        kind_of(workspace.pipeline, name).stop(workspace, name)
    for name in _scorings(workspace, state):
        stop_scoring(workspace, name)


def _trainings(workspace: Workspace, state: Mapping[str, Any]) -> Sequence[str]:
    if "jobs" in state or "snapshot" not in state:
        known: Sequence[str] = state.get("jobs", ())
        return known
    candidates = workspace.pipeline.require_training().candidates
    return [name for each in candidates for name in names_of_training(workspace, each, state["snapshot"])]


def _scorings(workspace: Workspace, state: Mapping[str, Any]) -> Sequence[str]:
    have_trained = "jobs" in state and state.get("waiting") is False
    if "scorings" in state or not have_trained:
        known: Sequence[str] = state.get("scorings", ())
        return known
    return names_of_scorings(workspace, state["jobs"], state["snapshot"])


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

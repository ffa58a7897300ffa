"""The probes of the sensors. A probe looks once. :class:`Waiting` continues the wait; any other value ends it.

All probes of a process share a workspace of their pipeline, so that a probe makes its calls and no new clients (P9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sluice_airflow.shared import WORKSPACES

if TYPE_CHECKING:
    from sluice.workspace import Workspace

# The most partitions that one dispatch starts.
_MOST_DUE = 16
_CARRIED = 31  # partitions before those that are announced, from whose runs a state may come


@dataclass(frozen=True)
class Waiting:
    """Nothing was found yet. ``what`` completes the sentence "waiting for …"."""

    what: str


class Probe:
    """Calls a function of this module, with the workspace that all waits of the process share.

    Args:
        name: The function's name.
        pipeline: The pipeline's name.
        arguments: The function's arguments without the workspace.
    """

    def __init__(self, name: str, pipeline: str, **arguments: Any) -> None:
        self._name, self._pipeline, self._arguments = name, pipeline, arguments

    def __call__(self) -> Any:
        """Return what the function returns.

        Raises:
            Exception: what the function raises.
        """
        workspace = WORKSPACES.get(self._pipeline)
        try:
            return globals()[self._name](workspace, **self._arguments)
        except Exception:
            WORKSPACES.failed(self._pipeline)
            raise


def backlog(workspace: Workspace, source: str) -> int | Waiting:
    """Return how many messages or records wait in a source of events. Nothing is received.

    Args:
        workspace: The workspace of the pipeline that declares the source.
        source: The name of a queue or stream.
    """
    from sluice.sources.connecting import connect_events, events_source

    connector = connect_events(workspace, events_source(workspace.pipeline, source))
    return connector.backlog() or Waiting(connector.awaited)


def settled(workspace: Workspace, source: str, settling_seconds: float) -> bool | Waiting:
    """Return True once closing has nothing to wait for: the source has settled, or more waits to land.

    Args:
        workspace: The workspace of the pipeline that declares the source.
        source: The name of a queue or stream.
        settling_seconds: How long counters that are approximate have to agree.
    """
    from sluice.sources.connecting import connect_events, events_source

    connector = connect_events(workspace, events_source(workspace.pipeline, source))
    waiting = connector.unsettled(timedelta(seconds=settling_seconds))
    return Waiting(waiting) if waiting else True


def complete_partitions(workspace: Workspace, partitions: str) -> bool | Waiting:
    """Return True once every source is complete for all of the partitions.

    Args:
        workspace: The pipeline's workspace.
        partitions: The partitions of the run, as a range.
    """
    from sluice.lake.partitions import parse_ranges
    from sluice.sources.completeness import describe, incomplete

    missing = incomplete(workspace, parse_ranges(partitions, workspace.pipeline.calendar))
    return Waiting(describe(workspace.pipeline, missing)) if missing else True


def due_partitions(workspace: Workspace) -> list[str] | Waiting:
    """Return the keys of the next partitions that the transform has to run for.

    Airflow starts the queued run of the earliest date first. So a run that lacks a drop is not queued beside others, or
    it would take the slot of one that lacks nothing.
    """
    from sluice.sources.completeness import describe
    from sluice.sources.due import due_partitions as due

    found = due(workspace, _MOST_DUE)
    if found.ready:
        return [partition.key for partition in found.next]
    return Waiting(describe(workspace.pipeline, found.waiting) or f"new data of {workspace.pipeline.name}")


def lasting_partitions(workspace: Workspace, partitions: str) -> bool | Waiting:
    """Return True unless a run is about to write these partitions of the last step again.

    Only where a step looks back or ahead, or has a state, do runs write partitions of each other. A state reaches any
    later partition: the runs of some partitions before count, which is where runs are at work.

    Args:
        workspace: The pipeline's workspace.
        partitions: The partitions, as ranges.
    """
    from sluice.lake.partitions import parse_ranges
    from sluice.sources.started import last_runs
    from sluice.steps.reach import reach
    from sluice_airflow.runs import runs_at_work

    last = workspace.pipeline.steps[-1]
    far = reach(workspace.pipeline, last)
    if workspace.pipeline.carries_state(last):
        far = range(far.start, far.stop + _CARRIED)
    if far == range(1):
        return True
    made = parse_ranges(partitions, workspace.pipeline.calendar)
    read = {partition.shift(-n) for partition in made for n in far}
    at_work = runs_at_work(workspace.pipeline, last_runs(workspace.lake, read))
    return Waiting(f"runs that may change what is announced: {', '.join(at_work)}") if at_work else True


def ended_step(workspace: Workspace, step: str, reference: dict[str, Any], what: str) -> bool | Waiting:
    """Return True if a step that runs elsewhere has ended; the task itself looks at how.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        step: The name of the step.
        reference: What was started, as the runtime finds it.
        what: What was started, in words.
    """
    from sluice.compute.contract import runtime_of
    from sluice.errors import SluiceError

    try:
        result = runtime_of(workspace, workspace.pipeline.step(step)).look(reference)
    except SluiceError:
        return True
    return Waiting(what) if result is None else True


def ended_training_job(workspace: Workspace, job_name: str) -> str | Waiting:
    """Return the status of a training job or a tuning job that has ended.

    Args:
        workspace: The workspace of the pipeline that trains.
        job_name: The name of the job.
    """
    from sluice.training.kinds import kind_of

    kind = kind_of(workspace.pipeline, job_name)
    job = kind.find(workspace, job_name)
    if job is None:
        return Waiting(f"{kind.title} {job_name}, which SageMaker does not know")
    return job.status if job.ended else Waiting(f"{kind.title} {job_name}, which is {kind.progress(workspace, job)}")


def ended_scoring(workspace: Workspace, job_name: str) -> str | Waiting:
    """Return the status of a transform job that has ended.

    Args:
        workspace: The workspace of the pipeline that trains.
        job_name: The name of the job.
    """
    from sluice.evaluation.transforms import find_scoring

    job = find_scoring(workspace, job_name)
    if job is None:
        return Waiting(f"transform job {job_name}, which SageMaker does not know")
    return job.status if job.ended else Waiting(f"transform job {job_name}, which is {job.status}")


def ended_execution(workspace: Workspace, execution: str) -> str | Waiting:
    """Return the status of a run of the training's machine that has ended.

    Args:
        workspace: The workspace of the pipeline that trains.
        execution: The ARN of the execution.
    """
    from sluice.orchestration.executions import find_execution

    found = find_execution(workspace, execution)
    return found.status if found.ended else Waiting(f"execution {execution}, which is {found.status}")


def settled_endpoint(workspace: Workspace) -> str | Waiting:
    """Return the status of the pipeline's endpoint if no change is in progress; ``Deleted`` if it does not exist."""
    from sluice.serving.endpoint import find_endpoint

    endpoint = find_endpoint(workspace, workspace.pipeline.require_deployment().endpoint)
    if endpoint is None:
        return "Deleted"
    return endpoint.status if endpoint.settled else Waiting(f"endpoint {endpoint.name}, which is {endpoint.status}")

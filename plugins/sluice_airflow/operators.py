"""Operators: one announces partitions; one makes a model live, and proves it or rolls it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line, one_line_errors
from sluice_airflow.runs import require_upstream_done
from sluice_airflow.triggers import ProbeTrigger

if TYPE_CHECKING:
    from sluice.serving.endpoint import Change
    from sluice.workspace import Workspace

T = TypeVar("T")


class AnnounceLandedOperator(BaseOperator):
    """Publishes one completion event for each closed raw partition of a source whose content was not announced yet.

    It is safe to repeat: each announcement leaves a marker in the lake. It returns the number of events that it
    published.

    Args:
        pipeline: The name of the pipeline.
        source: The name of the source; a template.
        partitions: Ranges such as ``dt=2013-01-01..dt=2013-01-14``, as text; a template.
        kwargs: Those of BaseOperator. The default of ``execution_timeout`` is 15 minutes.
    """

    template_fields: Sequence[str] = ("source", "partitions")

    def __init__(self, *, pipeline: str, source: str, partitions: Any, **kwargs: Any) -> None:
        super().__init__(**{"execution_timeout": timedelta(minutes=15), **kwargs})
        self.pipeline = pipeline
        self.source = source
        self.partitions = partitions

    @override
    @one_line_errors
    def execute(self, context: Context) -> int:
        from sluice.completions import announce_partitions
        from sluice.lake.layout import raw_dataset

        workspace, dataset = open_workspace(self.pipeline), raw_dataset(self.source)
        return announce_partitions(workspace, dataset, self.partitions, context["run_id"])


class DeployEndpointOperator(BaseOperator):
    """Makes a completed training job's model live, and fails unless that model serves (P8).

    It is safe to repeat at any point: names are digests of content, and an endpoint that serves the model already is
    only read back and proven again. After an error between the update and the proof, the task retries or restores what
    served before: it retries a transient failure for five minutes, and rolls back any other at once. It ends only after
    it has read back what is live. It waits without a worker.

    Args:
        pipeline: The name of a pipeline that declares a deployment.
        job_name: The name of a completed training job; a template.
        snapshot: The fingerprint of the snapshot that the job was trained on; a template.
        poll_seconds: Seconds between two looks at an endpoint that changes; a template.
        max_wait: The longest wait for the endpoint to settle after each change.
        kwargs: Those of BaseOperator.
    """

    template_fields: Sequence[str] = ("job_name", "snapshot", "poll_seconds")

    _PATIENCE_SECONDS: ClassVar[float] = 300  # for transient failures, in a worker
    _ROLL_BACKS: ClassVar[int] = 3

    def __init__(
        self,
        *,
        pipeline: str,
        job_name: Any,
        snapshot: Any,
        poll_seconds: float | str = 15,
        max_wait: timedelta = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.job_name = job_name
        self.snapshot = snapshot
        self.poll_seconds = poll_seconds
        self.max_wait = max_wait

    @override
    @one_line_errors
    def pre_execute(self, context: Any) -> None:
        """Fail the run if a task before this one was skipped by hand. The trigger rule ``none_failed`` lets it pass."""
        require_upstream_done(context)

    @override
    @one_line_errors
    def execute(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Request that the model goes live, once no other change of the endpoint is in progress.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger; None at the first call.

        Raises:
            AirflowException: the endpoint did not settle, or could not be looked at.
        """
        from sluice.serving.endpoint import find_endpoint, start_change
        from sluice.training.jobs import completed_job

        workspace = open_workspace(self.pipeline)
        if event is not None and "found" not in event:
            kind = AirflowFailException if event.get("refused") else AirflowException
            raise kind(self._not_settled(workspace, event))
        endpoint = find_endpoint(workspace, workspace.pipeline.require_deployment().endpoint)
        if endpoint is not None and not endpoint.settled:
            self._wait("execute")  # a change of an earlier try, or of another user
        change = start_change(workspace, completed_job(workspace, self.job_name))
        self._wait("verify", {"change": asdict(change)})

    @one_line_errors
    def verify(self, context: Context, event: dict[str, Any]) -> Any:
        """Prove that the requested model serves, or roll back. The endpoint has settled, or the wait has ended.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger; it carries the change.

        Returns:
            The deployment record, as a mapping.

        Raises:
            AirflowException: the model does not serve.
        """
        from sluice.aws.failures import is_transient
        from sluice.errors import DeploymentFailed
        from sluice.serving.deployment import prove
        from sluice.serving.endpoint import Change

        workspace, change = self._patiently(lambda: open_workspace(self.pipeline)), Change(**event["carried"]["change"])
        try:
            if "found" not in event:
                raise DeploymentFailed(self._not_settled(workspace, event))
            return self._patiently(lambda: prove(workspace, change, self.job_name, self.snapshot)).model_dump()
        except AirflowTaskTimeout as error:  # it does not derive from Exception
            reason, passes = str(error), True
        except Exception as error:
            reason, passes = one_line(error), is_transient(error)
        if change.unanswered:
            reason, passes = f"{change.unanswered}; {reason}", True
        self._roll_back(workspace, {**event["carried"], "reason": reason, "passes": passes})

    @one_line_errors
    def rolled_back(self, context: Context, event: dict[str, Any]) -> None:
        """Continue the roll-back, and fail the task once what served before is live.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger; it carries the change and the reason.

        Raises:
            AirflowException: what served before is live, or can't be restored.
        """
        self._roll_back(self._patiently(lambda: open_workspace(self.pipeline)), event["carried"])

    def _roll_back(self, workspace: Workspace, carried: dict[str, Any]) -> None:
        """Request what served before until it is live, then fail.

        ``carried`` has the reason, and the number of requests so far.
        """
        from sluice.serving.endpoint import Change, roll_back

        change, requests = Change(**carried["change"]), carried.get("roll_backs", 0)
        try:
            is_back = self._patiently(lambda: roll_back(workspace, change))
        except Exception as error:
            raise AirflowException(self._unproven(carried, one_line(error))) from None
        if is_back:
            kind = AirflowException if carried["passes"] else AirflowFailException
            raise kind(f"{carried['reason']} ({_outcome(change)})")
        if requests == self._ROLL_BACKS:
            raise AirflowException(self._unproven(carried, f"{requests} roll-backs had no effect"))
        self._wait("rolled_back", {**carried, "roll_backs": requests + 1})

    def _unproven(self, carried: dict[str, Any], cause: str) -> str:
        endpoint, former = carried["change"]["endpoint"], carried["change"]["previous"] or "no endpoint"
        return (
            f"{carried['reason']}; the roll-back to {former} failed ({cause}), so endpoint {endpoint} may serve an "
            f"unproven model: check it, then clear this task"
        )

    def _not_settled(self, workspace: Workspace, event: dict[str, Any]) -> str:
        """Return why the wait ended without a settled endpoint: its name, and its present status."""
        from sluice.serving.endpoint import find_endpoint

        name = workspace.pipeline.require_deployment().endpoint
        if "error" in event:
            return f"endpoint {name} could not be looked at: {event['error']}"
        live = find_endpoint(workspace, name)
        return (
            f"endpoint {name} did not settle within {self.max_wait}: it is {live or 'gone'}; check its events in "
            f"SageMaker, then clear this task"
        )

    def _patiently(self, call: Callable[[], T]) -> T:
        from sluice.aws.failures import patiently

        return patiently(call, self._PATIENCE_SECONDS)

    def _wait(self, then: str, carried: dict[str, Any] | None = None) -> None:
        trigger = ProbeTrigger(
            probe="settled_endpoint",
            arguments={"pipeline": self.pipeline},
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + self.max_wait.total_seconds(),
            carried=carried,
        )
        self.defer(trigger=trigger, method_name=then)


def _outcome(change: Change) -> str:
    """Return what is live after a roll-back."""
    if change.previous == change.config:
        return f"{change.config} was proven before, and stays live"
    return f"rolled back: {change.previous or 'no endpoint'} is live"

"""Operators: one announces partitions; the others make a model live, at an endpoint with a proof, or without one."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line, one_line_errors
from sluice_airflow.runs import require_upstream_done
from sluice_airflow.triggers import ProbeTrigger

if TYPE_CHECKING:
    from sluice.serving.deployment import Step, Wait
    from sluice.serving.plan import Target
    from sluice.workspace import Workspace


class AnnounceLandedOperator(BaseOperator):
    """Publishes one completion event for each closed raw partition of a source whose content was not announced yet.

    It is safe to repeat: each announcement leaves a marker in the lake. It returns the number of events that it
    published.

    Args:
        pipeline: The name of the pipeline.
        source: The name of the source; a template.
        closed: What the task that closes partitions has returned; empty if there is nothing to announce. A template.
        kwargs: Those of BaseOperator. The default of ``execution_timeout`` is 15 minutes.
    """

    template_fields: Sequence[str] = ("source", "closed")

    def __init__(self, *, pipeline: str, source: str, closed: Any, **kwargs: Any) -> None:
        super().__init__(**{"execution_timeout": timedelta(minutes=15), **kwargs})
        self.pipeline = pipeline
        self.source = source
        self.closed = closed

    @override
    @one_line_errors
    def execute(self, context: Context) -> int:
        from sluice.completions import announce_landed

        return announce_landed(open_workspace(self.pipeline), self.source, context["run_id"]) if self.closed else 0


class EndpointOperator(BaseOperator):
    """The base of the operators that change what an endpoint serves: it drives the library's deployment.

    It is safe to repeat at any point: the plan of a deployment is in the lake, and a retry goes on with it. A transient
    failure is retried for five minutes; any other one restores what served before at once. The task ends only after it
    has read back what is live. It waits without a worker.

    Args:
        pipeline: The name of a pipeline that declares a deployment.
        poll_seconds: Seconds between two looks at an endpoint that changes; a template.
        max_wait: The longest wait for the endpoint to settle after each change; None: as long as the declared rollout
            may take.
        kwargs: Those of BaseOperator.
    """

    template_fields: Sequence[str] = ("poll_seconds",)

    _PATIENCE_SECONDS: ClassVar[float] = 300  # for transient failures, in a worker

    def __init__(
        self,
        *,
        pipeline: str,
        poll_seconds: float | str = 15,
        max_wait: timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.poll_seconds = poll_seconds
        self.max_wait = max_wait

    @abstractmethod
    def target(self, workspace: Workspace) -> Target:
        """Return what should be live. It must be the same at each call."""

    @override
    @one_line_errors
    def pre_execute(self, context: Any) -> None:
        """Fail the run if a task before this one was skipped by hand. The trigger rule ``none_failed`` lets it pass."""
        require_upstream_done(context)

    @override
    @one_line_errors
    def execute(self, context: Context) -> Any:
        """Begin the deployment, or go on with the one of an earlier try."""
        from sluice.serving.deployment import start

        workspace = open_workspace(self.pipeline)
        target = self.target(workspace)
        return self._follow(self._take(workspace, target, start))

    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the next step: the endpoint has settled, or the wait has ended without that.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger. It carries whether the deployment has a plan, and whether it was given up.

        Returns:
            The number of the deployment, what is live, and its metrics.

        Raises:
            AirflowException: the model does not serve.
        """
        from sluice.serving.deployment import advance, give_up, start

        workspace, target = self._opened()
        begun, given_up = event["carried"]["begun"], event["carried"]["given_up"]
        if "found" in event:
            step = self._take(workspace, target, advance if begun else start)
        elif given_up or not begun:
            raise AirflowException(self._not_settled(event))
        else:
            reason, given_up = self._not_settled(event), True
            step = self._take(workspace, target, partial(give_up, reason=reason, passes=True))
        return self._follow(step, given_up=given_up)

    def _opened(self) -> tuple[Workspace, Target]:
        """Return the workspace and the target, while an unproven model may be live."""
        from sluice.aws.failures import patiently

        def opened() -> tuple[Workspace, Target]:
            workspace = open_workspace(self.pipeline)
            return workspace, self.target(workspace)

        try:
            return patiently(opened, self._PATIENCE_SECONDS)
        except Exception as error:
            raise AirflowException(
                f"{one_line(error)} (the endpoint may serve an unproven model: clear this task)"
            ) from None

    def _take(self, workspace: Workspace, target: Target, step: Callable[[Workspace, Target], Step]) -> Step:
        """Take a step. If it fails for more than some minutes, restore what served before."""
        from sluice.errors import DeploymentFailed
        from sluice.serving.driver import restore, take

        try:
            try:
                return take(step, workspace, target, self._PATIENCE_SECONDS)
            except AirflowTaskTimeout as error:  # it does not derive from Exception
                return restore(workspace, target, str(error), passes=True, seconds=self._PATIENCE_SECONDS)
        except DeploymentFailed as error:
            raise AirflowException(str(error)) from None  # a retry may restore it

    def _follow(self, step: Step, *, given_up: bool = False) -> Any:
        """Wait, return what is live, or fail."""
        from sluice.serving.deployment import Done, Failed

        if isinstance(step, Done):
            return {"deployment": step.number, "config": step.record.config, "job": step.record.model.job}
        if isinstance(step, Failed):
            raise (AirflowException if step.passes else AirflowFailException)(step.reason)
        self.log.info("waiting for %s", step.what)
        self._wait(step, given_up=given_up)

    def _not_settled(self, event: dict[str, Any]) -> str:
        """Return why the wait ended without a settled endpoint."""
        if "error" in event:
            return f"the endpoint could not be looked at: {event['error']}"
        return (
            f"the wait for {event['waiting_for']} took longer than {self._longest_wait()}; check the endpoint's events "
            f"in SageMaker, then clear this task"
        )

    def _longest_wait(self) -> timedelta:
        from sluice.declaration.loading import load_pipeline
        from sluice.serving.rollout import longest_change

        return self.max_wait or longest_change(load_pipeline(self.pipeline))

    def _wait(self, step: Wait, *, given_up: bool) -> None:
        trigger = ProbeTrigger(
            probe="settled_endpoint",
            arguments={"pipeline": self.pipeline},
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + self._longest_wait().total_seconds(),
            carried={"begun": step.begun, "given_up": given_up},
        )
        self.defer(trigger=trigger, method_name="resume")


class DeployEndpointOperator(EndpointOperator):
    """Makes the winner of a verdict live, and fails unless it serves (P8). If it serves already, nothing is changed.

    Args:
        verdict: The number of the verdict; a template.
        kwargs: Those of EndpointOperator.
    """

    template_fields: Sequence[str] = (*EndpointOperator.template_fields, "verdict")

    def __init__(self, *, verdict: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict

    @override
    def target(self, workspace: Workspace) -> Target:
        from sluice.serving.targets import target_of_verdict

        return target_of_verdict(workspace, int(self.verdict))


class RollBackEndpointOperator(EndpointOperator):
    """Makes live what an earlier deployment had made live, and fails unless it serves (P8).

    Args:
        deployment: The number of the deployment; a template.
        kwargs: Those of EndpointOperator.
    """

    template_fields: Sequence[str] = (*EndpointOperator.template_fields, "deployment")

    def __init__(self, *, deployment: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment = deployment

    @override
    def target(self, workspace: Workspace) -> Target:
        from sluice.serving.targets import target_of_record

        return target_of_record(workspace, int(self.deployment))


class PromoteModelOperator(BaseOperator):
    """Makes the winner of a verdict live where there is no endpoint: it scores in batch from then on.

    It is safe to repeat. It returns the number of the deployment record.

    Args:
        pipeline: The name of a pipeline that scores in batch, without an endpoint.
        verdict: The number of the verdict; a template.
        kwargs: Those of BaseOperator.
    """

    template_fields: Sequence[str] = ("verdict",)

    def __init__(self, *, pipeline: str, verdict: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.verdict = verdict

    @override
    @one_line_errors
    def execute(self, context: Context) -> int:
        from sluice.serving.promotion import promote

        require_upstream_done(context)
        return promote(open_workspace(self.pipeline), int(self.verdict))

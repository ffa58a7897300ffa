"""The operator that runs a step where it is declared to run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line_errors
from sluice_airflow.triggers import StepTrigger

if TYPE_CHECKING:
    from sluice.compute.contract import Runtime, Started, StepResult
    from sluice.declaration import runtimes as declared
    from sluice.workspace import Workspace


class StepOperator(BaseOperator):
    """Runs a step over partitions: in this task, or on Lambda or Fargate, without a worker slot meanwhile (P9).

    If a user clears, fails or marks the waiting task, a task on Fargate is stopped; a function ends by itself. A run
    that needs more memory or time than it has moves up once, if the step is declared with ``Auto``.

    Args:
        pipeline: The name of the pipeline.
        step: The name of the step.
        partitions: The partitions as ranges, or several texts of them; a template.
        kwargs: Those of BaseOperator.

    Returns:
        The summary of the step.
    """

    template_fields: Sequence[str] = ("partitions",)
    _POLL_SECONDS: ClassVar[float] = 5

    def __init__(self, *, pipeline: str, step: str, partitions: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.step = step
        self.partitions = partitions

    @property
    def _ranges(self) -> str:
        return self.partitions if isinstance(self.partitions, str) else ",".join(self.partitions)

    @override
    @one_line_errors
    def execute(self, context: Context) -> dict[str, Any]:
        workspace, runtime = self._opened()
        return self._follow(workspace, runtime.start(self._ranges))

    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of a step that has run elsewhere, or wait for a larger runtime.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger.

        Raises:
            AirflowException: the run could not be looked at, or has not ended in time.
        """
        from sluice.errors import StepOutgrown

        if "error" in event:
            raise (AirflowFailException if event.get("refused") else AirflowException)(event["error"])
        workspace, runtime = self._opened()
        reference = event["carried"]
        try:
            result = runtime.look(reference)
        except StepOutgrown as error:
            self.log.warning("%s", error)
            return self._follow(workspace, runtime.start_larger(self._ranges, reference, error))
        if result is None:
            raise AirflowFailException(
                f"{event['waiting_for']} has no result in time; see its log, then clear this task"
            )
        return self._done(workspace, result)

    def _opened(self) -> tuple[Workspace, Runtime[declared.Runtime]]:
        from sluice.compute.contract import runtime_of

        workspace = open_workspace(self.pipeline)
        return workspace, runtime_of(workspace, workspace.pipeline.step(self.step))

    def _follow(self, workspace: Workspace, started: Started) -> dict[str, Any]:
        """Return the result that is there, or wait for it."""
        if started.result is not None:
            return self._done(workspace, started.result)
        self.log.info("waiting for %s", started.what)
        reference = dict(started.reference)
        trigger = StepTrigger(
            probe="ended_step",
            arguments={"pipeline": self.pipeline, "step": self.step, "reference": reference, "what": started.what},
            poll_seconds=self._POLL_SECONDS,
            deadline=time.time() + started.patience.total_seconds(),
            carried=reference,
            waiting_for=started.what,
        )
        self.defer(trigger=trigger, method_name="resume")

    def _done(self, workspace: Workspace, result: StepResult) -> dict[str, Any]:
        from sluice.lake.partitions import parse_ranges
        from sluice.steps.lacking import describe_held_back, held_back
        from sluice_airflow.metrics import report_conformed

        if "ran" in result:
            self.log.info("step %s ran %s", self.step, result["ran"])
        if result.get("held_back"):
            waits = held_back(
                workspace,
                [workspace.pipeline.step(self.step)],
                parse_ranges(self._ranges, workspace.pipeline.calendar),
            )
            self.log.warning("held back: %s", describe_held_back(waits))
        report_conformed(workspace, self.step, result["partitions"])
        return dict(result)

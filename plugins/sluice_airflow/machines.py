"""The operator that has Step Functions train, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line_errors
from sluice_airflow.triggers import MachineTrigger


class TrainingMachineOperator(BaseOperator):
    """Starts the machine of a training, or adopts the execution of an earlier try, and waits without a worker slot.

    If a user clears, fails or marks the waiting task, the execution is stopped with its jobs.

    Args:
        pipeline: The name of a pipeline that declares ``orchestrator=StepFunctions()``.
        longest: How long the execution may take.
        poll_seconds: Seconds between two looks at the execution; a template.
        kwargs: Those of BaseOperator.

    Returns:
        The state of the run: the snapshot, the jobs, the verdict, and the deployment.
    """

    template_fields: Sequence[str] = ("poll_seconds",)

    def __init__(self, *, pipeline: str, longest: timedelta, poll_seconds: float | str = 60, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)  # so that the verdict has an XCom of its own
        self.pipeline = pipeline
        self.longest = longest
        self.poll_seconds = poll_seconds

    @override
    @one_line_errors
    def execute(self, context: Context) -> None:
        from sluice.orchestration.executions import start_execution

        params = context["params"]
        arn = start_execution(open_workspace(self.pipeline), context["run_id"], params["from"], params["to"])
        self.log.info("waiting for execution %s", arn)
        trigger = MachineTrigger(
            probe="ended_execution",
            arguments={"pipeline": self.pipeline, "execution": arn},
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + self.longest.total_seconds(),
            carried={"execution": arn},
        )
        self.defer(trigger=trigger, method_name="resume")

    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the state at the end of the execution.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger.

        Raises:
            AirflowException: the execution could not be looked at, has not ended in time, or has failed.
        """
        from sluice.orchestration.executions import completed_execution

        if "error" in event:
            raise (AirflowFailException if event.get("refused") else AirflowException)(event["error"])
        if event.get("timed_out"):
            raise AirflowFailException(
                f"{event['waiting_for']}, has not ended within {self.longest}; look at it in Step Functions, then "
                f"clear this task"
            )
        return dict(completed_execution(open_workspace(self.pipeline), event["carried"]["execution"]))

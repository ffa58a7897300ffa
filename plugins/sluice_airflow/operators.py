"""What several DAGs do alike, and what needs more than a call: announcing partitions; a deployment, which is asked for,
waited for without a worker, read back, probed, or put back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import clear_errors
from sluice_airflow.triggers import LookTrigger

if TYPE_CHECKING:
    from sluice.workspace import Workspace


class AnnounceLandedOperator(BaseOperator):
    """One completion event for each raw partition of a source that is closed in a content that was not announced yet.

    ``partitions`` is a list of ranges such as ``dt=2013-01-01..dt=2013-01-14``, as text. Safe to repeat: what is
    announced leaves a marker in the lake. Returns how many were announced.
    """

    template_fields: Sequence[str] = ("source", "partitions")

    def __init__(self, *, pipeline: str, source: str, partitions: Any, **kwargs: Any) -> None:
        super().__init__(**{"execution_timeout": timedelta(minutes=15), **kwargs})
        self.pipeline = pipeline
        self.source = source
        self.partitions = partitions

    @clear_errors
    def execute(self, context: Context) -> int:
        from sluice.events import announce_partitions
        from sluice.lake import raw_dataset

        workspace, dataset = open_workspace(self.pipeline), raw_dataset(self.source)
        return announce_partitions(workspace, dataset, self.partitions, context["run_id"])


class DeployEndpointOperator(BaseOperator):
    """Makes a completed training job's model live, and fails unless that very model answers (P8).

    Safe to repeat at any point: names are digests of content, and an endpoint that serves the model already is only
    read back and probed again. If it does not answer as it was trained, what served before is put back.
    """

    template_fields: Sequence[str] = ("job_name", "snapshot", "poll_seconds")

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

    @clear_errors
    def execute(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        from sluice.serving.endpoint import find_endpoint, start_change
        from sluice.training.jobs import completed_job

        self._check(event)
        workspace = open_workspace(self.pipeline)
        sagemaker = workspace.aws.client("sagemaker")
        standing = find_endpoint(sagemaker, workspace.pipeline.deployment.endpoint)
        if standing is not None and not standing.settled:
            self._wait("execute")  # a change of an earlier try, or of somebody else
        job = completed_job(sagemaker, self.job_name)
        change = start_change(
            sagemaker, workspace.pipeline, job, workspace.resources.role_arn, self._proven_config(workspace)
        )
        self._wait("verify", asdict(change))

    @clear_errors
    def verify(self, context: Context, event: dict[str, Any]) -> Any:
        """The endpoint has settled: is it what was asked for, and does it answer as it was trained?"""
        from sluice.errors import DeploymentFailed
        from sluice.serving.deployment import prove
        from sluice.serving.endpoint import Change, roll_back

        self._check(event)
        workspace, change = open_workspace(self.pipeline), Change(**event["carried"])
        try:
            return prove(workspace, change, self.job_name, self.snapshot).model_dump()
        except DeploymentFailed as error:
            roll_back(workspace.aws.client("sagemaker"), change)
            reason = str(error)
        self._wait("rolled_back", {"reason": reason})

    def rolled_back(self, context: Context, event: dict[str, Any]) -> None:
        """What served before is back, or as far as SageMaker got: the task fails either way."""
        self._check(event)
        raise AirflowFailException(f"{event['carried']['reason']} (rolled back: the endpoint is {event['found']})")

    def _wait(self, then: str, carried: dict[str, Any] | None = None) -> None:
        trigger = LookTrigger(
            look="settled_endpoint",
            arguments={"pipeline": self.pipeline},
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + self.max_wait.total_seconds(),
            carried=carried,
        )
        self.defer(trigger=trigger, method_name=then)

    def _check(self, event: dict[str, Any] | None) -> None:
        if event is not None and "found" not in event:
            raise AirflowFailException(
                event.get("error")
                or f"the endpoint of {self.pipeline} did not settle within {self.max_wait}; look at it in SageMaker, "
                f"then clear this task"
            )

    @staticmethod
    def _proven_config(workspace: Workspace) -> str | None:
        from sluice.serving.records import deployment_records

        records = deployment_records(workspace.lake)
        return records[-1].config if records else None

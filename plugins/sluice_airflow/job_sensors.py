"""Deferrable sensors of jobs at SageMaker: training jobs, and the transform jobs that score."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context
from typing_extensions import override

from sluice.declaration.training import AROUND_A_JOB
from sluice_airflow.links import TrainingJobLink
from sluice_airflow.sensors import ProbeSensor
from sluice_airflow.shared import WORKSPACES
from sluice_airflow.triggers import ScoringTrigger, StoppingTrigger, TrainingJobTrigger

if TYPE_CHECKING:
    from sluice.workspace import Workspace


class JobSensor(ProbeSensor):
    """The base of the sensors of jobs: polls a job until it has ended; the task fails unless the job is Completed.

    If a user clears, fails or marks the waiting task, the job is stopped. A restart of the triggerer does not stop it.

    Args:
        pipeline: The name of the pipeline.
        job_name: The name of the job; a template.
        max_runtime: The longest time that the job may run; the sensor waits half an hour longer.
        poll_seconds: Seconds between two probes; a template.
        kwargs: Those of ProbeSensor.
    """

    trigger_class: ClassVar[type[StoppingTrigger]]
    template_fields = (*ProbeSensor.template_fields, "job_name")

    def __init__(
        self, *, pipeline: str, job_name: Any, max_runtime: timedelta, poll_seconds: float | str = 60, **kwargs: Any
    ) -> None:
        max_wait = (max_runtime + AROUND_A_JOB).total_seconds()
        super().__init__(poll_seconds=poll_seconds, max_wait_seconds=max_wait, **kwargs)
        self.pipeline = pipeline
        self.job_name = job_name

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "job_name": self.job_name}

    @override
    def found(self, found: str, context: Context) -> str:
        return self.completed(WORKSPACES.get(self.pipeline))

    def completed(self, workspace: Workspace) -> str:
        """Return the status of the job that has ended, and fail unless it is Completed. A subclass overrides it."""
        raise TypeError(f"{type(self).__name__} must override completed()")

    @override
    def on_kill(self) -> None:
        self.trigger_class.stop(self.pipeline, {"job_name": self.job_name})


class TrainingJobSensor(JobSensor):
    """Polls a training job, or a tuning job with its training jobs.

    The log says how far the job is, again each time that changes. The task links to the job in SageMaker's console.
    """

    probe = "ended_training_job"
    trigger_class = TrainingJobTrigger
    operator_extra_links = (TrainingJobLink(),)

    @override
    def completed(self, workspace: Workspace) -> str:
        from sluice.training.jobs import progress
        from sluice.training.kinds import kind_of

        job = kind_of(workspace.pipeline, self.job_name).completed(workspace, self.job_name)
        self.log.info("training job %s is %s", job.name, progress(workspace, job))
        return job.status


class ScoringSensor(JobSensor):
    """Polls a transform job that scores rows with a model."""

    probe = "ended_scoring"
    trigger_class = ScoringTrigger

    @override
    def completed(self, workspace: Workspace) -> str:
        from sluice.evaluation.transforms import completed_scoring

        return completed_scoring(workspace, self.job_name).status

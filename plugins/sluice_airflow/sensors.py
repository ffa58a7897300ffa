"""Deferrable sensors: a backlog, complete partitions, a training job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from sluice_airflow import looks
from sluice_airflow.errors import clear_errors
from sluice_airflow.triggers import LookTrigger, TrainingJobTrigger


class LookSensor(BaseSensorOperator):
    """Looks once; while there is nothing, defers to a trigger that looks every ``poll_seconds``.

    ``poll_seconds`` and ``max_wait_seconds`` may be templates. After ``max_wait_seconds`` the sensor fails.
    """

    look: ClassVar[str]
    trigger_class: ClassVar[type[LookTrigger]] = LookTrigger
    template_fields: Sequence[str] = ("poll_seconds", "max_wait_seconds")

    def __init__(self, *, poll_seconds: float | str, max_wait_seconds: float | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_seconds = poll_seconds
        self.max_wait_seconds = max_wait_seconds

    def arguments(self) -> dict[str, Any]:
        """What the look is called with."""
        raise TypeError(f"{type(self).__name__} does not say what to look at")

    @clear_errors
    def execute(self, context: Context) -> Any:
        found = getattr(looks, self.look)(**self.arguments())
        if found is not None:
            return self.found(found)
        trigger = self.trigger_class(
            look=self.look,
            arguments=self.arguments(),
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + float(self.max_wait_seconds),
        )
        self.defer(trigger=trigger, method_name="resume")

    @clear_errors
    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Back from the trigger, with its event."""
        if "error" in event:
            raise AirflowFailException(event["error"])
        if event.get("timed_out"):
            return self.timed_out()
        return self.found(event["found"])

    def found(self, found: Any) -> Any:
        """What the task returns once the look has found something."""
        return found

    def timed_out(self) -> Any:
        raise AirflowSensorTimeout(
            f"{self.task_id} looked for {self.max_wait_seconds} s at {self.arguments()} and found nothing; "
            f"see what should have arrived there, then clear this task"
        )


class SqsBacklogSensor(LookSensor):
    """Waits until a queue holds messages. It only looks: nothing is received, hidden or deleted.

    An empty queue is no failure: after ``max_wait_seconds`` the sensor returns 0, so that partitions whose time has
    passed are closed though nothing arrives any more.
    """

    look = "backlog"

    def __init__(self, *, pipeline: str, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source

    def arguments(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "source": self.source}

    def timed_out(self) -> int:
        return 0


class StreamBacklogSensor(SqsBacklogSensor):
    """Waits until something is to be read in a shard of a stream. It only looks: no checkpoint moves.

    Its look costs one read of one record in each shard, of the five a second that Kinesis allows.
    """

    look = "stream_backlog"


class S3PartitionSensor(LookSensor):
    """Waits until every source of a pipeline is complete for some partitions: manifests closed, drops marked.

    ``partitions`` is a list of ranges such as ``dt=2013-01-01..dt=2013-01-14``.
    """

    look = "complete_partitions"
    template_fields = (*LookSensor.template_fields, "partitions")

    def __init__(self, *, pipeline: str, partitions: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.partitions = partitions

    def arguments(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "partitions": list(self.partitions)}


class TrainingJobSensor(LookSensor):
    """Looks at a training job, once a minute by default, and ends when the job has: Completed, or the task fails.

    How long it waits follows from the job's own limit. A user who clears, fails or marks the waiting task stops the
    job; a restart of the triggerer does not.
    """

    look = "ended_training_job"
    trigger_class = TrainingJobTrigger
    template_fields = (*LookSensor.template_fields, "job_name")
    # Starting instances and uploading the model are outside the job's own limit.
    _AROUND_THE_JOB = timedelta(minutes=30)

    def __init__(
        self, *, pipeline: str, job_name: Any, max_runtime: timedelta, poll_seconds: float | str = 60, **kwargs: Any
    ) -> None:
        max_wait = (max_runtime + self._AROUND_THE_JOB).total_seconds()
        super().__init__(poll_seconds=poll_seconds, max_wait_seconds=max_wait, **kwargs)
        self.pipeline = pipeline
        self.job_name = job_name

    def arguments(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "job_name": self.job_name}

    def found(self, found: str) -> str:
        from sluice.training.jobs import completed_job
        from sluice_airflow.connection import open_workspace

        return completed_job(open_workspace(self.pipeline).aws.client("sagemaker"), self.job_name).status

    def on_kill(self) -> None:
        from sluice.training.jobs import stop_job
        from sluice_airflow.connection import open_workspace

        stop_job(open_workspace(self.pipeline).aws.client("sagemaker"), self.job_name)

"""Deferrable sensors: a backlog, complete partitions, due partitions, a training job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout

from sluice_airflow import looks
from sluice_airflow.errors import one_line, one_line_errors
from sluice_airflow.runs import is_dags_test, partitions_of_run
from sluice_airflow.triggers import LookTrigger, TrainingJobTrigger


class LookSensor(BaseSensorOperator):
    """Looks once; while there is nothing, defers to a trigger that looks every ``poll_seconds``.

    A failure that passes, such as a throttled look, is no reason to end the wait; any other ends it at once.

    ``poll_seconds`` and ``max_wait_seconds`` may be templates. The log says what is waited for, again whenever that
    changes. After ``max_wait_seconds`` the sensor fails and says it as well.
    """

    look: ClassVar[str]
    trigger_class: ClassVar[type[LookTrigger]] = LookTrigger
    template_fields: Sequence[str] = ("poll_seconds", "max_wait_seconds")

    def __init__(self, *, poll_seconds: float | str, max_wait_seconds: float | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_seconds = poll_seconds
        self.max_wait_seconds = max_wait_seconds

    def arguments(self, context: Context) -> dict[str, Any]:
        """What the look is called with."""
        raise TypeError(f"{type(self).__name__} does not say what to look at")

    @one_line_errors
    def execute(self, context: Context) -> Any:
        from sluice.aws.failures import is_transient

        try:
            found = getattr(looks, self.look)(**self.arguments(context))
        except Exception as error:
            if not is_transient(error):
                raise
            self.log.warning("%s; looking again in %s s", one_line(error), self.poll_seconds)
            found = looks.Waiting("a service that answers")
        if not isinstance(found, looks.Waiting):
            return self.found(found, context)
        self.log.info("waiting for %s", found.what)
        self.wait(context, found.what)

    def wait(self, context: Context, waiting_for: str = "") -> None:
        """Defer to the trigger. ``waiting_for`` is in the log already."""
        trigger = self.trigger_class(
            look=self.look,
            arguments=self.arguments(context),
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + float(self.max_wait_seconds),
            waiting_for=waiting_for,
        )
        self.defer(trigger=trigger, method_name="resume")

    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Back from the trigger, with its event."""
        if "error" in event:
            raise (AirflowFailException if event.get("refused") else AirflowException)(event["error"])
        if event.get("timed_out"):
            return self.timed_out(event["waiting_for"])
        return self.found(event["found"], context)

    def found(self, found: Any, context: Context) -> Any:
        """What the task returns once the look has found something."""
        return found

    def timed_out(self, waiting_for: str) -> Any:
        raise AirflowSensorTimeout(
            f"{self.task_id} gave up after {self.max_wait_seconds} s of waiting for {waiting_for}; see to that, then "
            f"clear this task"
        )


class ContinuousLookSensor(LookSensor):
    """The first task of a DAG that runs all the time: whatever it fails of, it is tried again as the task says.

    If it failed at once of what is refused or absent, such as a queue that was deleted, the next run would follow at
    once and fail as well.
    """

    def execute(self, context: Context) -> Any:
        with _retried():
            return super().execute(context)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        with _retried():
            return super().resume(context, event)


@contextmanager
def _retried() -> Iterator[None]:
    try:
        yield
    except AirflowFailException as error:
        raise AirflowException(str(error)) from None


class BacklogSensor(ContinuousLookSensor):
    """Waits until a source of events holds something. It only looks: nothing is received, and no checkpoint moves.

    An empty source is no failure: after ``max_wait_seconds`` the sensor returns 0, so that partitions whose time has
    passed are closed though nothing arrives any more.
    """

    look = "backlog"

    def __init__(self, *, pipeline: str, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source

    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "source": self.source}

    def timed_out(self, waiting_for: str) -> int:
        return 0


class S3PartitionSensor(LookSensor):
    """Waits until every source of a pipeline is complete for the partitions that the run is about.

    These follow from the run itself: its ``from`` and ``to``, or else its logical date. Returns them in chunks, each as
    ranges such as ``dt=2013-01-01..dt=2013-01-14``, and records that a run has begun on them. ``airflow dags test``
    leaves no run behind, so it records nothing.
    """

    look = "complete_partitions"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "partitions": partitions_of_run(self.pipeline, context)}

    def found(self, found: bool, context: Context) -> list[str]:
        from sluice.lake.partitions import parse_ranges
        from sluice.sources.due import record_started
        from sluice_airflow.connection import open_workspace

        chunks = partitions_of_run(self.pipeline, context)
        if not is_dags_test(context):
            workspace = open_workspace(self.pipeline)
            begun = [each for chunk in chunks for each in parse_ranges(chunk)]
            record_started(workspace, begun)
        return chunks

    def timed_out(self, waiting_for: str) -> Any:
        raise AirflowFailException(
            f"not complete: {waiting_for}. These partitions are transformed by themselves once they are complete; to "
            f"transform others, trigger a run with from and to"
        )


class DuePartitionsSensor(ContinuousLookSensor):
    """Waits until the transform has to run for some partitions, and returns their keys; none after its time is up.

    Its first look comes after ``poll_seconds``, so that runs that follow one another at once do not look all the time.
    """

    look = "due_partitions"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline}

    def execute(self, context: Context) -> Any:
        self.wait(context)

    def timed_out(self, waiting_for: str) -> list[str]:
        return []


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

    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "job_name": self.job_name}

    def found(self, found: str, context: Context) -> str:
        from sluice.training.jobs import completed_job
        from sluice_airflow.connection import open_workspace

        return completed_job(open_workspace(self.pipeline).aws.client("sagemaker"), self.job_name).status

    def on_kill(self) -> None:
        from sluice.training.jobs import stop_job
        from sluice_airflow.connection import open_workspace

        stop_job(open_workspace(self.pipeline).aws.client("sagemaker"), self.job_name)

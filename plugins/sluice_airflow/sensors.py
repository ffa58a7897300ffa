"""Deferrable sensors of data: a backlog, complete partitions, due partitions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
from typing_extensions import override

from sluice_airflow.errors import one_line, one_line_errors
from sluice_airflow.probes import Probe, Waiting
from sluice_airflow.runs import is_dags_test, partitions_of_run
from sluice_airflow.shared import WORKSPACES
from sluice_airflow.triggers import ProbeTrigger

if TYPE_CHECKING:
    from sluice.sources.completeness import Incomplete


class ProbeSensor(BaseSensorOperator):
    """The base of the sensors: probes once; if nothing is found, defers to a trigger that probes again.

    A transient failure, such as a throttled call, does not end the wait. Any other failure ends it at once. The log
    names what the sensor waits for, again each time that changes, and every ten minutes how long the wait has lasted.

    Args:
        poll_seconds: Seconds between two probes; a template.
        max_wait_seconds: Seconds after which the sensor fails; a template.
        kwargs: Those of BaseSensorOperator.

    Attributes:
        probe: The name of a function of :mod:`sluice_airflow.probes`.
        trigger_class: The trigger that waits.
    """

    probe: ClassVar[str]
    trigger_class: ClassVar[type[ProbeTrigger]] = ProbeTrigger
    template_fields: Sequence[str] = ("poll_seconds", "max_wait_seconds")

    def __init__(self, *, poll_seconds: float | str, max_wait_seconds: float | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_seconds = poll_seconds
        self.max_wait_seconds = max_wait_seconds

    def arguments(self, context: Context) -> dict[str, Any]:
        """Return the keyword arguments of the probe. A subclass overrides it.

        Raises:
            TypeError: the subclass does not.
        """
        raise TypeError(f"{type(self).__name__} has no arguments for its probe: override arguments()")

    @override
    @one_line_errors
    def execute(self, context: Context) -> Any:
        from sluice.aws.failures import is_transient

        WORKSPACES.clear()  # A task that was cleared after the connection was corrected finds the new one.
        try:
            found = Probe(self.probe, **self.arguments(context))()
        except Exception as error:
            if not is_transient(error):
                raise
            self.log.warning("%s; probing again in %s s", one_line(error), self.poll_seconds)
            found = Waiting("a service that answers")
        if not isinstance(found, Waiting):
            return self.found(found, context)
        self.log.info("waiting for %s", found.what)
        self.wait(context, found.what)

    def wait(self, context: Context, waiting_for: str = "") -> None:
        """Defer to the trigger.

        Args:
            context: Airflow's context of the task.
            waiting_for: What the log has named already.
        """
        trigger = self.trigger_class(
            probe=self.probe,
            arguments=self.arguments(context),
            poll_seconds=float(self.poll_seconds),
            deadline=time.time() + float(self.max_wait_seconds),
            waiting_for=waiting_for,
        )
        self.defer(trigger=trigger, method_name="resume")

    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Return what the trigger has found.

        Args:
            context: Airflow's context of the task.
            event: The event of the trigger.

        Raises:
            AirflowException: the trigger could not probe.
        """
        if "error" in event:
            raise (AirflowFailException if event.get("refused") else AirflowException)(event["error"])
        if event.get("timed_out"):
            return self.timed_out(event["waiting_for"], context)
        return self.found(event["found"], context)

    def found(self, found: Any, context: Context) -> Any:
        """Return the task's return value. A subclass may override it.

        Args:
            found: What the probe has found.
            context: Airflow's context of the task.
        """
        return found

    def timed_out(self, waiting_for: str, context: Context) -> Any:
        """Return the task's return value after ``max_wait_seconds``, or fail. A subclass may override it.

        Args:
            waiting_for: What was not found.
            context: Airflow's context of the task.

        Raises:
            AirflowSensorTimeout: always, unless it is overridden.
        """
        raise AirflowSensorTimeout(
            f"{self.task_id} gave up after {self.max_wait_seconds} s of waiting for {waiting_for}; correct the cause, "
            f"then clear this task"
        )


class ContinuousProbeSensor(ProbeSensor):
    """The first task of a DAG that runs all the time: any failure is retried as often as the task declares.

    If a refusal or an absent resource, such as a deleted queue, failed it without a retry, the next run would follow
    and fail as well.
    """

    @override
    def execute(self, context: Context) -> Any:
        with _retried():
            return super().execute(context)

    @override
    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        with _retried():
            return super().resume(context, event)


@contextmanager
def _retried() -> Iterator[None]:
    try:
        yield
    except AirflowFailException as error:
        raise AirflowException(str(error)) from None


class BacklogSensor(ContinuousProbeSensor):
    """Waits until a source of events has a backlog. Nothing is received, and no checkpoint moves.

    An empty source is not a failure: after ``max_wait_seconds`` the sensor returns 0, so that partitions whose time has
    passed are closed although nothing arrives.

    Args:
        pipeline: The name of the pipeline.
        source: The name of its queue or stream.
        kwargs: Those of ProbeSensor.
    """

    probe = "backlog"

    def __init__(self, *, pipeline: str, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "source": self.source}

    @override
    def timed_out(self, waiting_for: str, context: Context) -> int:
        return 0


class SettledSensor(ProbeSensor):
    """Waits until the counters of a source have settled, or until more waits to land. Nothing is received.

    A source that does not settle is not a failure: after ``max_wait_seconds`` the sensor returns False, and the next
    run of the ingest waits again.

    Args:
        pipeline: The name of the pipeline.
        source: The name of its queue or stream.
        settling_seconds: How long counters that are approximate have to agree; a template.
        kwargs: Those of ProbeSensor.
    """

    probe = "settled"
    template_fields: Sequence[str] = (*ProbeSensor.template_fields, "settling_seconds")

    def __init__(self, *, pipeline: str, source: str, settling_seconds: float | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.source = source
        self.settling_seconds = settling_seconds

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "source": self.source,
            "settling_seconds": float(self.settling_seconds),
        }

    @override
    def timed_out(self, waiting_for: str, context: Context) -> bool:
        return False


class S3PartitionSensor(ProbeSensor):
    """Waits until every source of a pipeline is complete for the partitions of the run.

    The run's ``from`` and ``to`` determine them, or else its logical date. The sensor returns them in chunks of about
    equal work, each as a range such as ``dt=2013-01-01..dt=2013-01-14``, and records that a run has started on them.
    ``airflow dags test`` makes no run that lasts, so it records nothing.

    After ``max_wait_seconds`` the run goes on without what is not complete. The sensor fails if then no step could run
    for any partition.

    Args:
        pipeline: The name of the pipeline.
        kwargs: Those of ProbeSensor.
    """

    probe = "complete_partitions"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        from sluice.lake.partitions import format_ranges

        return {"pipeline": self.pipeline, "partitions": format_ranges(partitions_of_run(self.pipeline, context))}

    @override
    def found(self, found: Any, context: Context) -> list[str]:
        return self._begin(context, ())

    @override
    def timed_out(self, waiting_for: str, context: Context) -> list[str]:
        from sluice.sources.completeness import can_begin, incomplete

        workspace, partitions = WORKSPACES.get(self.pipeline), partitions_of_run(self.pipeline, context)
        missing = incomplete(workspace, partitions)
        if not any(can_begin(workspace.pipeline, partition, missing) for partition in partitions):
            raise AirflowFailException(
                f"not complete: {waiting_for}. These partitions are transformed by themselves once they are complete; "
                f"to transform others, trigger a run with from and to"
            )
        self.log.info("not complete: %s. Steps that read it are held back", waiting_for)
        return self._begin(context, missing)

    def _begin(self, context: Context, missing: Sequence[Incomplete]) -> list[str]:
        """Record that a run has started on its partitions, and return them in chunks."""
        from sluice.sources.due import record_started
        from sluice.steps.chunks import chunks_of_run

        workspace, partitions = WORKSPACES.get(self.pipeline), partitions_of_run(self.pipeline, context)
        if not is_dags_test(context):
            record_started(workspace, partitions, context["run_id"], missing)
        return chunks_of_run(workspace, partitions)


class DuePartitionsSensor(ContinuousProbeSensor):
    """Waits until the transform has to run for some partitions, and returns their keys; none after its time is up.

    Args:
        pipeline: The name of the pipeline.
        kwargs: Those of ProbeSensor.
    """

    probe = "due_partitions"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline}

    @override
    def timed_out(self, waiting_for: str, context: Context) -> list[str]:
        return []

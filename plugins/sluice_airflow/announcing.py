"""The operator that announces what a transform run has made."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from typing_extensions import override

from sluice.declaration.loading import load_pipeline
from sluice_airflow.errors import one_line_errors
from sluice_airflow.policy import transformed
from sluice_airflow.runs import is_dags_test, partitions_of_run
from sluice_airflow.sensors import ProbeSensor
from sluice_airflow.shared import WORKSPACES

# Those of a step's tasks; None if there is none, or one of them did not run.
Summaries: TypeAlias = Sequence[Mapping[str, Any] | None] | None

if TYPE_CHECKING:
    from sluice.lake.partitions import Partition
    from sluice.steps.lacking import Awaited
    from sluice.workspace import Workspace


class AnnounceTransformedOperator(ProbeSensor):
    """Publishes one completion event for each partition of the last step whose content is not announced yet.

    Where a step looks back or ahead, the run of another partition may be about to write these again. So it first waits,
    without a worker slot, until no such run is at work, and then announces what the lake has. A run that is queued, has
    failed, or has only to announce is not waited for. After ``max_wait_seconds`` it announces all the same, so that no
    event is lost; content that replaces what was announced is announced as well.

    It fails if the run has not transformed all of its partitions. A run that the dispatch has started is skipped here
    instead if steps were held back: it runs again by itself once what they wait for has landed. So is any run whose
    steps wait for nothing but what comes after it: there a step looks ahead, and a later run makes what it lacks.

    Args:
        pipeline: The name of the pipeline.
        runs: The summaries of each step, in order, one for each of its tasks; a template.
        kwargs: Those of ProbeSensor.

    Returns:
        The number of events that it published.
    """

    probe = "lasting_partitions"
    template_fields: Sequence[str] = (*ProbeSensor.template_fields, "runs")

    def __init__(self, *, pipeline: str, runs: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.runs = runs

    @cached_property
    def done(self) -> str:
        """The partitions that the last step has transformed, as ranges."""
        from sluice.lake.partitions import format_ranges

        return format_ranges(self._made(self.runs[-1]))

    @override
    def arguments(self, context: Context) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "partitions": self.done}

    @override
    @one_line_errors
    def resume(self, context: Context, event: dict[str, Any]) -> int:
        if "found" not in event:
            reason = event.get("error") or f"after {self.max_wait_seconds} s it still waits for {event['waiting_for']}"
            self.log.warning("%s; announcing all the same", reason)
        return self.found(True, context)

    @override
    def found(self, found: Any, context: Context) -> int:
        from sluice.completions import announce_partitions

        workspace = WORKSPACES.get(self.pipeline)
        last = workspace.pipeline.steps[-1].name
        announced = announce_partitions(workspace, last, self.done, context["run_id"])
        self._require_all_done(workspace, context)
        if workspace.pipeline.scoring is not None:  # it tells the scoring run that follows what there is to score
            context["outlet_events"][transformed(workspace.pipeline)].extra = {"partitions": self.done}
        return announced

    def _require_all_done(self, workspace: Workspace, context: Context) -> None:
        """Require that every step has made every partition of the run.

        Raises:
            AirflowSkipException: the last step was held back, and the dispatch has started the run, or what the steps
                wait for is later than the run.
            SluiceError: another run has not made all; or tasks were skipped or marked by hand.
        """
        from sluice.errors import SluiceError
        from sluice.lake.partitions import format_ranges
        from sluice.steps.lacking import describe_held_back

        requested = set(partitions_of_run(self.pipeline, context))
        undone = [requested - self._made(summaries) for summaries in self.runs]
        held_back = [sum(each.get("held_back", 0) for each in _known(summaries)) for summaries in self.runs]
        if len(undone[-1]) > held_back[-1]:
            raise SluiceError(
                f"this run has not transformed {format_ranges(undone[-1])}: a task before this one failed, was skipped "
                f"or was marked by hand; clear that task"
            )
        if any(held_back):
            waits = self._waits(workspace, sorted({each for step in undone for each in step}), context)
            reason = f"held back: {describe_held_back(waits)}"
            if context["dag_run"].run_type != "operator_triggered" and not _come_later(workspace, waits, requested):
                raise SluiceError(f"{reason}. Its steps run by themselves once that is there; all others have run")
            if undone[-1]:
                raise AirflowSkipException(reason)
            self.log.warning("%s", reason)

    def _waits(
        self, workspace: Workspace, undone: Sequence[Partition], context: Context
    ) -> Mapping[Partition, Sequence[Awaited]]:
        """Return what steps wait for, once it is recorded, so that a run starts on it by itself."""
        from sluice.sources.due import record_held_back
        from sluice.steps.lacking import held_back

        waits = held_back(workspace, workspace.pipeline.steps, undone)
        if not is_dags_test(context):
            record_held_back(workspace, {each: waits.get(each, ()) for each in undone})
        return waits

    def _made(self, summaries: Summaries) -> set[Partition]:
        """Return the partitions that a step has made; none if its tasks did not run."""
        from sluice.lake.partitions import parse_ranges

        calendar = load_pipeline(self.pipeline).calendar
        return {each for summary in _known(summaries) for each in parse_ranges(summary["partitions"], calendar)}


def _known(summaries: Summaries) -> Iterator[Mapping[str, Any]]:
    """Yield the summaries of a step's tasks; none of those that did not run."""
    yield from (each for each in summaries or () if each is not None)


def _come_later(
    workspace: Workspace, waits: Mapping[Partition, Sequence[Awaited]], requested: Collection[Partition]
) -> bool:
    """Return whether a run of later partitions makes what steps wait for: nothing that comes before it is lacking.

    That is a source, and a step with a state, of which an earlier partition is not made.
    """
    pipeline = workspace.pipeline
    awaited = [each for lacks in waits.values() for each in lacks]

    def comes_later(name: str, each: Partition) -> bool:
        is_made_in_any_order = pipeline.source(name) is None and not pipeline.carries_state(pipeline.step(name))
        return is_made_in_any_order or each > max(requested)

    return bool(awaited) and all(comes_later(*each) for each in awaited)

"""Takes a pipeline through ingest, transform and training in this process, for quick turns without Airflow.

It calls what the DAGs call, so nothing has another result, and the DAGs go on where it has stopped. It announces
nothing: the next runs of the DAGs do. It makes no model live: `sluice deploy` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

from sluice.declaration.sources import EventSource
from sluice.evaluation.report import make_report
from sluice.lake.partitions import Partition, format_ranges
from sluice.landing.parts import Limits
from sluice.orchestration.acts import ACTS, State
from sluice.sources.connecting import connect_events
from sluice.sources.ingest import close_partitions, land_partitions
from sluice.steps.outlook import outlook
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

Say = Callable[[str], None]

_LANES = 8
_LOOK_SECONDS = 1.0
_MOST_SECONDS_LATE = 60.0  # beyond the time in which counters settle
_ACTS_OF_TRAINING = ("snapshot", "launch", "look_at_training", "score", "look_at_scores", "judge")


@dataclass(frozen=True)
class Ingested:
    """What came of a source: the messages that landed, the parts, and the partitions that are closed now, as ranges."""

    source: str
    messages: int
    parts: int
    closed: str


@dataclass(frozen=True)
class Transformed:
    """What a step has made: how many partitions have new content; rows and rejected ones of all that were looked at."""

    step: str
    changed: int
    rows_in: int
    rows_out: int
    rejected: int
    held_back: int


def ingest(workspace: Workspace, source: EventSource, settling: timedelta, say: Say) -> Ingested:
    """Land all that waits in a source, and close what is complete.

    Args:
        workspace: The pipeline.
        source: The source.
        settling: How long the counters of a queue have to be zero before it counts as dry.
        say: Told what is waited for.

    Raises:
        MissingResource: there is no such queue or stream.
    """
    connector, stop = connect_events(workspace, source), Event()
    with ThreadPoolExecutor(_LANES) as pool:
        try:
            drains = [
                pool.submit(connector.drain, unit, Limits(), lambda _: None, stop) for unit in connector.units(_LANES)
            ]
            landed = [drain.result() for drain in drains]
        finally:
            stop.set()  # after an interruption the others flush what they hold
    last = time.monotonic() + settling.total_seconds() + _MOST_SECONDS_LATE
    while (waiting := connector.unsettled(settling)) and time.monotonic() < last:
        say(f"waiting for {waiting}")
        time.sleep(_LOOK_SECONDS)
    closed = close_partitions(workspace, source, settling)
    return Ingested(source.name, sum(each.messages for each in landed), sum(each.parts for each in landed), closed)


def transform(workspace: Workspace, partitions: Sequence[Partition] | None, say: Say) -> list[Transformed]:
    """Land the drops of partitions, and make what is due of each step. Steps run here, whatever their runtime is.

    Args:
        workspace: The pipeline.
        partitions: The partitions; None for all for which there is something.
        say: Told which step is run.

    Raises:
        SluiceError: a step has failed, or something in the lake can't be read.
    """
    found = [each for each in outlook(workspace, partitions) if each.verdict in ("runs", "may run")]
    ranges = format_ranges({each.partition for each in found})
    if not ranges:
        return []
    land_partitions(workspace, ranges)
    made = []
    for step in workspace.pipeline.steps:
        say(f"running step {step.name}")
        done = run_step(workspace, step.name, ranges)
        made.append(_transformed(step.name, done))
    return made


def _transformed(step: str, done: dict[str, Any]) -> Transformed:
    return Transformed(
        step, **{name: done[name] for name in ("changed", "rows_in", "rows_out", "rejected", "held_back")}
    )


def train(workspace: Workspace, first: str | None, last: str | None, poll_seconds: float, say: Say) -> int:
    """Train all candidates on a range, judge them beside the model that is live, and write the report.

    Args:
        workspace: The pipeline, which declares a training.
        first: The first partition, as a date; None for the first that is closed.
        last: The last one, included; None for the last that is closed.
        poll_seconds: The time between two looks at a job.
        say: Told what is waited for.

    Returns:
        The number of the verdict.

    Raises:
        NotEnoughData: the range has too few rows.
        TrainingFailed: a job has failed.
    """
    state: State = {"run": "dev", "from": first, "to": last}
    for name in _ACTS_OF_TRAINING:
        state = ACTS[name](workspace, state)
        while state.get("waiting"):
            say(f"waiting for {state['waiting_for']}")
            time.sleep(poll_seconds)
            state = ACTS[name](workspace, state)
    number: int = state["verdict"]
    make_report(workspace, number)
    return number

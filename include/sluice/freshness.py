"""Compares how old partitions are with what their steps declare, and announces what is not fresh, once.

Each change is a record in the lake: first written, then announced. After a crash between the two the next look
announces it. So one breach is one event, however often it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.completions import CompletionEvent, announce
from sluice.lake.journal import append, entry_key, newest_first
from sluice.lake.look import Look
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition, format_ranges, parse_ranges
from sluice.lateness import Late, group_late, in_words, late_partitions
from sluice.sources.completeness import short_ranges
from sluice.workspace import Workspace


class Freshness(BaseModel):
    """Which partitions of a step are not fresh, from one look on until the next record.

    Attributes:
        schema_version: The version of this JSON.
        step: The name of the step.
        stale: The partitions that are older than the step declares, as ranges; empty if all are fresh.
        findings: What has changed with this look: a sentence for what is no longer fresh, and for what is again.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    step: str
    stale: str
    findings: tuple[str, ...]


def watch_freshness(workspace: Workspace, run_id: str) -> int:
    """Look at the partitions of each step that declares ``fresh_within``, and announce what has changed since the last.

    Args:
        workspace: The pipeline.
        run_id: The Airflow run that looks, for the events.

    Returns:
        The number of events that were published.

    Raises:
        ConflictingWrite: other runs keep writing the same records.
    """
    look = Look(workspace.lake)
    late = late_partitions(workspace, look)
    look.copy_manifests()  # the next one looks at all of them again
    bounds = workspace.pipeline.fresh_within.items()
    return sum(
        _watch(workspace, step, bound, [each for each in late if each.step == step], run_id) for step, bound in bounds
    )


def _watch(workspace: Workspace, step: str, bound: timedelta, late: Sequence[Late], run_id: str) -> int:
    """Look at the partitions of one step; return the number of events that were published."""
    lake, folder, published = workspace.lake, workspace.lake.layout.freshness(step), 0
    last = next(newest_first(lake, folder, Freshness), None)
    if last is not None:
        published += _announce(workspace, *last, run_id)  # unless it was before
    before = last[1].stale if last is not None else ""
    stale = [each for each in late if lake.now() - each.begun > bound]
    now = format_ranges(each.partition for each in stale)
    if now != before:
        findings = tuple(_findings(workspace, step, bound, parse_ranges(before, workspace.pipeline.calendar), stale))
        record = Freshness(step=step, stale=now, findings=findings)
        published += _announce(workspace, append(lake, folder, record), record, run_id)
    return published


def _findings(
    workspace: Workspace, step: str, bound: timedelta, before: Sequence[Partition], stale: Sequence[Late]
) -> Iterator[str]:
    """Yield a sentence for partitions that have become stale together, and one for those that are fresh again."""
    name = workspace.pipeline.name
    for group in group_late(workspace, [each for each in stale if each.partition not in before]):
        dags = f"look at {name}_dispatch, and at the runs of {name}_transform for these partitions"
        yield (
            f"{step} of {short_ranges(group.partitions)} is not fresh within {in_words(bound)}: {group.why}; "
            f"{'see to what it waits for' if group.what == 'waits' else dags}"
        )
    again = sorted(set(before) - {each.partition for each in stale})
    if again:
        yield f"{step} of {short_ranges(again)} is fresh again"


def _announce(workspace: Workspace, number: int, record: Freshness, run_id: str) -> bool:
    """Publish a record, unless it was published before; return whether this call did."""
    lake = workspace.lake
    event = CompletionEvent(
        pipeline=lake.pipeline,
        stage="freshness",
        subject=record.step,
        revision=number,
        late=False,
        manifest_uri=lake.uri(entry_key(lake.layout.freshness(record.step), number)),
        checksum=digest_of(record.model_dump()),
        rows_in=0,
        rows_out=0,
        run_id=run_id,
        findings=record.findings,
    )
    return announce(workspace, event)

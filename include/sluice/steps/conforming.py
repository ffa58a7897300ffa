"""Makes partitions of a ``Conform`` step: reads raw records, and compares the ids with those of other partitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from sluice.contracts.reading import Contract
from sluice.declaration.loading import resolve
from sluice.declaration.steps import Conform
from sluice.lake.layout import raw_dataset
from sluice.lake.partitions import Partition
from sluice.landing.recorded import recorded_of
from sluice.sources.connecting import events_source
from sluice.steps.calling import blamed
from sluice.steps.conform import Accepted, accept
from sluice.steps.ids.comparing import Compared, Comparing
from sluice.steps.ids.keys import keys_of
from sluice.steps.output import Output
from sluice.steps.planned import Planned, Span
from sluice.workspace import Workspace

# How many records of small partitions are read at once. More would take more memory, and hardly less time.
_RECORDS = 2**13


class Conforming:
    """Makes partitions, for one run of a step.

    Args:
        workspace: The pipeline that declares the step.
        step: The step.
    """

    def __init__(self, workspace: Workspace, step: Conform) -> None:
        self._workspace, self._step, within = workspace, step, step.once_within
        source = events_source(workspace.pipeline, step.source)
        model = resolve(workspace.pipeline, step.contract)
        self._contract = Contract(model, source.event_time_unit, source.event_time_zone)
        self._comparing = None
        if within is not None:
            self._comparing = Comparing(workspace.lake, step, within, self._keys_from_raw)

    def make(self, span: Span) -> list[tuple[Planned, Output]]:
        """Return the output of each partition of a span, and what it was made from.

        Args:
            span: The partitions.

        Raises:
            MissingResource: a raw part is gone.
            UnreadableObject: a raw part is damaged.
            SluiceError: the contract failed.
        """
        accepted = self._accepted(span)
        if self._comparing is None:
            return [(planned, _output(each)) for planned, each in zip(span, accepted, strict=True)]
        compared = self._comparing.compare(
            {planned.partition: keys_of(each.rows) for planned, each in zip(span, accepted, strict=True)},
            {planned.partition: planned.key_file for planned in span},
        )
        return [
            (replace(planned, ids=others.inputs), _output(each, others))
            for planned, each, others in zip(span, accepted, compared, strict=True)
        ]

    def _accepted(self, span: Span) -> list[Accepted]:
        accepted = list[Accepted]()
        for few in _batches(span):
            of_each = [[each for each in planned.found.values() if each is not None] for planned in few]
            records = recorded_of(self._workspace.lake, of_each)
            with blamed(self._workspace.pipeline, self._step, few):
                accepted += accept(records, self._contract)
        return accepted

    def _keys_from_raw(self, partition: Partition) -> pa.Table:
        manifest = self._workspace.lake.manifest(raw_dataset(self._step.source), partition)
        records = recorded_of(self._workspace.lake, [[] if manifest is None else [manifest]])
        (accepted,) = accept(records, self._contract)
        return keys_of(accepted.rows)


def _batches(span: Span) -> Iterator[Span]:
    """Yield the partitions of a span, as many at a time as have few records together."""
    batch, held = list[Planned](), 0
    for each in span:
        if batch and held + each.rows > _RECORDS:
            yield tuple(batch)
            batch, held = [], 0
        batch.append(each)
        held += each.rows
    yield tuple(batch)


def _output(accepted: Accepted, others: Compared | None = None) -> Output:
    result = accepted.conformed() if others is None else accepted.conformed(others.elsewhere)
    return Output(result.rows, result.quarantined, result.duplicates, result.rejected, result.control)

"""Finds the state before a partition: that of the nearest earlier partition which has something to make.

The search costs the same with any history. It asks for the partition just before, and lists windows, each larger than
the last one, only where there is a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Source
from sluice.declaration.steps import STATE, Step
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Partition, between
from sluice.landing.closing import is_empty_by_rule
from sluice.sources.coverage import is_outside

_FIRST_WINDOW, _GROWTH = 16, 16  # partitions, and times

# Whether a dataset has a manifest of a partition.
_Has: TypeAlias = Callable[[str, Partition], bool]


@dataclass(frozen=True)
class Before:
    """The state before a partition, which is the one after an earlier partition.

    Attributes:
        step: The name of the step.
        partition: The earlier partition.
        manifest: Its manifest; None while it is to be made by the same run.
    """

    step: str
    partition: Partition
    manifest: Manifest | None

    @property
    def key(self) -> str:
        """The name under which it is an input."""
        return f"{STATE}/{self.step}/{self.partition.key}"

    @property
    def digest(self) -> str | None:
        """The digest of the state; None while it is not made."""
        return None if self.manifest is None else self.manifest.carried_digest

    @property
    def file(self) -> File | None:
        """The object that holds the state; None while it is not made."""
        return None if self.manifest is None else self.manifest.carried


def find_before(
    look: Look, pipeline: Pipeline, step: Step, partition: Partition, coming: Collection[Partition] = ()
) -> Partition | None:
    """Return the nearest earlier partition that was made, or has something to make; None if there is none.

    Partitions before the pipeline's start hand on nothing.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: A step with a state.
        partition: The partition that comes after the state.
        coming: Earlier partitions that the same run makes.
    """
    sources = [source for source in pipeline.sources if source.name in pipeline.sources_of[step.name]]
    for window, has in _windows(look, pipeline, step, sources, partition):
        for each in reversed(window):
            if each in coming or has(step.name, each) or _is_expected(look, pipeline, sources, each, has):
                return each
    return None


def _is_expected(look: Look, pipeline: Pipeline, sources: Sequence[Source], partition: Partition, has: _Has) -> bool:
    """Return whether a partition that was not made has something to make: it has landed, or a drop is waited for.

    A queue or stream holds back nothing by what has not landed, because its partitions close in order.
    """
    if is_outside(pipeline, partition):
        return False
    if any(has(raw_dataset(source.name), partition) for source in sources):
        return True
    events = pipeline.event_sources
    is_before_events = bool(events) and all(
        is_empty_by_rule(look, each.name, partition) and not has(raw_dataset(each.name), partition) for each in events
    )
    return not is_before_events and any(source not in events for source in sources)


def _windows(
    look: Look, pipeline: Pipeline, step: Step, sources: Sequence[Source], partition: Partition
) -> Iterator[tuple[Sequence[Partition], _Has]]:
    """Yield the earlier partitions since the pipeline's start, the latest first, and what there is of them."""
    datasets = [step.name, *(raw_dataset(each.name) for each in {*sources, *pipeline.event_sources})]
    size, last = 1, partition.shift(-1)
    while last >= pipeline.first:
        window = list(between(max(pipeline.first, last.shift(1 - size)), last))
        yield window, _asked(look) if size == 1 else _listed(look, datasets, window)
        last = window[0].shift(-1)
        size = _FIRST_WINDOW if size == 1 else size * _GROWTH


def _asked(look: Look) -> _Has:
    return lambda dataset, partition: look.manifest(dataset, partition) is not None


def _listed(look: Look, datasets: Sequence[str], window: Sequence[Partition]) -> _Has:
    found = {dataset: look.lake.manifest_etags(dataset, window).keys() for dataset in datasets}
    return lambda dataset, partition: partition in found[dataset]

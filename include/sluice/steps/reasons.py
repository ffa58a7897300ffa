"""Why a step runs for a partition: it was never made, or its inputs or the code have changed, and which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import STATE
from sluice.lake.layout import Folder
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.steps.code_record import CodeRecord, changes
from sluice.steps.lacking import Awaited
from sluice.steps.planned import ABSENT, Planned
from sluice.steps.reach import dataset_of

NEVER_MADE = "never made"
REPEATS = "which of its ids other partitions have first has changed"
STATE_CHANGED = "the state before it has changed"
# What the run itself writes before the step reads it.
LANDS_FIRST, MADE_FIRST = "{input} lands first, if it is complete", "{input} is made first"
STATE_FIRST = "the state before it is made first"


@dataclass(frozen=True, order=True)
class Reason:
    """A reason, which is the same for many partitions if only their times differ.

    Attributes:
        text: The reason; ``{input}`` in it stands for a partition of a dataset.
        dataset: That dataset; empty if the text names none.
        earlier: How many partitions before the one that is made that partition is; negative if it is after it.
        certain: Whether the step runs for this reason alone. If not, it runs if what it reads changes before.
    """

    text: str
    dataset: str = ""
    earlier: int = 0
    certain: bool = True

    def describe(self, partitions: Sequence[Partition]) -> str:
        """Return the reason in words.

        Args:
            partitions: The partitions that are made.
        """
        first, *more = partitions
        if not more:
            return self.text.replace("{input}", f"{self.dataset}/{first.shift(-self.earlier).key}")
        where = f"{self.dataset}/{first.calendar.windows.column}=…"
        if self.earlier:
            where += f" ({abs(self.earlier)} {'earlier' if self.earlier > 0 else 'later'})"
        return self.text.replace("{input}", where)


def describe_reasons(reasons: Iterable[Reason], partitions: Sequence[Partition]) -> str:
    """Return reasons that some partitions share, in one line.

    Args:
        reasons: The reasons.
        partitions: The partitions that are made for these reasons.
    """
    return "; ".join(reason.describe(partitions) for reason in reasons)


def input_reasons(pipeline: Pipeline, planned: Planned, current: Manifest) -> Iterator[Reason]:
    """Yield which inputs have changed since a partition was made. One that was not declared then is left to the code.

    Args:
        pipeline: The pipeline that declares the step.
        planned: The partition of the step.
        current: Its manifest.
    """
    for read, n in planned.found:
        dataset = dataset_of(pipeline, read.dataset)
        key = f"{dataset}/{planned.partition.shift(-n).key}"
        before, now = current.inputs.get(key, planned.inputs[key]), planned.inputs[key]
        if before != now:
            text = "is there now" if before == ABSENT else "is absent now" if now == ABSENT else "has changed"
            yield Reason(f"{{input}} {text}", dataset, n)
    compared = {key: digest for key, digest in current.inputs.items() if key.startswith(f"{Folder.IDS}/")}
    if compared and planned.ids and compared != planned.ids:
        yield Reason(REPEATS)
    if _states(current.inputs) != _states(planned.inputs):
        yield Reason(STATE_CHANGED)


def _states(inputs: Mapping[str, str]) -> Mapping[str, str]:
    return {key: digest for key, digest in inputs.items() if key.startswith(f"{STATE}/")}


def code_reasons(look: Look, current: Manifest, fingerprint: str, now: CodeRecord) -> Iterator[Reason]:
    """Yield what of the code has changed since a partition was made.

    Args:
        look: A look at the pipeline's lake, which keeps records of code.
        current: The manifest of the partition.
        fingerprint: The fingerprint of the present code.
        now: The record of the present code.
    """
    if current.code == fingerprint:
        return
    before = look.stored(look.layout.code(current.code), CodeRecord).value
    found = ["all of it: what made the partition is not on record"] if before is None else [*changes(before, now)]
    yield from (Reason(f"code: {each}") for each in found)


def waiting_reasons(pipeline: Pipeline, partition: Partition, lacks: Iterable[Awaited]) -> Iterator[Reason]:
    """Yield what a partition of a step waits for.

    Args:
        pipeline: The pipeline that declares the step.
        partition: The partition.
        lacks: What is not complete.
    """
    for name, awaited in lacks:
        earlier = partition.since(awaited) if awaited <= partition else -awaited.since(partition)
        yield Reason("waits for {input}", dataset_of(pipeline, name), earlier)

"""What a listing says of the ids of a ``Conform`` step: the key file of each partition, and who repeats whom.

A key file is written once. The one with the highest number is the partition's own. A marker says that a partition
repeats ids of which another one has the first copies. It names the keys of both, so it counts for these alone, and
the digest of the ids. So one listing shows whether a partition was made from what the others have, and reads no keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.lake.layout import Folder
from sluice.lake.look import Look
from sluice.lake.partitions import Partition, between, neighbours
from sluice.steps.ids.keys import DIGEST_OF_NONE

_DIGEST = r"[0-9a-f]{16}"
_KEY_FILE = re.compile(rf"keys-(\d{{6,}})-({_DIGEST})\.parquet", re.ASCII)
_REPEATS = re.compile(rf"repeats-(.+)-({_DIGEST})-({_DIGEST})-({_DIGEST})")


@dataclass(frozen=True, order=True)
class KeyFile:
    """The key file of a partition.

    Attributes:
        number: How many key files the partition has had with this one; 0 if it has none.
        digest: The digest of its keys.
    """

    number: int = 0
    digest: str = DIGEST_OF_NONE


NO_KEY_FILE = KeyFile()


def window(partition: Partition, within: timedelta) -> list[Partition]:
    """Return the other partitions that may have an event within some time of one of a partition, in order.

    Args:
        partition: The partition.
        within: The time.
    """
    first, last = _ends(partition, partition, within)
    return [each for each in between(first, last) if each != partition]


def _ends(first: Partition, last: Partition, within: timedelta) -> tuple[Partition, Partition]:
    begin, end = first.start - within, last.end + within
    while first.start > begin:
        first = first.shift(-1)
    while last.end < end:
        last = last.shift(1)
    return first, last


def inputs_of(step: Conform, partition: Partition, own: str, first: Mapping[Partition, str]) -> dict[str, str]:
    """Return what of the ids counts as an input of a partition, as a manifest has it.

    Args:
        step: The step.
        partition: The partition.
        own: The digest of its keys.
        first: The digest of the ids of which another partition has the first copies, by that partition.
    """
    digests = {partition: own, **first}
    return {f"{Folder.IDS}/{step.name}/{each.key}": digests[each] for each in sorted(digests)}


class Index:
    """The ids of a step, as a look at the lake lists them.

    Args:
        look: The look.
        step: The step.
        within: How far apart copies of an id may be, so that one counts.
    """

    def __init__(self, look: Look, step: Conform, within: timedelta) -> None:
        self._look, self._step, self._within = look, step, within
        self._folder = look.layout.ids(step.name)

    def read(self, partitions: Iterable[Partition]) -> list[Partition]:
        """List what there is of partitions and of all that are compared with them; return all of these.

        Args:
            partitions: The partitions, in any order.
        """
        ends = (_ends(first, last, self._within) for first, last in neighbours(partitions))
        found = sorted({each for first, last in ends for each in between(first, last)})
        self._look.read_names(self._folder, found)
        return found

    def key_file(self, partition: Partition) -> KeyFile:
        """Return the key file of a partition.

        Args:
            partition: The partition.
        """
        found = map(_KEY_FILE.fullmatch, self._look.names(self._folder, partition))
        return max((KeyFile(int(each[1]), each[2]) for each in found if each), default=NO_KEY_FILE)

    def first_elsewhere(self, partition: Partition) -> dict[Partition, str]:
        """Return the partitions that have first copies of a partition's ids, each with the digest of these ids.

        Args:
            partition: The partition that repeats them.
        """
        return {first: digests[-1] for first, digests in self._markers(partition).items()}

    def inputs(self, partition: Partition) -> dict[str, str]:
        """Return what of the ids counts as an input of a partition now.

        Args:
            partition: The partition.
        """
        own = self.key_file(partition).digest
        return inputs_of(self._step, partition, own, self.first_elsewhere(partition))

    def repeating(self, partitions: Collection[Partition]) -> set[Partition]:
        """Return the partitions that repeat ids of some partitions, or did so before these had other keys.

        Args:
            partitions: The partitions that have, or had, the first copies.
        """
        labels = {each.label for each in partitions}
        return {
            each
            for each in self.read(partitions)
            for name in self._look.names(self._folder, each)
            if (marker := _REPEATS.fullmatch(name)) and marker[1] in labels
        }

    def in_use(self, partition: Partition) -> frozenset[str]:
        """Return the keys of the objects that count: the key file of a partition, and its markers.

        Args:
            partition: The partition.
        """
        layout, name, own = self._look.layout, self._step.name, self.key_file(partition)
        markers = self._markers(partition).items()
        return frozenset(
            {
                layout.key_file(name, partition, own.number, own.digest),
                *(layout.repeats(name, partition, first, digests) for first, digests in markers),
            }
        )

    def _markers(self, partition: Partition) -> dict[Partition, tuple[str, str, str]]:
        """Return the digests in the markers of a partition that count for the present keys, by the other partition."""
        found = [each for each in map(_REPEATS.fullmatch, self._look.names(self._folder, partition)) if each]
        others = {each.label: each for each in window(partition, self._within)} if found else {}
        own = self.key_file(partition).digest
        return {
            first: (each[2], each[3], each[4])
            for each in found
            if (first := others.get(each[1])) and (each[2], each[3]) == (self.key_file(first).digest, own)
        }


def index_of(look: Look, step: Conform | Step) -> Index | None:
    """Return the index of a step's ids; None if the step does not look for ids in other partitions.

    Args:
        look: A look at the pipeline's lake.
        step: The step.
    """
    if isinstance(step, Conform) and step.once_within is not None:
        return Index(look, step, step.once_within)
    return None


def repeating(
    look: Look, pipeline: Pipeline, step: Conform | Step, partitions: Collection[Partition]
) -> set[Partition]:
    """Return the partitions of a step that may change with the ids of some partitions, with these.

    Args:
        look: A look at the pipeline's lake.
        pipeline: The pipeline that declares the step.
        step: The step. It is a ``Conform``, or reads some, itself or through others.
        partitions: The partitions.
    """
    found, index = set(partitions), index_of(look, step)
    if index is not None:
        found |= index.repeating(partitions)
    earlier = {known.name: known for known in pipeline.steps}
    for read in step.reads:
        if read.dataset in earlier:
            found |= repeating(look, pipeline, earlier[read.dataset], partitions)
    return found

"""Compares the ids of partitions with those of all partitions within ``once_within``, before their manifests commit.

Each run writes the key files of its partitions first, and then lists those of the others. So of two runs at once, at
least one sees the keys of the other. It writes a marker for each partition that repeats ids of another one. The marker
is an input of that partition: whichever run has made it, it is made again.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from sluice.declaration.steps import Conform
from sluice.errors import UnreadableObject
from sluice.lake.look import Look
from sluice.lake.parquet import read_parquet
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.steps.content import content_digest
from sluice.steps.ids.index import Index, KeyFile, inputs_of, window
from sluice.steps.ids.keys import KEYS, NO_IDS, Ids, digest_of_ids, key_file_bytes, repeated

_AT_ONCE = 8
_SMALL = 2**18  # bytes of keys that are kept for the next partitions of the run; larger ones are read again
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """What the other partitions mean for one.

    Attributes:
        elsewhere: The ids of which another partition has the first copy.
        inputs: What of the ids counts as an input, as a manifest has it.
    """

    elsewhere: Ids
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Keys:
    """The keys of a partition, with their digest."""

    partition: Partition
    digest: str
    table: pa.Table


@dataclass(frozen=True)
class Repeats:
    """The ids of which one partition has the first copies, and another one the second."""

    first: Keys
    second: Keys
    ids: Ids

    @cached_property
    def digest(self) -> str:
        """The digest of the ids."""
        return digest_of_ids(self.ids)


class Comparing:
    """Compares partitions, for one run of a step.

    Args:
        lake: The pipeline's lake.
        step: The step.
        within: How far apart copies of an id may be, so that one counts.
        keys_from_raw: Makes the keys of a partition whose key file can't be read.
    """

    def __init__(
        self, lake: Lake, step: Conform, within: timedelta, keys_from_raw: Callable[[Partition], pa.Table]
    ) -> None:
        self._lake, self._step, self._within, self._keys_from_raw = lake, step, within, keys_from_raw
        self._kept: dict[str, Keys] = {}

    def compare(self, tables: Mapping[Partition, pa.Table], before: Mapping[Partition, KeyFile]) -> list[Compared]:
        """Write the keys of partitions, compare them, and leave a marker wherever one repeats ids of another.

        Args:
            tables: The keys of the partitions.
            before: The key file of each, as it was listed last.

        Returns:
            What the others mean for each of the partitions.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            written = pool.map(lambda each: self._write(each, tables[each], before[each]), tables)
            own = {keys.partition: keys for keys in written}
            index = Index(Look(self._lake), self._step, self._within)
            index.read(own)
            near = self._near(index, own)
            compared = pool.map(lambda other: self._with_other(index, own, other, near[other]), sorted(near))
            found = [each for some in compared for each in some]
            list(pool.map(lambda each: self._mark(index, each), found))
        return [self._of_one(each, keys, found) for each, keys in own.items()]

    def _write(self, partition: Partition, table: pa.Table, before: KeyFile, *, again: bool = False) -> Keys:
        """Write a key file, unless the partition has it."""
        digest = content_digest(table)
        if again or digest != before.digest:
            key = self._lake.layout.key_file(self._step.name, partition, before.number + 1, digest)
            self._lake.put(key, key_file_bytes(table), rows=table.num_rows)
        return Keys(partition, digest, table)

    def _near(self, index: Index, own: Mapping[Partition, Keys]) -> Mapping[Partition, list[Keys]]:
        """Return what to compare: each partition that has keys, with the run's own ones that are near.

        Two of the run's own are compared once.
        """
        near = defaultdict[Partition, list[Keys]](list)
        for each in own.values():
            if not each.table.num_rows:
                continue
            for other in window(each.partition, self._within):
                is_to_compare = other > each.partition if other in own else index.key_file(other).number > 0
                if is_to_compare:
                    near[other].append(each)
        return near

    def _with_other(
        self, index: Index, own: Mapping[Partition, Keys], other: Partition, near: Sequence[Keys]
    ) -> list[Repeats]:
        theirs = own.get(other) or self._read(other, index.key_file(other))
        ids = pa.chunked_array([chunk for each in near for chunk in each.table["event_id"].chunks], pa.string())
        if not pc.any(pc.is_in(ids, value_set=theirs.table["event_id"].combine_chunks())).as_py():
            return []  # nearly always, and quicker than pair by pair
        return [repeats for each in near for repeats in _repeats(each, theirs)]

    def _read(self, partition: Partition, file: KeyFile) -> Keys:
        key = self._lake.layout.key_file(self._step.name, partition, file.number, file.digest)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        try:
            body = self._lake.read(key) or b""
            table = read_parquet(self._lake.uri(key), body, "leave it: it is made again from raw", schema=KEYS)
        except UnreadableObject as error:
            _LOG.warning("%s", error)
            return self._write(partition, self._keys_from_raw(partition), file, again=True)
        keys = Keys(partition, file.digest, table)
        if table.nbytes <= _SMALL:
            self._kept[key] = keys
        return keys

    def _mark(self, index: Index, each: Repeats) -> None:
        """Leave a marker in the folder of the partition that repeats ids, unless it is there."""
        if index.first_elsewhere(each.second.partition).get(each.first.partition) != each.digest:
            digests = (each.first.digest, each.second.digest, each.digest)
            key = self._lake.layout.repeats(self._step.name, each.second.partition, each.first.partition, digests)
            self._lake.put(key, b"")

    def _of_one(self, partition: Partition, keys: Keys, found: Collection[Repeats]) -> Compared:
        of_one = [each for each in found if each.second.partition == partition]
        first = {each.first.partition: each.digest for each in of_one}
        inputs = inputs_of(self._step, partition, keys.digest, first)
        return Compared(pa.concat_arrays([NO_IDS, *(each.ids for each in of_one)]), inputs)


def _repeats(one: Keys, other: Keys) -> Iterator[Repeats]:
    earlier, later = (one, other) if one.partition < other.partition else (other, one)
    in_earlier, in_later = repeated(earlier.table, later.table)
    if len(in_earlier):
        yield Repeats(first=later, second=earlier, ids=in_earlier)
    if len(in_later):
        yield Repeats(first=earlier, second=later, ids=in_later)

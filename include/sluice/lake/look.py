"""A look at the lake: each object that changes is read once, however many readers ask for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from sluice.errors import UnreadableObject
from sluice.lake.bundles import FEW, copy, read_copies
from sluice.lake.layout import Layout
from sluice.lake.manifests import Manifest
from sluice.lake.objects import Stored
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake

Model = TypeVar("Model", bound=BaseModel)


class Reads(Protocol):
    """What a lake and a look at it have in common."""

    @property
    def layout(self) -> Layout:
        """The keys of the pipeline's objects."""

    def stored(self, key: str, kind: type[Model]) -> Stored[Model]:
        """Read an object that changes.

        Args:
            key: The key of the object.
            kind: The model that parses its JSON.
        """


class Look:
    """A lake as it was when its objects were first asked for.

    Args:
        lake: The lake.
        earlier: An earlier look, if there is one. What a listing shows to be as it was then is not read again.
    """

    def __init__(self, lake: Lake, earlier: Look | None = None) -> None:
        self.lake = lake
        self._earlier: Mapping[str, Stored[Any]] = {} if earlier is None else earlier._seen
        self._seen: dict[str, Stored[Any]] = {}
        self._copied: set[str] = set() if earlier is None else set(earlier._copied)  # keys that are in bundles
        self._manifests: dict[tuple[str, Partition], Manifest | None] = {}  # asked for often: a key takes time to make
        self._listed: dict[str, set[Partition]] = defaultdict(set)
        self._names: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    @property
    def layout(self) -> Layout:
        """The keys of the pipeline's objects."""
        return self.lake.layout

    def again(self) -> Look:
        """Return a new look, which does not read again the manifests that a listing shows to be as they were."""
        return Look(self.lake, self)

    def stored(self, key: str, kind: type[Model]) -> Stored[Model]:
        """Read an object, or return it as it was read before.

        Args:
            key: The key of the object.
            kind: The model that parses its JSON.

        Raises:
            UnreadableObject: the object is no such JSON.
        """
        if key not in self._seen:
            self._seen[key] = self.lake.stored(key, kind)
        return self._seen[key]

    def manifest(self, dataset: str, partition: Partition) -> Manifest | None:
        """Read a partition's manifest, or return it as it was read before; return None if there is none.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
        """
        if (dataset, partition) not in self._manifests:
            found = self.stored(self.layout.manifest(dataset, partition), Manifest).value
            self._manifests[dataset, partition] = found
        return self._manifests[dataset, partition]

    def manifests(self, dataset: str, partitions: Iterable[Partition] | None = None) -> list[Manifest]:
        """Read manifests of a dataset, in the order of the partitions.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partitions: The partitions; those without a manifest are left out. None: all of the dataset.

        Raises:
            UnreadableObject: one of them can't be read.
        """
        found = (self.manifest(dataset, each) for each in self.ready(dataset, partitions))
        return [manifest for manifest in found if manifest is not None]

    def ready(self, dataset: str, partitions: Iterable[Partition] | None = None) -> Sequence[Partition]:
        """Read manifests of a dataset as :meth:`read_manifests` does, and return the partitions that may have one.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partitions: The partitions, in any order; None for all of the dataset, in order.
        """
        if partitions is None:
            etags = self.lake.manifest_etags(dataset)
            self._read(dataset, sorted(etags), etags)
            return sorted(etags)
        asked = list(partitions)
        self.read_manifests((dataset, each) for each in asked)
        return asked

    def read_manifests(self, wanted: Iterable[tuple[str, Partition]]) -> None:
        """Read manifests that will be asked for, sixteen at a time. Of many, a listing shows which have a copy.

        Args:
            wanted: Their datasets and partitions, in any order, also more than once. Who asks for one that can't be
                read gets the error.
        """
        by_dataset: dict[str, dict[Partition, None]] = defaultdict(dict)
        for dataset, partition in wanted:
            if (dataset, partition) not in self._manifests:
                by_dataset[dataset][partition] = None
        for dataset, partitions in by_dataset.items():
            is_listed = len(partitions) > (1 if self._earlier else FEW)
            self._read(dataset, partitions, self.lake.manifest_etags(dataset, partitions) if is_listed else None)

    def _read(self, dataset: str, partitions: Collection[Partition], etags: Mapping[Partition, str] | None) -> None:
        """Read manifests of a dataset: those that are listed, or all if they are not."""
        if etags is not None:
            self._manifests |= {(dataset, each): None for each in partitions if each not in etags}
            partitions = self._not_known(dataset, {each: etags[each] for each in partitions if each in etags})

        def read(partition: Partition) -> None:
            with suppress(UnreadableObject):
                self.manifest(dataset, partition)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(read, partitions))

    def _not_known(self, dataset: str, etags: Mapping[Partition, str]) -> list[Partition]:
        """Take over the manifests that are as they were earlier, and those that have a copy; return the others."""
        left = dict(etags)
        for partition, etag in etags.items():
            earlier = self._earlier.get(self.layout.manifest(dataset, partition))
            if earlier is not None and earlier.etag is not None and earlier.etag.strip('"') == etag:
                self._know(dataset, partition, earlier)
                del left[partition]
        for partition, stored in read_copies(self.lake, dataset, left):
            self._copied.add(self.layout.manifest(dataset, partition))
            self._know(dataset, partition, stored)
        return [each for each in left if (dataset, each) not in self._manifests]

    def _know(self, dataset: str, partition: Partition, stored: Stored[Manifest]) -> None:
        self._seen[self.layout.manifest(dataset, partition)] = stored
        self._manifests[dataset, partition] = stored.value

    def copy_manifests(self) -> None:
        """Copy the manifests that this look, or an earlier one, has read or written into bundles, where they are many.

        The next look reads them by one call.
        """
        of_dataset: dict[str, dict[Partition, Stored[Manifest]]] = defaultdict(dict)
        for dataset, partition in self._manifests:
            key = self.layout.manifest(dataset, partition)
            if key in self._seen and key not in self._copied:
                of_dataset[dataset][partition] = self._seen[key]
                self._copied.add(key)
        for dataset, manifests in of_dataset.items():
            copy(self.lake, dataset, manifests)

    def update_manifest(
        self, dataset: str, partition: Partition, change: Callable[[Manifest | None], Manifest]
    ) -> Manifest:
        """Change a partition's manifest in the lake, as :meth:`sluice.lake.store.Lake.update_manifest` does.

        A new look :meth:`again` knows what was written. This one has the manifest as it was.

        Args:
            dataset: The dataset, such as ``conform``.
            partition: The partition.
            change: Returns the new manifest, which is another one in any case, for the current one.
        """
        key = self.layout.manifest(dataset, partition)
        is_absent = key not in self._seen and (dataset, partition) in self._manifests  # a listing says so
        seen = Stored[Manifest](None, None) if is_absent else self._seen.get(key)
        after, self._seen[key] = self.lake.updated_manifest(dataset, partition, change, seen)
        self._copied.discard(key)
        return after

    def names(self, folder: str, partition: Partition) -> Sequence[str]:
        """Return the names of the objects in the folder of a partition, in order, as they were listed first.

        Args:
            folder: The folder that has the folders of partitions.
            partition: The partition.
        """
        self.read_names(folder, [partition])
        return self._names[folder].get(partition.key, ())

    def read_names(self, folder: str, wanted: Iterable[Partition]) -> None:
        """List folders of partitions that will be asked for. Those of neighbours take one listing.

        Args:
            folder: The folder that has the folders of partitions.
            wanted: The partitions, in any order, also more than once.
        """
        new = set(wanted) - self._listed[folder]
        self._listed[folder] |= new
        if new:
            for key, _, _ in self.lake.between(folder, new):
                path, _, name = key.removeprefix(folder).rpartition("/")
                self._names[folder][path].append(name)

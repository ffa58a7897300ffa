"""A look at the lake: each object that changes is read once, however many readers ask for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from sluice.errors import UnreadableObject
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
        earlier: What an earlier look has read, by key.
    """

    def __init__(self, lake: Lake, earlier: Mapping[str, Stored[Any]] = MappingProxyType({})) -> None:
        self.lake = lake
        self._earlier = earlier
        self._seen: dict[str, Stored[Any]] = {}
        self._manifests: dict[tuple[str, Partition], Manifest | None] = {}  # asked for often: a key takes time to make
        self._listed: dict[str, set[Partition]] = defaultdict(set)
        self._names: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    @property
    def layout(self) -> Layout:
        """The keys of the pipeline's objects."""
        return self.lake.layout

    def again(self) -> Look:
        """Return a new look, which does not read again the manifests that a listing shows to be as they were."""
        return Look(self.lake, self._seen)

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

    def read_manifests(self, wanted: Iterable[tuple[str, Partition]]) -> None:
        """Read manifests that will be asked for, sixteen at a time.

        Args:
            wanted: Their datasets and partitions, in any order, also more than once. Who asks for one that can't be
                read gets the error.
        """
        by_dataset: dict[str, dict[Partition, None]] = defaultdict(dict)
        for dataset, partition in wanted:
            if (dataset, partition) not in self._manifests:
                by_dataset[dataset][partition] = None

        def read(dataset: str, partition: Partition) -> None:
            with suppress(UnreadableObject):
                self.manifest(dataset, partition)

        with ThreadPoolExecutor(16) as pool:
            for dataset, partitions in by_dataset.items():
                if self._earlier and len(partitions) > 1:
                    likely = self._listed_manifests(dataset, partitions)
                else:
                    likely = set(self.lake.likely(dataset, partitions))
                self._manifests |= {(dataset, each): None for each in partitions if each not in likely}
                list(pool.map(partial(read, dataset), likely))

    def _listed_manifests(self, dataset: str, partitions: Iterable[Partition]) -> set[Partition]:
        """Return the partitions that have manifests. Those that are as they were earlier count as read."""
        etags = self.lake.manifest_etags(dataset, partitions)
        for partition in etags.keys() & set(partitions):
            key = self.layout.manifest(dataset, partition)
            earlier = self._earlier.get(key)
            if earlier is not None and earlier.etag is not None and earlier.etag.strip('"') == etags[partition]:
                self._seen[key] = earlier
        return set(etags)

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
        after, self._seen[key] = self.lake.updated_manifest(dataset, partition, change, self._seen.get(key))
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

"""The lake: the objects of one pipeline, and the manifests that commit its partitions. The layout makes the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from sluice.errors import DeclarationError
from sluice.lake.division import Division, record_division, require_division
from sluice.lake.layout import MANIFEST, PARTS, Layout
from sluice.lake.manifests import Manifest
from sluice.lake.objects import Bucket, Stored
from sluice.lake.partitions import Calendar, Partition, neighbours, of_folder

_AFTER_FOLDER = chr(ord("/") + 1)  # after all keys in a folder
_OBJECTS, _SPARE = 4, 100  # of a partition, whose manifest and revisions are listed, and of all together
_DAYS = Calendar("day")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Lake(Bucket):
    """One pipeline's part of a bucket. :attr:`layout` makes the keys.

    Attributes:
        pipeline: The name of the pipeline, which is the first part of all keys.
        now: The clock of manifests (UTC). No name and no content depends on it.
        calendar: How it is divided into partitions: the calendar of the pipeline.
    """

    pipeline: str
    now: Callable[[], datetime] = _utc_now
    calendar: Calendar = _DAYS

    @cached_property
    def layout(self) -> Layout:
        """The keys of the pipeline's objects."""
        return Layout(self.pipeline)

    @cached_property
    def division(self) -> Division | None:
        """The record of how the lake is divided; None if there was none at the first look."""
        return self.stored(self.layout.division(), Division).value

    def begin(self, dataset: str, partition: Partition, before: Manifest | None) -> None:
        """Put on record how the lake is divided, before a new manifest is written. It is looked up once.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition whose manifest is to be written.
            before: The manifest that it has. One of the same zone proves that the lake is divided so.

        Raises:
            DeclarationError: the lake, or the partition, is divided otherwise than by :attr:`calendar`.
        """
        is_known = before is not None and before.zone == self.calendar.zone
        if partition.calendar != (self.calendar if is_known else self._divided_by):
            raise DeclarationError(
                f"{self.uri(self.layout.partition(dataset, partition))} is one of {partition.calendar}, but the lake "
                f"is divided by {self.calendar}; ask for partitions of the pipeline's calendar"
            )

    @cached_property
    def _divided_by(self) -> Calendar:
        """How the lake is divided, which is on record from now on."""
        require_division(self)
        if self.division is None:
            record_division(self)
        return self.calendar

    def manifest(self, dataset: str, partition: Partition) -> Manifest | None:
        """Read a partition's manifest; return None if it has none.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
        """
        return self.stored(self.layout.manifest(dataset, partition), Manifest).value

    def update_manifest(
        self,
        dataset: str,
        partition: Partition,
        change: Callable[[Manifest | None], Manifest],
        seen: Stored[Manifest] | None = None,
    ) -> Manifest:
        """Change a partition's manifest, as :meth:`update` does.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
            change: Returns the new manifest for the current one, which is None if there is none.
            seen: As for :meth:`update`.

        Raises:
            ConflictingWrite: as for :meth:`update`.
            DeclarationError: as for :meth:`begin`.
        """
        after, _ = self.updated_manifest(dataset, partition, change, seen)
        return after

    def updated_manifest(
        self,
        dataset: str,
        partition: Partition,
        change: Callable[[Manifest | None], Manifest],
        seen: Stored[Manifest] | None = None,
    ) -> tuple[Manifest, Stored[Manifest]]:
        """Change a manifest as :meth:`update_manifest` does; return it, and the object as it is then.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partition: The partition.
            change: As for :meth:`update_manifest`.
            seen: As for :meth:`update`.

        Raises:
            ConflictingWrite: as for :meth:`update`.
            DeclarationError: as for :meth:`begin`.
        """

        def in_zone(before: Manifest | None) -> Manifest:
            self.begin(dataset, partition, before)
            after, zone = change(before), self.calendar.zone
            return after if after.zone == zone else after.model_copy(update={"zone": zone})

        return self.updated(self.layout.manifest(dataset, partition), Manifest, in_zone, seen)

    def partitions(self, dataset: str) -> list[Partition]:
        """List the partitions of a dataset that have a manifest, in order."""
        return sorted(self.manifest_etags(dataset))

    def partitions_from(self, dataset: str, first: Partition) -> set[Partition]:
        """List the partitions of a dataset that have a manifest, from one on. What is before it costs nothing.

        Args:
            dataset: The dataset, such as ``conform``.
            first: The first partition to list.
        """
        prefix = self.layout.dataset(dataset)
        return set(self._etags(prefix, self.objects(prefix, prefix + first.key, without=PARTS)))

    def manifest_etags(self, dataset: str, partitions: Iterable[Partition] | None = None) -> dict[Partition, str]:
        """List the ETags of manifests. An ETag changes when its manifest does.

        A manifest in the folder of no partition is passed over.

        Args:
            dataset: The dataset, such as ``raw/events``.
            partitions: The only partitions to list; neighbours are listed together. None for all of the dataset.
        """
        prefix = self.layout.dataset(dataset)
        return self._etags(prefix, self.between(prefix, partitions, without=PARTS))

    def _etags(self, prefix: str, objects: Iterable[tuple[str, int, str]]) -> dict[Partition, str]:
        """Return the ETags of the manifests among objects of a dataset."""
        found = {
            of_folder(key.removeprefix(prefix).removesuffix("/" + MANIFEST), self.calendar): etag
            for key, _, etag in objects
            if key.endswith("/" + MANIFEST)
        }
        return {each: etag for each, etag in found.items() if each is not None}

    def between(
        self, prefix: str, partitions: Iterable[Partition] | None, without: str = ""
    ) -> Iterator[tuple[str, int, str]]:
        """Yield the objects in folders of partitions, as :meth:`objects` does. Each run of neighbours is listed once.

        Args:
            prefix: The folder that has the partitions' folders.
            partitions: The partitions; None for all objects under the prefix.
            without: As for :meth:`objects`.
        """
        if partitions is None:
            yield from self.objects(prefix, without=without)
            return
        for first, last in neighbours(partitions):
            if first == last:
                yield from self.objects(f"{prefix}{first.key}/", without=without)
            else:
                about = _SPARE + _OBJECTS * round((last.end - first.start) / (first.end - first.start))
                yield from self.objects(prefix, prefix + first.key, prefix + last.key + _AFTER_FOLDER, without, about)

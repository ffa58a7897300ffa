"""The raw partitions of a source that are open, or whose last change is not announced yet.

So closing and announcing cost what is new, however long the history is. A writer puts a partition on the list before it
changes its manifest. It leaves the list once the change that was expected is announced. So the list may have too much
after a crash, and never too little. If it is gone, it is made again from all manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.objects import Stored
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake


class Pending(BaseModel):
    """The list of one source.

    Attributes:
        schema_version: The version of this JSON.
        revisions: The revision that a partition has to reach and that has to be announced, by partition key.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    revisions: Mapping[str, int] = Field(default_factory=dict)

    def partitions(self, calendar: Calendar) -> list[Partition]:
        """Return the partitions, in order."""
        return sorted(Partition.parse(key, calendar) for key in self.revisions)

    def changed(self, calendar: Calendar) -> set[Partition]:
        """Return those that have been closed before."""
        return {Partition.parse(key, calendar) for key, revision in self.revisions.items() if revision > 1}


def next_revision(before: Manifest | None) -> int:
    """Return the revision that has to be announced after a manifest changes: an open one closes as the first.

    Args:
        before: The manifest before the change; None if there is none.
    """
    return 1 if before is None or before.state == "open" else before.revision + 1


def read_pending(lake: Lake, source: str) -> Pending:
    """Read the list of a source; make it if there is none.

    Args:
        lake: The lake of the pipeline.
        source: The name of the source.
    """
    pending, _ = see_pending(lake, source)
    return pending


def see_pending(lake: Lake, source: str) -> tuple[Pending, Stored[Pending]]:
    """Read the list of a source as :func:`read_pending` does, also as :func:`settle` may have seen it.

    Args:
        lake: The lake of the pipeline.
        source: The name of the source.
    """
    return _update(lake, source, lambda before: before)


def expect(lake: Lake, source: str, revisions: Mapping[Partition, int]) -> None:
    """Put partitions on the list, before their manifests change.

    Args:
        lake: The lake of the pipeline.
        source: The name of the source.
        revisions: The revision of each after the change, as :func:`next_revision` returns it.
    """

    def with_more(before: Pending) -> Pending:
        more = {each.key: max(revision, before.revisions.get(each.key, 0)) for each, revision in revisions.items()}
        return Pending(revisions={**before.revisions, **more})

    _update(lake, source, with_more)


def settle(lake: Lake, source: str, announced: Collection[Manifest], seen: Stored[Pending]) -> None:
    """Take partitions off the list, unless another change of them is expected since.

    Args:
        lake: The lake of the pipeline.
        source: The name of the source.
        announced: The manifests whose content is announced.
        seen: The list as it was read.
    """
    reached = {each.partition: each.revision for each in announced}

    def without_them(before: Pending) -> Pending:
        left = {key: revision for key, revision in before.revisions.items() if revision > reached.get(key, 0)}
        return Pending(revisions=left)

    _update(lake, source, without_them, seen)


def _update(
    lake: Lake, source: str, change: Callable[[Pending], Pending], seen: Stored[Pending] | None = None
) -> tuple[Pending, Stored[Pending]]:
    def changed(before: Pending | None) -> Pending:
        return change(_of_all(lake, source) if before is None else before)

    return lake.updated(lake.layout.pending(source), Pending, changed, seen)


def _of_all(lake: Lake, source: str) -> Pending:
    """Return a list of all partitions: those that are announced leave it at the next look."""
    manifests = Look(lake).manifests(raw_dataset(source))
    return Pending(revisions={each.partition: max(1, each.revision) for each in manifests})

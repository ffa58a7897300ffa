"""What may go: a pure function of what exists, of what is needed, and of the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sluice.errors import SluiceError


class Kind(StrEnum):
    """The kinds of what a pipeline leaves behind, in the order in which they go: nothing that remains names another."""

    TUNING_JOB = "tuning job"
    TRAINING_JOB = "training job"
    TRANSFORM_JOB = "transform job"
    CONFIG = "endpoint configuration"
    MODEL = "model"
    ARTEFACT = "artefact"
    BATCHES = "batches"
    SCORES = "scores"
    SNAPSHOT = "snapshot"
    REVISION = "superseded revision"
    STATE = "superseded state"
    REJECTED = "superseded quarantine"
    EXPIRED = "old quarantine"
    PART = "orphaned part"
    MARKER = "superseded marker"
    IDS = "superseded ids"

    @property
    def is_job(self) -> bool:
        """Whether it is a job in progress, which is stopped. Everything else is deleted."""
        return self in (Kind.TUNING_JOB, Kind.TRAINING_JOB, Kind.TRANSFORM_JOB)

    @property
    def is_of_partition(self) -> bool:
        """Whether it is what a partition of a dataset holds. Then a thing is all of that kind in one partition."""
        return self in _WHY


_WHY: Mapping[Kind, str] = {
    Kind.REVISION: "the manifest names a newer one, and no snapshot names it",
    Kind.STATE: "the manifest names a newer one, or none",
    Kind.REJECTED: "the manifest names another or none",
    Kind.EXPIRED: "older than the days for which quarantine is kept",
    Kind.PART: "the manifest does not name it",
    Kind.MARKER: "the content that was announced is not the present one",
    Kind.IDS: "the partition, or the one that it repeats, has other ids now",
}
# What may go although it is named, by a policy of its own: it is taken out of the manifest before.
_GOES_NAMED: Mapping[Kind, Kind] = {Kind.REJECTED: Kind.EXPIRED}
# No drain, step or snapshot takes as long from what it has read or written to what it records.
_UNDER_WAY = timedelta(days=1)


Ref = tuple[Kind, str]  # a kind and a name


@dataclass(frozen=True)
class Keep:
    """How much stays, whatever happened since.

    Args:
        deployments: How many of the newest deployments of an endpoint can be restored. Those of one configuration count
            once. The newest one always can.
        days: For how many days everything stays. What a partition holds stays for a day at least.
        quarantine_days: For how many days the events stay that a partition has quarantined; None: for good.

    Raises:
        SluiceError: a member is negative.
    """

    deployments: int = 3
    days: int = 30
    quarantine_days: int | None = None

    def __post_init__(self) -> None:
        if min(self.deployments, self.days, self.quarantine_days or 0) < 0:
            raise SluiceError(
                f"keep={self.deployments}, days={self.days} and quarantine_days={self.quarantine_days} must be 0 or "
                f"more"
            )


@dataclass(frozen=True)
class Thing:
    """Something that the pipeline has made.

    ``changed`` is the creation at SageMaker, or the newest change of its objects in S3 (UTC). ``objects`` and ``size``,
    in bytes, are those of a folder, or of what a partition holds; 0 if it is neither.
    """

    kind: Kind
    name: str
    changed: datetime
    objects: int = 0
    size: int = 0

    @property
    def ref(self) -> Ref:
        """The kind and the name."""
        return self.kind, self.name

    @property
    def count(self) -> int:
        """How many of its kind it stands for."""
        return self.objects if self.kind.is_of_partition else 1


@dataclass(frozen=True)
class Leftover:
    """A thing that may go, and why."""

    thing: Thing
    reason: str


@dataclass(frozen=True)
class Needed:
    """What must stay.

    ``refs`` are live, or named by what is kept or runs. ``deployments`` are the numbers of the newest deployments that
    name a thing, kept or not. ``judged`` is the time of the newest verdict; None if there is none.
    """

    refs: frozenset[Ref]
    deployments: Mapping[Ref, int]
    judged: datetime | None


@dataclass(frozen=True)
class Object:
    """An object of a partition. ``kind`` is that which it has once nothing names it; ``changed`` is in UTC."""

    kind: Kind
    key: str
    changed: datetime
    size: int


@dataclass(frozen=True)
class Contents:
    """What one partition of a dataset holds.

    Attributes:
        name: The dataset and the key of the partition.
        committed: When the manifest was written (UTC); None if there is none.
        objects: What a manifest could name, the markers of completion events, and what there is of its ids.
        named: The keys that the manifest or a snapshot names, that of the marker of the present content, and those of
            the present ids.
    """

    name: str
    committed: datetime | None
    objects: tuple[Object, ...]
    named: frozenset[str]


def unnamed(contents: Contents, keep: Keep, now: datetime) -> Mapping[Kind, list[Object]]:
    """Return the objects of a partition that may go, by their kind.

    An object counts as unnamed since the manifest was last written: until then a reader may have read the one before.

    Args:
        contents: What the partition holds. Without a manifest nothing may go.
        keep: The policy.
        now: The time (UTC).
    """
    found: dict[Kind, list[Object]] = defaultdict(list)
    if contents.committed is None:
        return found
    announced = any(each.kind is Kind.MARKER and each.key in contents.named for each in contents.objects)
    days: dict[Kind, int | None] = {**dict.fromkeys(Kind, keep.days), Kind.EXPIRED: keep.quarantine_days}
    if not announced:
        days[Kind.MARKER] = None  # without any marker the next event would not say that there was one before
    for each in contents.objects:
        kind = _GOES_NAMED.get(each.kind) if each.key in contents.named else each.kind
        least = days[kind] if kind else None
        unchanged = now - max(each.changed, contents.committed)
        if kind and least is not None and unchanged >= max(timedelta(days=least), _UNDER_WAY):
            found[kind].append(each)
    return found


def leftovers_of(contents: Contents, keep: Keep, now: datetime) -> list[Leftover]:
    """Return what may go of a partition, one for each kind.

    Args:
        contents: What the partition holds.
        keep: The policy.
        now: The time (UTC).
    """
    return [
        Leftover(thing_of(contents.name, kind, objects), _WHY[kind])
        for kind, objects in unnamed(contents, keep, now).items()
    ]


def thing_of(name: str, kind: Kind, objects: Sequence[Object]) -> Thing:
    """Return objects of one kind and partition as one thing.

    Args:
        name: The dataset and the key of the partition.
        kind: Their kind.
        objects: The objects, at least one.
    """
    return Thing(kind, name, max(each.changed for each in objects), len(objects), sum(each.size for each in objects))


def leftovers(
    things: Iterable[Thing], needed: Needed, keep: Keep, now: datetime, longest_job: timedelta
) -> list[Leftover]:
    """Return what may go, in the order of the kinds, oldest first.

    The newest snapshot stays. What is newer than the newest verdict waits for the next one: a training may be under
    way that uses it.

    Args:
        things: What exists; of jobs those in progress.
        needed: What must stay.
        keep: The policy.
        now: The time (UTC).
        longest_job: A job that is in progress for longer is an orphan.
    """
    ordered = sorted(things, key=lambda each: each.changed)
    newest = [thing.ref for thing in ordered if thing.kind is Kind.SNAPSHOT][-1:]
    found = [each for each in _superseded(ordered, needed, keep, now, longest_job) if each.thing.ref not in newest]
    return in_order(found)


def in_order(found: Iterable[Leftover]) -> list[Leftover]:
    """Return what may go in the order of the kinds; what is of one kind stays in its order."""
    order = list(Kind)
    return sorted(found, key=lambda each: order.index(each.thing.kind))


def _superseded(
    things: Iterable[Thing], needed: Needed, keep: Keep, now: datetime, longest_job: timedelta
) -> Iterator[Leftover]:
    for thing in things:
        age = now - thing.changed
        if thing.kind.is_job:
            if age > longest_job:
                yield Leftover(thing, f"in progress for more than {longest_job / timedelta(hours=1):g} h")
        elif (
            thing.ref not in needed.refs
            and age >= timedelta(days=keep.days)
            and needed.judged is not None
            and thing.changed < needed.judged
        ):
            yield Leftover(thing, _reason(needed.deployments.get(thing.ref), keep))


def _reason(deployment: int | None, keep: Keep) -> str:
    if deployment is None:
        return "nothing that is kept names it"
    return f"of deployment {deployment}, which is not among the newest {keep.deployments}"

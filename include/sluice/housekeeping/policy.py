"""What may go: a pure function of what exists, of what is needed, and of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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

    @property
    def is_job(self) -> bool:
        """Whether it is a job in progress, which is stopped. Everything else is deleted."""
        return self in (Kind.TUNING_JOB, Kind.TRAINING_JOB, Kind.TRANSFORM_JOB)


Ref = tuple[Kind, str]  # a kind and a name


@dataclass(frozen=True)
class Keep:
    """How much stays, whatever happened since.

    Args:
        deployments: How many of the newest deployments of an endpoint can be restored. Those of one configuration count
            once. The newest one always can.
        days: For how many days everything stays.

    Raises:
        SluiceError: a member is negative.
    """

    deployments: int = 3
    days: int = 30

    def __post_init__(self) -> None:
        if self.deployments < 0 or self.days < 0:
            raise SluiceError(f"keep={self.deployments} and days={self.days} must be 0 or more")


@dataclass(frozen=True)
class Thing:
    """Something that the pipeline has made.

    ``changed`` is the creation at SageMaker, or the newest change below a folder in S3 (UTC). ``objects`` and ``size``,
    in bytes, are those of the folder; 0 if it is none.
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
    order, ordered = list(Kind), sorted(things, key=lambda each: each.changed)
    newest = [thing.ref for thing in ordered if thing.kind is Kind.SNAPSHOT][-1:]
    found = [each for each in _superseded(ordered, needed, keep, now, longest_job) if each.thing.ref not in newest]
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

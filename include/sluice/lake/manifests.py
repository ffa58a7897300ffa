"""The manifest: the JSON object that describes what a partition holds. Writing it is the commit (P5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from sluice.lake.layout import MANIFEST
from sluice.lake.partitions import Calendar, Partition


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_of_content(dataset: str, partition: str, keys: Iterable[str], inline: Iterable[str] = ()) -> str:
    """Return the digest that a manifest with this content has.

    Args:
        dataset: The dataset.
        partition: The key of the partition.
        keys: The keys of the objects that hold the rows, in any order.
        inline: The records that are stored in the manifest, in any order.
    """
    content = [dataset, partition, sorted(keys)]
    stored = sorted(inline)
    return digest_of([*content, stored] if stored else content)


@dataclass(frozen=True)
class Size:
    """How much something holds.

    Attributes:
        bytes: Stored bytes.
        rows: Rows; 0 where they are not counted.
    """

    bytes: int = 0
    rows: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.rows + other.rows)


class File(BaseModel):
    """One immutable object.

    Attributes:
        key: The object's key.
        size: The size in bytes.
        etag: The ETag without its quotes.
        rows: The number of rows; 0 for a copied drop, whose rows are not counted.
        origin: The key of which a drop is the copy; None for another object.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    size: int
    etag: str
    rows: int
    origin: str | None = None


class Run(BaseModel):
    """How a step has made a partition: where, and what it needed. No output depends on it.

    Attributes:
        runtime: The runtime with its size.
        reason: Why this runtime was chosen.
        bytes: The bytes of the objects that were read for the partition.
        bytes_at_once: The most bytes of inputs that the run had to hold at one time, for all of its partitions.
        seconds: How long it took to make the output, beside other partitions of the same run.
        peak_mb: The most memory of the process until then, in MiB; of a run elsewhere with the processes that it has
            started, each page once.
        dollars: The list price of these seconds, in US dollars.
    """

    model_config = ConfigDict(frozen=True)

    runtime: str
    reason: str
    bytes: int
    bytes_at_once: int
    seconds: float
    peak_mb: int
    dollars: float


class Manifest(BaseModel):
    """What one partition of one dataset holds.

    Attributes:
        dataset: ``raw/SOURCE``, or the name of a step.
        partition: The key of the partition.
        zone: The IANA name of the zone at whose midnights it starts.
        revision: How often the content has changed since the partition was first closed; 0 while it is open.
        files: The objects that hold the rows.
        inline: Records of a raw partition that are too few for an object, each as JSON: one write makes them durable
            and records them.
        quarantined: The objects that hold the rejected rows.
        carried: The object that holds the state of a step after this partition; None for a step without one.
        inputs: The digest of each input that a step read, by ``dataset/partition key``; of the state before, by
            ``state/dataset/partition key``. Scores have the model that gave them as well, by ``models/<training job>``.
        code: The fingerprint of the step that wrote the partition; empty for a raw partition.
        rows_in: How many rows were read or received.
        rows_out: How many rows ``files`` and ``inline`` hold.
        duplicates: How many rows were dropped because they repeat an event.
        rejected: How many rows were rejected, by reason.
        control: How many messages of a service were passed over, because they hold no event.
        run: What the run that made the partition has needed; None for a partition that no step has made.
        first_event_time: The earliest event time in the bodies (UTC); None while there is none.
        last_event_time: The latest event time in the bodies (UTC); None while there is none.
        written_at: When the manifest was written (UTC).
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    dataset: str
    partition: str
    zone: str = "UTC"
    state: Literal["open", "closed"]
    revision: int = 0
    files: tuple[File, ...] = ()
    inline: tuple[str, ...] = ()
    quarantined: tuple[File, ...] = ()
    # Without a state it is left out, so that the manifests of other steps are what they were before there was one.
    carried: File | None = Field(default=None, exclude_if=lambda carried: carried is None)
    inputs: Mapping[str, str] = Field(default_factory=dict)
    code: str = ""
    rows_in: int = 0
    rows_out: int = 0
    duplicates: int = 0
    rejected: Mapping[str, int] = Field(default_factory=dict)
    control: int = 0
    run: Run | None = None
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None
    written_at: datetime

    @model_validator(mode="after")
    def _is_at_its_place(self, info: ValidationInfo) -> Manifest:
        if info.context is not None and not info.context.endswith(f"/{self.dataset}/{self.partition}/{MANIFEST}"):
            raise ValueError(f"it is that of {self.dataset}, {self.partition}")
        return self

    @property
    def digest(self) -> str:
        """The digest of the rows alone: a reader of this partition runs again only when it changes.

        It is made of the keys, each of which contains a digest of its object. ETags can't replace it: those of
        encrypted objects differ from one put to the next.
        """
        return digest_of_content(self.dataset, self.partition, [file.key for file in self.files], self.inline)

    @property
    def carried_digest(self) -> str | None:
        """The digest of the state after this partition, for the partition after it; None if there is none."""
        return None if self.carried is None else digest_of_content(self.dataset, self.partition, [self.carried.key])

    @property
    def size(self) -> Size:
        """What ``files`` and ``inline`` hold."""
        stored = sum(file.size for file in self.files) + sum(len(record.encode()) for record in self.inline)
        return Size(stored, self.rows_out)

    def time_partition(self, calendar: Calendar) -> Partition:
        """Return the partition, parsed from its key by the calendar of its lake."""
        return Partition.parse(self.partition, calendar)


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest moment, ignoring None; None if there is none."""
    return min((moment for moment in moments if moment is not None), default=None)


def latest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the latest moment, ignoring None; None if there is none."""
    return max((moment for moment in moments if moment is not None), default=None)

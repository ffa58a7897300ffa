"""The manifest: the JSON object that says what a partition holds. Writing it is the commit (P5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.partitions import Partition


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class File(BaseModel):
    """One immutable object: ``size`` in bytes, ``etag`` as S3 gives it, without quotes."""

    model_config = ConfigDict(frozen=True)

    key: str
    size: int
    etag: str
    rows: int


class Manifest(BaseModel):
    """What one partition of one dataset holds.

    ``revision`` counts how often the content changed since the partition was first closed; it is 0 while open.
    ``inputs`` maps ``dataset/partition key`` to the digest that was read; ``code`` is the fingerprint of the step that
    read it. ``rejected`` counts rows by reason; ``quarantined`` holds these rows. ``inline`` are records of an open raw
    partition that are too few for an object, each as JSON: one write makes them durable and records them.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    dataset: str
    partition: str
    state: Literal["open", "closed"]
    revision: int = 0
    files: tuple[File, ...] = ()
    inline: tuple[str, ...] = ()
    quarantined: tuple[File, ...] = ()
    inputs: Mapping[str, str] = Field(default_factory=dict)
    code: str = ""
    rows_in: int = 0
    rows_out: int = 0
    duplicates: int = 0
    rejected: Mapping[str, int] = Field(default_factory=dict)
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None
    written_at: datetime

    @property
    def digest(self) -> str:
        """Of the content alone: what reads this partition needs to run again only when it changes.

        It is made of the keys, each of which contains a digest of its object. ETags won't do: those of encrypted
        objects differ from one put to the next.
        """
        return digest_of([self.dataset, self.partition, sorted(file.key for file in self.files)])

    @property
    def time_partition(self) -> Partition:
        return Partition.parse(self.partition)


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)

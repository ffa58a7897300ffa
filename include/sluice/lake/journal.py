"""Journals: folders of numbered records (``000001.json``, …) that are appended and never rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

from sluice.errors import ConflictingWrite, OutdatedObject
from sluice.lake.parsing import parsed
from sluice.lake.store import Lake

Record = TypeVar("Record", bound=BaseModel)

_MOST_RACES = 20
_NUMBERED = re.compile(r"(\d{6,})\.json", re.ASCII)


def entries(lake: Lake, folder: str, kind: type[Record]) -> dict[int, Record]:
    """Return the records of a journal by their numbers, oldest first. Those of an older schema are left out.

    Args:
        lake: The lake of the journal.
        folder: The folder of the journal.
        kind: The model that parses a record. Its ``schema_version`` has a default, the current one.

    Raises:
        UnreadableObject: an object of the folder is no such record.
    """
    return dict(reversed([*newest_first(lake, folder, kind)]))


def newest_first(lake: Lake, folder: str, kind: type[Record]) -> Iterator[tuple[int, Record]]:
    """Yield the numbers and records of a journal, the newest first, and read no more of them than are taken (P15).

    Args:
        lake: The lake of the journal.
        folder: The folder of the journal.
        kind: As for :func:`entries`.

    Raises:
        UnreadableObject: an object of the folder is no such record.
    """
    for number in sorted(_numbers(lake, folder), reverse=True):
        record = entry(lake, folder, number, kind)
        if record is not None:
            yield number, record


def append(lake: Lake, folder: str, record: Record) -> int:
    """Append a record. If it equals the newest one, nothing is written.

    Args:
        lake: The lake of the journal.
        folder: The folder of the journal.
        record: The record.

    Returns:
        The number of the record, from 1.

    Raises:
        ConflictingWrite: other writers took the next number twenty times in a row.
    """
    for _ in range(_MOST_RACES):
        last = max(_numbers(lake, folder), default=0)
        if last and entry(lake, folder, last, type(record)) == record:
            return last
        if lake.create(entry_key(folder, last + 1), record.model_dump_json().encode()):
            return last + 1
    raise ConflictingWrite(f"{lake.uri(folder)} keeps being written by other runs; clear this task")


def newest(lake: Lake, folder: str, kind: type[Record]) -> Record | None:
    """Return the newest record of a journal; None if there is none, or if it has an older schema.

    Args:
        lake: The lake of the journal.
        folder: The folder of the journal.
        kind: As for :func:`entries`.

    Raises:
        UnreadableObject: the newest object of the folder is no such record.
    """
    last = max(_numbers(lake, folder), default=0)
    return entry(lake, folder, last, kind) if last else None


def _numbers(lake: Lake, folder: str) -> list[int]:
    """Return the numbers of the records. What has another name is none of them."""
    found = (_NUMBERED.fullmatch(key.removeprefix(folder)) for key in lake.documents(folder))
    return [int(match[1]) for match in found if match is not None]


def entry_key(folder: str, number: int) -> str:
    """Return the key of a record.

    Args:
        folder: The folder of the journal.
        number: The number of the record, from 1.
    """
    return f"{folder}{number:06d}.json"


def entry(lake: Lake, folder: str, number: int, kind: type[Record]) -> Record | None:
    """Return one record of a journal; None if it has an older schema.

    Args:
        lake: The lake of the journal.
        folder: The folder of the journal.
        number: The number of the record, from 1.
        kind: As for :func:`entries`.

    Raises:
        MissingResource: there is no such object.
        UnreadableObject: the object is no such record.
    """
    key = entry_key(folder, number)
    try:
        return parsed(lake.uri(key), lake.get(key), kind)
    except OutdatedObject:
        return None

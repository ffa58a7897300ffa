"""Saves the records of the emulator's streams, and restores them at its start."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import takewhile

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import kinesis

from localcloud.emulator.durability.state_file import StateFile
from localcloud.emulator.shards import Shard

_NOTHING = ("", "")
_MILLISECONDS_DIGITS = 20


def without_content() -> dict[str, AccountRegionScopedDict]:
    """Return the emulator's document of all streams without records, and without iterators, which live five minutes."""
    streams = AccountRegionScopedDict()
    streams._data = {
        key: {
            **stream,
            "shards": {name: {**shard, "records": []} for name, shard in stream["shards"].items()},
        }
        for key, stream in kinesis._streams._data.items()
    }
    return {"streams": streams, "consumers": kinesis._consumers, "resource_policies": kinesis._resource_policies}


class StreamContent:
    """The part of the streams that is in the file. Save within a transaction, and confirm after its commit."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._saved: dict[str, tuple[str, str]] = {}  # shard → the first and last sequence number of its records

    def restore(self) -> None:
        """Restore the records of the streams, which exist already."""
        for name, shard in _shards():
            shard["records"] = [json.loads(record) for record in self._file.records(name)]
            self._saved[name] = _ends(shard)

    def save(self) -> None:
        """Write what has changed since the last confirmed save."""
        there = dict(_shards())
        for name in self._saved.keys() - there.keys():
            self._file.delete_records(name)
        for name, shard in there.items():
            first, last = _ends(shard)
            saved_first, saved_last = self._saved.get(name, _NOTHING)
            if last > saved_last:
                self._file.add_records(_rows_after(saved_last, name, shard))
            if first != saved_first:
                self._file.delete_records(name, first or None)

    def confirm(self) -> None:
        """Record that the last save is committed."""
        self._saved = {name: _ends(shard) for name, shard in _shards()}


def growing_numbers() -> Callable[[], str]:
    """Return a function that gives sequence numbers: the clock and a count, as the emulator's, but always growing.

    In the released emulator, a clock that is set back sets them back.
    """
    last = max((int(number[:_MILLISECONDS_DIGITS]) for number in _numbers()), default=0)
    counted = 0

    def give() -> str:
        nonlocal last, counted
        last, counted = max(last + 1 if counted == 0 else last, int(time.time() * 1000)), counted + 1
        return f"{last:0{_MILLISECONDS_DIGITS}d}{counted:010d}"

    return give


def _numbers() -> Iterator[str]:
    for _, shard in _shards():
        yield shard["starting_sequence_number"]
        yield shard.get("ending_sequence_number", "0")
        yield from (record["SequenceNumber"] for record in shard["records"])


def _shards() -> Iterator[tuple[str, Shard]]:
    for stream in kinesis._streams._data.values():
        for name, shard in stream["shards"].items():
            yield f"{stream['StreamARN']}/{name}", shard


def _rows_after(number: str, name: str, shard: Shard) -> list[tuple[str, str, str]]:
    new = takewhile(lambda record: record["SequenceNumber"] > number, reversed(shard["records"]))
    return [(name, record["SequenceNumber"], json.dumps(record)) for record in new]


def _ends(shard: Shard) -> tuple[str, str]:
    records = shard["records"]
    return (records[0]["SequenceNumber"], records[-1]["SequenceNumber"]) if records else _NOTHING

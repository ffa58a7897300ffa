"""Conforms what has landed of a case, and holds what comes out against what is right."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.declaration.sources import StandardQueue
from sluice.lake.partitions import Partition, format_ranges
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.steps.runner import run_step
from sluice.workspace import Workspace
from tests.cases.delivered.declared import SOURCE
from tests.draining import ALL_LANDED
from tests.sluice.lake_contents import manifest_json, rows_of

RAW = f"raw/{SOURCE}"
_INNER = re.compile(r"(?P<message>.+?)(?::(?P<inner>\d{6}))?")


@dataclass(frozen=True)
class Outcome:
    """What has become of a case.

    Attributes:
        workspace: The pipeline of the case.
        source: Its source of events.
        numbers: The number of each message or record, from 1, by its message id.
    """

    workspace: Workspace
    source: Any
    numbers: Mapping[str, int]

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    def close_and_conform(self) -> None:
        """Close everything that has landed, and conform it."""
        last = max(partition.end for partition in self.lake.partitions(RAW))
        later = replace(self.lake, now=lambda: last + timedelta(days=2))
        close_source(later, self.workspace.pipeline, self.source, ALL_LANDED)
        partitions = self.lake.partitions(RAW)
        run_step(self.workspace, "conform", format_ranges(partitions))

    def check(self, right: Mapping[str, Any]) -> None:
        """Hold the conformed partitions against what is right."""
        undecided = set(right.get("undecided", ()))
        self.check_raw()
        assert self._rows(right, undecided) == right["rows"]
        self._check_quarantined(right, undecided)
        manifests = [manifest_json(self.lake, "conform", each.key) for each in self._partitions]
        if not undecided:
            assert sum(each["duplicates"] for each in manifests) == right["duplicates"]
        assert sum(each["control"] for each in manifests) == sum(right.get("counted", {}).values())
        if "partitions" in right:
            rows = {each["partition"]: each["rows_out"] for each in manifests}
            assert {key: count for key, count in rows.items() if count} == right["partitions"]
        if "columns" in right:
            self._check_columns(right["columns"])
        if "partitions_of_quarantined" in right:
            keys = {key for key, row in self._quarantined()}
            assert keys == {right["partitions_of_quarantined"]}

    def event_ids(self) -> set[str]:
        """Return the ids of the conformed events."""
        return {row["event_id"] for row in self._conformed()}

    def check_raw(self) -> None:
        """Each message is in raw."""
        landed = {
            _message(row["message_id"])[0] for each in self._partitions for row in rows_of(self.lake, RAW, each.key)
        }
        assert landed == set(self.numbers)

    @property
    def _partitions(self) -> list[Partition]:
        return self.lake.partitions(RAW)

    def _conformed(self) -> list[dict[str, Any]]:
        rows = [row for each in self._partitions for row in rows_of(self.lake, "conform", each.key)]
        if isinstance(self.source, StandardQueue):
            return sorted(rows, key=lambda row: (row["event_time"], row["event_id"]))
        return sorted(rows, key=lambda row: (row["group"], row["sequence_number"]))

    def _rows(self, right: Mapping[str, Any], undecided: set[int]) -> list[dict[str, Any]]:
        """Return the rows with the columns that are compared."""
        columns = right["rows"][0].keys() if right["rows"] else ()
        left_out = {
            row["event_id"]
            for each in self._partitions
            for row in rows_of(self.lake, RAW, each.key)
            if self._number(row["message_id"])[0] in undecided
        }
        rows = [row for row in self._conformed() if row["event_id"] not in left_out]
        likes = [*right["rows"], *[{}] * len(rows)]
        return [
            {name: plain(row[name], like.get(name)) for name in columns} for row, like in zip(rows, likes, strict=False)
        ]

    def _quarantined(self) -> Iterable[tuple[str, dict[str, Any]]]:
        for each in self._partitions:
            for row in rows_of(self.lake, "conform", each.key, files="quarantined"):
                yield each.key, row

    def _check_quarantined(self, right: Mapping[str, Any], undecided: set[int]) -> None:
        found = {self._number(row["message_id"]): row["reason"] for _, row in self._quarantined()}
        expected = {(each["of"], each.get("inner", 1)): each["reason_has"] for each in right["quarantined"]}
        assert {place for place in found if place[0] not in undecided} == expected.keys(), found
        assert {place: word for place, word in expected.items() if word not in found[place]} == {}, found

    def _number(self, message_id: str) -> tuple[int, int]:
        """Return the number of a message and that of the event in it, from 1."""
        message, inner = _message(message_id)
        return self.numbers[message], inner

    def _tables(self) -> Iterable[pa.Table]:
        for each in self._partitions:
            for file in manifest_json(self.lake, "conform", each.key)["files"]:
                yield pq.read_table(io.BytesIO(self.lake.get(file["key"])))

    def _check_columns(self, columns: Mapping[str, str]) -> None:
        for table in self._tables():
            assert {name: spelled(table.schema.field(name).type) for name in columns} == columns


def _message(message_id: str) -> tuple[str, int]:
    found = _INNER.fullmatch(message_id)
    assert found is not None
    return found["message"], int(found["inner"] or 0) + 1


def spelled(kind: object) -> str:
    """Return an Arrow type as the cases spell it."""
    plain_lists = re.sub(r"(?<=list<)\w+: | \('\w+'\)", "", str(kind))
    return plain_lists.replace("date32[day]", "date32").replace("time64[us]", "time64")


def plain(value: Any, like: Any) -> Any:
    """Return a value as the cases write it; ``like`` is what is right, where a map is an object."""
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case str() if isinstance(like, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+\.\d{6}Z", like):
            return plain(datetime.fromisoformat(value), like)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return value.hex()
        case list() if isinstance(like, Mapping):
            return {name: plain(each, like.get(name)) for name, each in value}
        case list():
            return [
                plain(each, like[place] if like and place < len(like) else None) for place, each in enumerate(value)
            ]
        case dict():
            return {name: plain(each, (like or {}).get(name)) for name, each in value.items()}
    return value

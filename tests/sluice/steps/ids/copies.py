"""Copies of events in several partitions, and what counts of them by an independent reference, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.sluice.lake_contents import manifest_json, put_raw, rows_of
from tests.sluice.toy import EVENTS, TOY, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.declaration.steps import Conform
from sluice.lake.grains import Grain
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake

DAY_ONE = datetime(2013, 1, 1, tzinfo=UTC)
WITHIN = timedelta(days=2)


@dataclass(frozen=True)
class Copy:
    """One message: an event, when it happened (days after day one), and its place on the queue."""

    id: str
    day: float
    place: int
    value: Any = 1
    group: str = "g"
    sent: int = 0

    @property
    def at(self) -> datetime:
        return DAY_ONE + timedelta(days=self.day)

    @property
    def is_valid(self) -> bool:
        return isinstance(self.value, int)

    def partition(self, every: Grain) -> Partition:
        return Partition.containing(self.at, Calendar(every))

    def message(self, landed: int = 1) -> dict[str, Any]:
        body = reading(self.id, self.at, self.value)
        sent = str(1388534400000 + self.sent)
        return message(body, self.place, group=self.group, receive_count=landed, SentTimestamp=sent)


def declared(within: timedelta | None = WITHIN, every: Grain = "day", source: EventSource = EVENTS) -> Pipeline:
    """Return the toy pipeline, whose ``conform`` compares ids within some time."""
    first = Conform("conform", source=source.name, contract="contract:Reading", once_within=within)
    return toy(every=every, sources=(source,), steps=(first, *TOY.steps[1:]))


def put_copies(
    lake: Lake, copies: Iterable[Copy], every: Grain = "day", source: Any = EVENTS, landed: int = 1
) -> list[Partition]:
    """Put the raw partitions of some copies, all of each in one part; return the partitions, in order."""
    by_partition: dict[Partition, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_partition[copy.partition(every)].append(copy)
    for partition, own in by_partition.items():
        messages = [copy.message(count) for copy in own for count in range(1, landed + 1)]
        put_raw(lake, source, partition.key.removeprefix("dt="), messages)
    return sorted(by_partition)


def counts_by_reference(
    copies: Sequence[Copy], within: timedelta | None = WITHIN, every: Grain = "day"
) -> dict[str, set[int]]:
    """Return the places of the copies that count, by partition key: the definition, copy by copy."""
    order = lambda copy: (copy.group, copy.place, copy.sent, copy.at)  # noqa: E731
    local: dict[tuple[str, Partition], Copy] = {}
    for copy in sorted(filter(lambda each: each.is_valid, copies), key=order):
        local.setdefault((copy.id, copy.partition(every)), copy)
    counted: dict[str, set[int]] = {copy.partition(every).key: set() for copy in copies}
    for copy in local.values():
        partition = copy.partition(every)
        others = [each for each in local.values() if each.id == copy.id and each is not copy]
        near = [each for each in others if within is not None and _are_near(partition, each.partition(every), within)]
        if all(order(copy) < order(each) for each in near):
            counted[partition.key].add(copy.place)
    return counted


def _are_near(one: Partition, other: Partition, within: timedelta) -> bool:
    gap = max(one.start, other.start) - min(one.end, other.end)
    return gap < within


def counted(lake: Lake, partitions: Iterable[str]) -> dict[str, set[int]]:
    """Return the places of the rows of ``conform``, by partition key, and check that its counts add up."""
    found = {}
    for key in partitions:
        manifest = manifest_json(lake, "conform", key)
        parts = (manifest["rows_out"], manifest["duplicates"], manifest["control"], *manifest["rejected"].values())
        assert sum(parts) == manifest["rows_in"], key
        found[key] = {int(row["sequence_number"]) for row in rows_of(lake, "conform", key)}
    return found


def content(lake: Lake, partitions: Iterable[str]) -> Mapping[str, Any]:
    """Return what each step has made of partitions: the objects, which their content names, and the counts."""
    members = ("files", "quarantined", "rows_out", "rejected")
    return {
        f"{step.name}/{key}": [manifest_json(lake, step.name, key)[member] for member in members]
        for step in TOY.steps
        for key in partitions
    }


def conflicts(lake: Lake, key: str) -> list[str]:
    """Return the messages that a partition has quarantined as conflicts."""
    rows = rows_of(lake, "conform", key, "quarantined")
    return [row["message_id"] for row in rows if row["reason"] == "conflict"]

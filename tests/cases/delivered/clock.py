"""Plays a script of drains and closings against the wall clock of a case.

A queue of the embedded cloud gives each message the time at which it is really sent, and its counters are exact. So the
wall clock is that of the lake, and the counters need no time to settle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from sluice.completions import announce_landed
from sluice.declaration.sources import FifoQueue, StandardQueue
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition, between
from sluice.landing.parts import Limits
from sluice.sources.connecting import connect_events
from sluice.sources.contract import EventConnector
from sluice.sources.due import due_partitions, record_started
from sluice.sources.ingest import close_partitions
from sluice.status import source_status
from sluice.workspace import Workspace
from tests.calendars import utc
from tests.cases.case import Case
from tests.sluice.toy import DROPS, toy

SOURCE = "events"
RAW = f"raw/{SOURCE}"
_AT_ONCE = timedelta(0)
_EVERYTHING = 10_000


@dataclass
class World:
    """A pipeline with a queue of its own, and the case's clock."""

    workspace: Workspace
    source: Any
    sqs: Any
    now: datetime
    sent: int = 0

    def send(self, group: str, body: Mapping[str, Any]) -> None:
        self.sent += 1
        order = {"MessageGroupId": group, "MessageDeduplicationId": f"{self.sent}"}
        self.sqs.send_message(
            QueueUrl=self.url,
            MessageBody=json.dumps(body),
            **(order if isinstance(self.source, FifoQueue) else {}),
        )

    def send_event(self, event_id: str, event_time: str) -> None:
        self.send("gauge-1", {"id": event_id, "group": "gauge-1", "event_time": event_time})

    @property
    def url(self) -> str:
        return self.workspace.resources.made_for("queues", SOURCE)

    @property
    def at_now(self) -> Workspace:
        return replace(self.workspace, lake=replace(self.workspace.lake, now=lambda: self.now))

    @property
    def connector(self) -> EventConnector[Any]:
        return connect_events(self.at_now, self.source)

    def drain(self, most: int = _EVERYTHING) -> int:
        return self.connector.drain("lane 0", Limits(messages=most), lambda _: None, Event()).messages

    def close(self) -> None:
        """Close what is complete."""
        close_partitions(self.at_now, self.source, _AT_ONCE)

    def announce(self) -> None:
        announce_landed(self.at_now, self.source.name, "run")

    def announced(self, day: str) -> int:
        """Return how many completion events of a partition were published."""
        layout = self.workspace.lake.layout
        return len(list(self.workspace.lake.objects(layout.announcement(RAW, day, ""))))

    def manifests(self) -> dict[str, Manifest]:
        return {manifest.partition: manifest for manifest in Look(self.workspace.lake).manifests(RAW)}

    def with_state(self, state: str) -> dict[str, Manifest]:
        return {key: manifest for key, manifest in self.manifests().items() if manifest.state == state}

    def waited_for(self, first: str, last: str) -> list[Partition]:
        """Return the partitions of a range for which runs still wait."""
        partitions = list(between(utc(first), utc(last)))
        return sorted(self.connector.incomplete(partitions))


def check(case: Case, request: pytest.FixtureRequest) -> None:
    play = {"messages_file": _play_script, "event_times": _play_silence, "late": _play_late_events}
    (member,) = play.keys() & case.given.keys()
    play[member](case, world_of(case.given, request))


def world_of(given: Mapping[str, Any], request: pytest.FixtureRequest) -> World:
    """Return the world of a case, at its clock."""
    request.getfixturevalue("short_poll")
    sqs, name = request.getfixturevalue("sqs"), request.getfixturevalue("own_name")
    described, pipeline = given.get("source", {}), given["pipeline"]
    options: dict[str, Any] = {
        "event_id": described.get("event_id", "id"),
        "event_time": described.get("event_time", "event_time"),
        "lateness": timedelta(seconds=described.get("lateness_s", 3600)),
    }
    is_fifo = described.get("type", "fifo") == "fifo"
    source = FifoQueue(SOURCE, **options) if is_fifo else StandardQueue(SOURCE, **options, group="group")
    url = sqs.create_queue(
        QueueName=f"{name}-case.fifo" if is_fifo else f"{name}-case",
        Attributes={"FifoQueue": "true"} if is_fifo else {},
    )["QueueUrl"]
    workspace: Workspace = request.getfixturevalue("workspace")
    declared = toy(
        every=pipeline["every"],
        start=_moment(pipeline.get("start", "2013-01-01")),
        sources=(source, DROPS),
    )
    resources = replace(workspace.resources, of_sources={f"queues/{SOURCE}": url})
    now = _moment(given["clock"]) if "clock" in given else datetime.now(UTC)
    divided = replace(workspace.lake, calendar=declared.calendar)
    return World(replace(workspace, pipeline=declared, resources=resources, lake=divided), source, sqs, now)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _play_script(case: Case, world: World) -> None:
    """Drain some messages at a time; after each closing, compare what is closed and what is open."""
    for line in case.read(case.given["messages_file"]).decode().splitlines():
        sent = json.loads(line)
        world.send(sent["group"], sent["body"])
    for action in case.given["actions"]:
        if "drain" in action:
            assert world.drain(action["drain"] if action["left"] != "nothing" else _EVERYTHING) > 0
            assert (world.connector.backlog() == 0) == (action["left"] == "nothing")
        else:
            world.close()
            _compare(world, case.right["after_close"][str(action["close"])])
    closed = world.with_state("closed").values()
    assert {manifest.revision for manifest in closed} == {case.right["revision_of_each_closed"]}


def _compare(world: World, right: Mapping[str, Any]) -> None:
    closed = {key: manifest.rows_out for key, manifest in world.with_state("closed").items() if manifest.rows_out}
    assert closed == (right["closed"] if isinstance(right["closed"], dict) else dict.fromkeys(right["closed"], 0))
    assert set(world.with_state("open")) <= set(right["open"])  # a part of the script may not have landed yet


def _play_silence(case: Case, world: World) -> None:
    """The queue is drained after each event, and closed; in between, nothing comes."""
    end = world.now
    for number, moment in enumerate(case.given["event_times"]):
        world.now = _moment(moment) + world.source.lateness
        world.send_event(f"event-{number}", moment)
        world.drain()
        world.close()
    world.now = end
    world.drain()
    world.close()

    closed, right = world.with_state("closed"), case.right["closed_empty"]
    silent = [each.key for each in between(utc(right["first"]), utc(right["last"]))]
    assert len(silent) == right["count"]
    assert [key for key in silent if key not in closed or closed[key].rows_out] == []
    assert [closed[key].rows_out for key in case.right["closed"]] == [1] * len(case.right["closed"])
    newest = max(manifest.time_partition(world.workspace.lake.calendar) for manifest in closed.values())
    assert newest.end <= end - world.source.lateness < newest.shift(1).end  # up to the wall clock less the lateness


def _play_late_events(case: Case, world: World) -> None:
    """Each late event is landed, closed and announced before the next arrives."""
    day, late, right = case.given["closed"], case.given["late"], case.right
    partition = utc(day)
    for number in range(case.given["rows_when_closed"]):
        world.send_event(f"on-time-{number}", (partition.start + timedelta(minutes=number)).isoformat())
    world.now = _moment(late[0]["arrives"])
    world.drain()
    world.close()
    world.announce()
    assert world.announced(day) == 1
    world.workspace.lake.put(f"{DROPS.prefix}{day}/{DROPS.complete.name}", b"")

    for each in late:
        world.now = _moment(each["arrives"])
        record_started(world.at_now, [partition], "run")
        world.send_event(each["id"], each["event_time"])
        world.drain()
        world.close()
        world.announce()
        assert partition in due_partitions(world.at_now, 100).ready  # what depends on it runs again by itself

    manifest = world.manifests()[day]
    assert (manifest.revision, manifest.rows_out) == (right["revision"], right["rows"])
    assert world.announced(day) - 1 == right["late_announcements"]
    objects = list(world.workspace.lake.objects(world.workspace.lake.layout.partition(RAW, partition)))
    assert len(objects) <= right["raw_objects_at_most"]
    assert source_status(world.at_now, world.source).late == right["status_lists_late"]

"""Saves the events of the emulator's log streams, a row for each, and restores them at its start.

A job writes thousands of lines; as a part of the document, all of them would be written again with each batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import cloudwatch_logs

from localcloud.emulator.durability.state_file import StateFile

Handler = Callable[[dict[str, Any]], Any]


class Event(TypedDict):
    """An event of the emulator's, of which these members are used; the times are milliseconds since the epoch."""

    eventId: str
    timestamp: int
    ingestionTime: int


class StreamName(NamedTuple):
    """A log stream with the account, the region and the group that it is in."""

    account: str
    region: str
    group: str
    stream: str


Saved = tuple[int, str]  # how many events of a stream are in the file, and the id of the last of them
_NOTHING: Saved = (0, "")


def without_content() -> dict[str, Any]:
    """Return the emulator's document without the events, and without the records that point at them."""
    groups = AccountRegionScopedDict()
    groups._data = {
        key: {**group, "streams": {name: {**stream, "events": []} for name, stream in group["streams"].items()}}
        for key, group in cloudwatch_logs._log_groups._data.items()
    }
    state = {
        name: getattr(cloudwatch_logs, f"_{name}")
        for name in (
            *("destinations", "resource_policies", "log_group_policies", "metric_filters", "queries"),
            *("delivery_sources", "delivery_destinations", "deliveries"),
        )
    }
    return {"log_groups": groups, **state}


class LogContent:
    """The part of the log streams that is in the file. Save within a transaction, and confirm after its commit."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._saved: dict[StreamName, Saved] = {}
        self._changed: set[StreamName] = set()
        for name in ("_put_log_events", "_delete_log_stream", "_delete_log_group"):
            setattr(cloudwatch_logs, name, self._noting(getattr(cloudwatch_logs, name)))

    def restore(self) -> None:
        """Restore the events of the streams, which exist already."""
        for name in self._names():
            if events := [json.loads(event) for event in self._file.log_events(_key(name))]:
                stream = _stream(name) or {}
                stream["events"] = events
                stream["firstEventTimestamp"] = events[0]["timestamp"]
                stream["lastEventTimestamp"] = events[-1]["timestamp"]
                stream["lastIngestionTime"] = max(event["ingestionTime"] for event in events)
                stream["uploadSequenceToken"] = str(int(stream["uploadSequenceToken"]) + len(events))  # only grows
                self._saved[name] = _saved(events)

    def save(self) -> None:
        """Write what has changed since the last confirmed save."""
        for name in self._changed:
            events = (_stream(name) or {"events": []})["events"]
            count, last_id = self._saved.get(name, _NOTHING)
            if count > len(events) or (count and events[count - 1]["eventId"] != last_id):
                self._file.delete_log_events(
                    _key(name)
                )  # a late event was inserted between others, or the stream is deleted
                count = 0
            rows = ((_key(name), place, json.dumps(event)) for place, event in enumerate(events[count:], count))
            self._file.add_log_events(rows)

    def confirm(self) -> None:
        """Record that the last save is committed."""
        for name in self._changed:
            stream = _stream(name)
            if stream is None:
                self._saved.pop(name, None)
            else:
                self._saved[name] = _saved(stream["events"])
        self._changed.clear()

    def _noting(self, handle: Handler) -> Handler:
        """Return the handler, which also notes the streams that it may change."""

        def call(data: dict[str, Any]) -> Any:
            account, region, group = get_account_id(), get_region(), data.get("logGroupName", "")
            stream = data.get("logStreamName")
            of_group = [name for name in self._names() if name[:3] == (account, region, group)] if not stream else ()
            self._changed.update(of_group or {StreamName(account, region, group, stream or "")})
            return handle(data)

        return call

    def _names(self) -> list[StreamName]:
        return [
            StreamName(account, region, group, stream)
            for (account, region, group), found in cloudwatch_logs._log_groups._data.items()
            for stream in found["streams"]
        ]


def _stream(name: StreamName) -> dict[str, Any] | None:
    group = cloudwatch_logs._log_groups._data.get((name.account, name.region, name.group))
    found: dict[str, Any] | None = group and group["streams"].get(name.stream)
    return found


def _saved(events: list[Event]) -> Saved:
    return (len(events), events[-1]["eventId"]) if events else _NOTHING


def _key(name: StreamName) -> str:
    return json.dumps(name)

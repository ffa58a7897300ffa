"""The messages of one queue, indexed: a receive or a delete costs the same however deep the backlog is.

Restores: messages of one group are given in sending order, and none while another of the group is in flight; a receive
takes as many messages of one group as it can before it turns to the next. Of a standard queue, each message is a group
of its own. A message is a dictionary of the emulator's.

Source: Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS".

A backlog remembers what has changed since it was last saved, so that a request saves only what it has changed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice, takewhile
from typing import Any

Message = dict[str, Any]
Queue = dict[str, Any]


class Backlog:
    """Stands where the emulator keeps a list: it appends, iterates in sending order, removes, clears and counts."""

    def __init__(self, messages: Iterable[Message], group_of: Callable[[Message], object]) -> None:
        self._group_of = group_of
        self._places = count()
        self._changed: dict[int, bool] = {}  # place → whether its message is new
        self.clear()
        for message in messages:
            self.append(message)

    def clear(self) -> None:
        self._messages: dict[int, Message] = {}
        self._groups: dict[object, dict[int, Message]] = {}  # in sending order, by place
        self._ready: list[tuple[int, int]] = []  # (place of a group's first message, the same)
        self._locked: list[tuple[float, int]] = []  # (when to look again, place of a message of the group)
        self._held: dict[str, int] = {}  # receipt handle → place
        self._changed.clear()
        self.is_replaced = True  # nothing that was saved before is of use

    def changes(self) -> Iterator[tuple[int, Message | None, bool]]:
        """What has changed since it was last saved: the place, its message (None: deleted), whether that is new."""
        for place, is_new in self._changed.items():
            yield place, self._messages.get(place), is_new

    def is_changed(self) -> bool:
        return self.is_replaced or bool(self._changed)

    def saved(self) -> None:
        """Forget the changes: they are on disk."""
        self._changed.clear()
        self.is_replaced = False

    def append(self, message: Message) -> None:
        place = next(self._places)
        group = self._groups.setdefault(self._group_of(message), {})
        self._messages[place] = message
        self._changed[place] = True
        group[place] = message
        if message["receipt_handle"]:
            self._held[message["receipt_handle"]] = place
        if len(group) == 1:
            heapq.heappush(self._ready, (place, place))

    def remove(self, message: Message) -> None:
        """Raises ValueError where there is no such message, as a list does."""
        place = self._held.get(message["receipt_handle"])
        if place is None:
            place = next((place for place, kept in self._messages.items() if kept is message), None)
        if place is None:
            raise ValueError(message)
        self._drop(place)

    def __iter__(self) -> Iterator[Message]:
        return iter(list(self._messages.values()))

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, index: int | slice) -> Any:
        return list(self._messages.values())[index]

    def take(self, most: int, now: float, hold_until: float, new_handle: Callable[[], str]) -> list[Message]:
        """Give up to ``most`` messages, and hide them until ``hold_until`` (seconds since the epoch, as ``now``)."""
        self.release(now)
        taken: list[Message] = []
        while self._ready and len(taken) < most:
            _, place = heapq.heappop(self._ready)
            if place not in self._messages:
                continue
            group = self._groups[self._group_of(self._messages[place])]
            if _locked_until(group) <= now:
                visible = takewhile(lambda entry: entry[1]["visible_at"] <= now, group.items())
                for at, message in list(islice(visible, most - len(taken))):
                    self._hold(at, message, now, hold_until, new_handle())
                    taken.append(message)
            self._lock(group)
        return taken

    def _hold(self, place: int, message: Message, now: float, until: float, handle: str) -> None:
        self._held.pop(message["receipt_handle"] or "", None)  # only the newest handle of a message is good
        self._held[handle] = place
        self._changed.setdefault(place, False)
        message["receipt_handle"] = handle
        message["visible_at"] = until
        message["receive_count"] += 1
        message["first_receive_at"] = message.get("first_receive_at") or now

    def delete(self, handle: str | None) -> bool:
        """Delete the message that was received under this handle; False if there is none."""
        place = self._held.get(handle or "")
        if place is None:
            return False
        self._drop(place)
        return True

    def hide(self, handle: str | None, until: float) -> bool:
        """Change until when a received message is hidden; False if there is none of that handle."""
        place = self._held.get(handle or "")
        if place is None:
            return False
        self._changed.setdefault(place, False)
        self._messages[place]["visible_at"] = until
        self._lock(self._groups[self._group_of(self._messages[place])])
        return True

    def release(self, now: float) -> list[Message]:
        """Make groups ready whose hidden messages are due, and tell the first message of each."""
        due: list[Message] = []
        while self._locked and self._locked[0][0] <= now:
            _, place = heapq.heappop(self._locked)
            if place not in self._messages:
                continue
            group = self._groups[self._group_of(self._messages[place])]
            until = _locked_until(group)
            if until > now:
                heapq.heappush(self._locked, (until, place))
                continue
            first = next(iter(group))
            heapq.heappush(self._ready, (first, first))
            due.append(group[first])
        return due

    def _lock(self, group: dict[int, Message]) -> None:
        heapq.heappush(self._locked, (_locked_until(group), next(iter(group))))

    def _drop(self, place: int) -> None:
        message = self._messages.pop(place)
        self._changed.setdefault(place, False)
        self._held.pop(message["receipt_handle"] or "", None)
        name = self._group_of(message)
        group = self._groups[name]
        del group[place]
        if group:
            self._lock(group)
        else:
            del self._groups[name]


def _locked_until(group: dict[int, Message]) -> float:
    """When all messages of a group that are in flight are visible again; if none is, when its first one is due."""
    until = 0.0
    for message in group.values():
        if until and not message["receive_count"]:
            break
        until = max(until, message["visible_at"])
        if not message["receive_count"]:
            break
    return until


def backlog_of(queue: Queue) -> Backlog:
    """The queue's messages, indexed; the emulator itself puts a plain list there when it makes or sweeps a queue."""
    messages = queue["messages"]
    if not isinstance(messages, Backlog):
        messages = queue["messages"] = Backlog(messages, _group if queue["is_fifo"] else _itself)
    return messages


def _group(message: Message) -> object:
    return message.get("group_id") or message["id"]


def _itself(message: Message) -> object:
    return message["id"]

"""The messages of one queue, indexed: a receive or a delete costs the same however deep the backlog is.

Restores: messages of one group are received in sending order, and none while another of the group is in flight; a
receive takes as many messages of one group as it can before it takes the next group's. In a standard queue, each
message is a group of its own. The dictionaries are the emulator's.

Source: Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS".

A backlog records what has changed since it was last saved, so that a request saves only its own changes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice, takewhile
from typing import Any, NotRequired, TypedDict


class Message(TypedDict):
    """A message of the emulator's, of which these members are used. Times are seconds since the epoch.

    It is in flight if it has been received and ``visible_at`` is in the future.
    """

    id: str
    receipt_handle: str | None
    visible_at: float
    receive_count: int
    first_receive_at: NotRequired[float | None]
    group_id: NotRequired[str | None]
    dedup_cache_key: NotRequired[str | None]


class Deduplication(TypedDict):
    """What a queue remembers of a sent message: its id, and until when."""

    id: str
    expire: float


class Queue(TypedDict):
    """A queue of the emulator's, of which these members are used."""

    messages: list[Message] | Backlog
    attributes: dict[str, str]
    is_fifo: bool
    fifo_seq: int
    dedup_cache: dict[str, Deduplication]


class Backlog:
    """Takes the place of the emulator's list of messages, with the list's methods that the emulator uses.

    Args:
        messages: The first messages, in sending order.
        group_of: Returns the group of a message.
    """

    def __init__(self, messages: Iterable[Message], group_of: Callable[[Message], object]) -> None:
        self._group_of = group_of
        self._places = count()
        self._changed: dict[int, bool] = {}  # place → whether its message is new
        self.clear()
        for message in messages:
            self.append(message)

    def clear(self) -> None:
        """Remove all messages, as a list does."""
        self._messages: dict[int, Message] = {}
        self._groups: dict[object, dict[int, Message]] = {}  # by group, then by place, in sending order
        self._ready: list[tuple[int, int]] = []  # (place of a group's first message, the same)
        self._locked: list[tuple[float, int]] = []  # (when to look again, place of a message of the group)
        self._held: dict[str, int] = {}  # receipt handle → place
        self._changed.clear()
        self.is_replaced = True  # what was saved before is obsolete

    def changes(self) -> Iterator[tuple[int, Message | None, bool]]:
        """Yield what has changed since the last save: a place, its message or None if deleted, whether it is new."""
        for place, is_new in self._changed.items():
            yield place, self._messages.get(place), is_new

    def is_changed(self) -> bool:
        """Return whether anything has changed since the last save."""
        return self.is_replaced or bool(self._changed)

    def saved(self) -> None:
        """Forget the changes, which are on disk now."""
        self._changed.clear()
        self.is_replaced = False

    def append(self, message: Message) -> None:
        """Add a message at the end, as a list does."""
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
        """Remove a message, as a list does.

        Raises:
            ValueError: There is no such message.
        """
        place = self._held.get(message["receipt_handle"] or "")
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
        """Receive messages, and hide them.

        Args:
            most: How many messages at most.
            now: The time in seconds since the epoch.
            hold_until: Until when the messages are hidden, in seconds since the epoch.
            new_handle: Returns a new receipt handle.
        """
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
        self._held.pop(message["receipt_handle"] or "", None)  # only the newest handle of a message is valid
        self._held[handle] = place
        self._changed.setdefault(place, False)
        message["receipt_handle"] = handle
        message["visible_at"] = until
        message["receive_count"] += 1
        message["first_receive_at"] = message.get("first_receive_at") or now

    def delete(self, handle: str | None) -> bool:
        """Delete the message with this receipt handle; return False if there is none."""
        place = self._held.get(handle or "")
        if place is None:
            return False
        self._drop(place)
        return True

    def hide(self, handle: str | None, until: float) -> bool:
        """Change until when a received message is hidden; return False if there is none.

        Args:
            handle: The message's receipt handle.
            until: The new time in seconds since the epoch.
        """
        place = self._held.get(handle or "")
        if place is None:
            return False
        self._changed.setdefault(place, False)
        self._messages[place]["visible_at"] = until
        self._lock(self._groups[self._group_of(self._messages[place])])
        return True

    def release(self, now: float) -> list[Message]:
        """Make the groups ready whose hidden messages are due by ``now``, and return the first message of each."""
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
    """Return when all in-flight messages of a group are visible again; if there are none, when its first one is due."""
    until = 0.0
    for message in group.values():
        if until and not message["receive_count"]:
            break
        until = max(until, message["visible_at"])
        if not message["receive_count"]:
            break
    return until


def backlog_of(queue: Queue) -> Backlog:
    """Return the queue's messages as a backlog; the emulator makes a plain list when it creates or sweeps a queue."""
    messages = queue["messages"]
    if not isinstance(messages, Backlog):
        messages = queue["messages"] = Backlog(messages, _group if queue["is_fifo"] else _itself)
    return messages


def _group(message: Message) -> object:
    return message.get("group_id") or message["id"]


def _itself(message: Message) -> object:
    return message["id"]

"""The ledger of what was sent back to its source, so that no redrive sends a message twice.

::

    PIPELINE/redriven/SOURCE/<digest of the message id>/{1-intended,1-refused,2-intended,…,sent}

Every object is created once and never changed. The intention is written before the call, the others after its response.
Of two redrives at once, only the one that created the intention sends. An intention without a result means that a
redrive was stopped, or that its call got no response: it is unknown whether the message was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from sluice.lake.store import Lake
from sluice.records.record import Record

_INTENDED, _REFUSED, _SENT = "intended", "refused", "sent"


class State(StrEnum):
    """Whether a message was sent. A ``REFUSED`` one certainly was not, so it may be sent like a ``NEW`` one."""

    NEW = "new"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SENT = "sent"


@dataclass(frozen=True)
class Entry:
    """The ledger's entry of one message: its state, after so many ``attempts``."""

    state: State
    attempts: int


_NOTHING = Entry(State.NEW, 0)


def known(entries: Mapping[str, Entry], message_id: str) -> Entry:
    """The entry of a message among those of :meth:`Ledger.entries`."""
    return entries.get(digest(message_id), _NOTHING)


def digest(message_id: str) -> str:
    """The name of a message in the ledger, and its deduplication id when it is sent back: 64 hexadecimal digits.

    It differs from the deduplication id of the first send, because SQS would drop a repeated one within five minutes.
    """
    return hashlib.sha256(f"redrive {message_id}".encode()).hexdigest()


@dataclass(frozen=True)
class Ledger:
    """The record of what was sent back to one source."""

    lake: Lake
    source: str

    def place(self, message_id: str) -> str:
        """The folder of a message's entry."""
        return self.lake.layout.redriven(self.source, digest(message_id))

    def entries(self) -> Mapping[str, Entry]:
        """Every entry, by :func:`digest`. It only lists keys."""
        return self._entries(self.lake.layout.redriven(self.source))

    def entry(self, message_id: str) -> Entry:
        """The present entry of one message."""
        return known(self._entries(self.place(message_id)), message_id)

    def intend(self, record: Record, attempt: int) -> bool:
        """Announce an attempt.

        Args:
            attempt: The number of the attempt, from 1.

        Returns:
            False if another redrive has announced it.
        """
        return self._write(record.message_id, f"{attempt}-{_INTENDED}", event_id=record.event_id, group=record.group)

    def intended_at(self, message_id: str, attempt: int) -> datetime:
        """When the attempt was announced (UTC)."""
        written = json.loads(self.lake.get(f"{self.place(message_id)}{attempt}-{_INTENDED}"))
        return datetime.fromisoformat(written["at"])

    def refuse(self, record: Record, attempt: int, reason: str) -> None:
        """Record that the source refused the attempt, and why."""
        self._write(record.message_id, f"{attempt}-{_REFUSED}", reason=reason)

    def confirm(self, record: Record, sent_as: str) -> bool:
        """Record that the message was sent.

        Args:
            sent_as: Its new message id or sequence number.

        Returns:
            False if that was recorded before.
        """
        return self._write(record.message_id, _SENT, event_id=record.event_id, sent_as=sent_as)

    def _write(self, message_id: str, name: str, **facts: str) -> bool:
        written = {"message_id": message_id, "at": self.lake.now().isoformat(), **facts}
        return self.lake.create(self.place(message_id) + name, json.dumps(written).encode())

    def _entries(self, prefix: str) -> Mapping[str, Entry]:
        folder = self.lake.layout.redriven(self.source)
        names = (key.removeprefix(folder).split("/") for key, _, _ in self.lake.objects(prefix))
        grouped = groupby(names, key=lambda parts: parts[0])
        return {name: _entry([rest for _, rest in parts]) for name, parts in grouped}


def _entry(names: Collection[str]) -> Entry:
    attempts = max((int(name.partition("-")[0]) for name in names if name.endswith(_INTENDED)), default=0)
    if _SENT in names:
        return Entry(State.SENT, attempts)
    return Entry(State.REFUSED if f"{attempts}-{_REFUSED}" in names else State.UNKNOWN, attempts)

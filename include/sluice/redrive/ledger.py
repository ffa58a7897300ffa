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
    """Whether a message was sent. A ``REFUSED`` message was certainly not, so it may be sent like a ``NEW`` one."""

    NEW = "new"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SENT = "sent"


@dataclass(frozen=True)
class Entry:
    """The ledger's entry of one message.

    Attributes:
        state: Whether the message was sent.
        attempts: How many attempts were announced.
    """

    state: State
    attempts: int


_NO_ENTRY = Entry(State.NEW, 0)


def entry_of(entries: Mapping[str, Entry], message_id: str) -> Entry:
    """Return the entry of one message.

    Args:
        entries: The entries that :meth:`Ledger.entries` returned.
        message_id: The message's id when it was first received.
    """
    return entries.get(digest(message_id), _NO_ENTRY)


def digest(message_id: str) -> str:
    """Return the name of a message in the ledger, which is also its deduplication id when it is sent back.

    It differs from the deduplication id of the first send, because SQS would drop a repeated one within five minutes.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(f"redrive {message_id}".encode()).hexdigest()


@dataclass(frozen=True)
class Ledger:
    """The record of what was sent back to one source.

    Args:
        lake: The lake that holds the ledger.
        source: The name of the source.
    """

    lake: Lake
    source: str

    def folder(self, message_id: str) -> str:
        """Return the folder of a message's entry."""
        return self.lake.layout.redriven(self.source, digest(message_id))

    def entries(self) -> Mapping[str, Entry]:
        """List every entry, by :func:`digest`. No object is read."""
        return self._entries(self.lake.layout.redriven(self.source))

    def entry(self, message_id: str) -> Entry:
        """Return the current entry of one message."""
        return entry_of(self._entries(self.folder(message_id)), message_id)

    def intend(self, record: Record, attempt: int) -> bool:
        """Announce an attempt.

        Args:
            record: The message to send.
            attempt: The number of the attempt, from 1.

        Returns:
            False if another redrive has announced it.
        """
        return self._write(record.message_id, f"{attempt}-{_INTENDED}", event_id=record.event_id, group=record.group)

    def intended_at(self, message_id: str, attempt: int) -> datetime:
        """Return when an attempt was announced (UTC).

        Args:
            message_id: The message's id when it was first received.
            attempt: The number of the attempt, from 1.
        """
        written = json.loads(self.lake.get(f"{self.folder(message_id)}{attempt}-{_INTENDED}"))
        return datetime.fromisoformat(written["at"])

    def refuse(self, record: Record, attempt: int, reason: str) -> None:
        """Record that the source refused an attempt.

        Args:
            record: The message.
            attempt: The number of the attempt, from 1.
            reason: Why, in one line.
        """
        self._write(record.message_id, f"{attempt}-{_REFUSED}", reason=reason)

    def confirm(self, record: Record, sent_as: str) -> bool:
        """Record that a message was sent.

        Args:
            record: The message.
            sent_as: Its new message id or sequence number.

        Returns:
            False if that was recorded before.
        """
        return self._write(record.message_id, _SENT, event_id=record.event_id, sent_as=sent_as)

    def _write(self, message_id: str, name: str, **facts: str) -> bool:
        written = {"message_id": message_id, "at": self.lake.now().isoformat(), **facts}
        return self.lake.create(self.folder(message_id) + name, json.dumps(written).encode())

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

"""Sends records back to their source, one after another within each group, each at most once.

A record is announced in the ledger, sent, and confirmed in the ledger. A group stops at its first record that can't be
sent, so that no later record overtakes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain, is_declined
from sluice.records.record import Record
from sluice.redrive.ledger import Entry, Ledger, State, digest, entry_of
from sluice.sources.contract import EventConnector

# SQS drops a repeated deduplication id within five minutes of the first call. The intention is written before it. So a
# second call is safe within four minutes of the intention; later it might send a second message.
DEDUPLICATED = timedelta(minutes=4)
_MOST_FAILURES = 10  # after so many, the source itself is failing: to try all other groups would take hours

Outcome = Literal["sent", "already", "unknown", "failed", "behind"]


@dataclass
class Redriver:
    """Sends records back to the source of one connector.

    Args:
        ledger: The ledger of the source.
        connector: The connector of the source.
        again: Whether to send a record again if it is unknown whether an earlier redrive sent it.

    Attributes:
        entries: The entries of the ledger at the start of the redrive.
        faults: Why records were not sent, one line each.
    """

    ledger: Ledger
    connector: EventConnector[Any]
    again: bool
    entries: Mapping[str, Entry] = field(init=False)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = self.ledger.entries()

    def send(self, records: Iterable[Record], pool: Executor) -> dict[str, Outcome]:
        """Send records, groups in parallel.

        Args:
            records: The records, in any order. A record that appears twice is sent once.
            pool: Sends the groups.

        Returns:
            The outcome of each record, by message id.
        """
        once = {record.message_id: record for record in records}  # a standard queue may deliver a message twice
        ordered = sorted(once.values(), key=_order)
        groups = [list(group) for _, group in groupby(ordered, key=_group)]
        return {
            message_id: outcome for group in pool.map(self._send_group, groups) for message_id, outcome in group.items()
        }

    def _send_group(self, records: Sequence[Record]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for record in records:
            stopped = not {"unknown", "failed"}.isdisjoint(outcomes.values()) or len(self.faults) >= _MOST_FAILURES
            outcomes[record.message_id] = "behind" if stopped else self._send_once(record)
        return outcomes

    def _send_once(self, record: Record) -> Outcome:
        entry = entry_of(self.entries, record.message_id)
        if entry.state in (State.REFUSED, State.UNKNOWN):  # another redrive may have sent it since
            entry = self.ledger.entry(record.message_id)
        if entry.state is State.SENT:
            return "already"
        if entry.state is State.UNKNOWN:
            return self._send_unknown(record, entry.attempts)
        return self._attempt(record, entry.attempts + 1)

    def _send_unknown(self, record: Record, attempts: int) -> Outcome:
        age = self.ledger.lake.now() - self.ledger.intended_at(record.message_id, attempts)
        fresh = timedelta() <= age < DEDUPLICATED  # after a clock that went back nobody knows the age
        if fresh and self.connector.drops_repeats:
            return self._post(record, attempts)  # the source drops a repeated message
        if fresh or not self.again:  # a fresh one may be sent by another redrive right now
            return "unknown"
        return self._attempt(record, attempts + 1)

    def _attempt(self, record: Record, attempt: int) -> Outcome:
        if self.ledger.intend(record, attempt):
            return self._post(record, attempt)
        return "already" if self.ledger.entry(record.message_id).state is State.SENT else "unknown"

    def _post(self, record: Record, attempt: int) -> Outcome:
        try:
            sent_as = self.connector.post(record, digest(record.message_id))
        except (ClientError, BotoCoreError) as error:
            reason = explain(error)
            self.faults.append(f"event {record.event_id!r} of group {record.group!r}: {reason}")
            if is_declined(error):
                self.ledger.refuse(record, attempt, reason)  # after any other error it may have been sent
            return "failed"
        # If two redrives sent it to a FIFO queue at the same time, the first to confirm it counts it.
        return "sent" if self.ledger.confirm(record, sent_as) else "already"


def _order(record: Record) -> tuple[str, str, str]:
    return _group(record), record.sequence_number, record.message_id


def _group(record: Record) -> str:
    """Return the record's group. A record without one is a group of its own."""
    return record.group or record.message_id

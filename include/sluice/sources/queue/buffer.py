"""Buffers the received messages of a drain, and decides what the drain does next: receive, flush or end.

It has no threads, makes no calls and reads no clock.

SQS returns no more messages of a FIFO group while some of its messages are in flight. So a flush is due as soon as half
of the receivers get empty responses, even if few messages are buffered. Otherwise it is due once the messages fill a
part, or once the oldest has waited for ten seconds.

A drain that dies raises the receive count of all messages that it holds, and SQS moves a message to the dead-letter
queue once it was received too often. So the more often a message was received, the fewer are held beside it: at its
last receive, it is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from sluice.landing.parts import FLUSH_BYTES, FLUSH_MESSAGES, Limits
from sluice.records.record import Record
from sluice.sources.queue.messages import BATCH

FLUSH_SECONDS = 10
_MOST_HELD = 3 * FLUSH_MESSAGES  # more than the receivers and the writer ever hold
_MOST_AT_LAST = (1, 10, 100, 1_000)  # at the last receive, at the one before it, and so on


def most_held(receives: int, max_receives: int) -> int:
    """Return how many messages a drain may hold at once.

    Args:
        receives: How often they have been received, at most.
        max_receives: How often a message is received before SQS moves it to the dead-letter queue.
    """
    if receives < 2:  # nobody has died with it
        return _MOST_HELD
    left = max(0, max_receives - receives)
    return _MOST_AT_LAST[left] if left < len(_MOST_AT_LAST) else _MOST_HELD


@dataclass
class Batch:
    """The messages of one receive.

    Attributes:
        records: Their records, at least one a message.
        handles: Their receipt handles.
        bytes: The size of the messages: their bodies and attributes.
        characters: The size of the records, which may be larger than that of the messages.
        since: When they were received. Times are seconds of a monotonic clock.
        until: Until when they are hidden from other readers.
    """

    records: Sequence[Record]
    handles: Sequence[str]
    bytes: int
    characters: int
    since: float
    until: float


@dataclass(frozen=True)
class ReceiveRequest:
    """A receive that may be made now.

    Attributes:
        most: The most messages to receive.
        is_long_poll: Whether the receive waits for messages.
        flushes: How many flushes had ended before it began.
    """

    most: int
    is_long_poll: bool
    flushes: int


@dataclass
class Buffer:
    """The messages that a drain has received and not yet deleted, and the decisions that follow from them.

    Times are seconds of one monotonic clock.

    Args:
        limits: When the drain ends although more waits.
        receivers: How many receivers there are.
        ends_at: After this moment the drain receives no more.

    Attributes:
        waiting: The batches that wait for a flush.
        flushing: The batches that are being written and deleted.
        closed: Set it to end the drain early.
        most_held: The most messages that are requested, wait or are being flushed.
    """

    limits: Limits
    receivers: int
    ends_at: float
    most_held: int = _MOST_HELD
    waiting: list[Batch] = field(default_factory=list)
    flushing: list[Batch] = field(default_factory=list)
    closed: bool = False
    _requested: int = 0  # the most messages that receives in progress may return
    _polling: int = 0  # long polls in progress
    _messages: int = 0
    _bytes: int = 0
    _flushes: int = 0
    _waiting_records: int = 0
    _waiting_characters: int = 0
    _waiting_messages: int = 0
    _flushing_messages: int = 0
    _empty_poll_after: int = -1  # how many flushes had ended before the latest long poll that returned nothing
    _busy: set[int] = field(init=False)  # receivers whose last receive returned messages, or that have not received yet

    def __post_init__(self) -> None:
        self._busy = set(range(self.receivers))

    def begin_receive(self, receiver: int, now: float) -> ReceiveRequest | None:
        """Return the next receive of a receiver.

        Args:
            receiver: The number of the receiver, from 0.
            now: The current time.

        Returns:
            None if the drain :meth:`is_over`, or if the receiver has to wait until something changes.
        """
        held = self._requested + self._waiting_messages + self._flushing_messages
        most = min(BATCH, self.limits.messages - self._messages - self._requested, self.most_held - held)
        # At most one part waits while another is written, so memory does not grow with the queue.
        has_room = self._waiting_records < FLUSH_MESSAGES and self._waiting_characters < FLUSH_BYTES
        is_long_poll = receiver not in self._busy or self._is_half_idle
        # With few messages, one long poll more than there are busy receivers is enough.
        polls_enough = is_long_poll and self._polling > len(self._busy)
        if most <= 0 or not has_room or polls_enough or self.is_over(now):
            self._busy.discard(receiver)
            return None
        self._requested += most
        self._polling += is_long_poll
        return ReceiveRequest(most, is_long_poll, flushes=self._flushes)

    def end_receive(self, receiver: int, request: ReceiveRequest, batch: Batch | None) -> None:
        """Add the result of a receive.

        Args:
            receiver: The number of the receiver, from 0.
            request: The receive that :meth:`begin_receive` returned.
            batch: The messages; None if there were none.
        """
        self._requested -= request.most
        self._polling -= request.is_long_poll
        if batch is None:
            self._busy.discard(receiver)
            if request.is_long_poll:  # only a long poll queries all servers of SQS
                self._empty_poll_after = max(self._empty_poll_after, request.flushes)
            return
        self._busy.add(receiver)
        self._messages += len(batch.handles)
        self._bytes += batch.bytes
        self._waiting_messages += len(batch.handles)
        self._waiting_records += len(batch.records)
        self._waiting_characters += batch.characters
        self.waiting.append(batch)

    def is_over(self, now: float) -> bool:
        """Return whether the drain receives no more: it is closed, the queue is dry, or a limit is reached."""
        return (
            self.closed
            or self.is_dry
            or now >= self.ends_at
            or self._messages >= self.limits.messages
            or self._bytes >= self.limits.bytes
        )

    @property
    def is_dry(self) -> bool:
        """Whether a long poll returned nothing since the last flush, and no message is in flight."""
        return not self.waiting and not self.flushing and self._empty_poll_after == self._flushes

    def is_due(self, now: float) -> bool:
        """Return whether to flush the waiting batches now."""
        return bool(self.waiting) and (
            self._is_half_idle
            or self._waiting_records >= FLUSH_MESSAGES
            or self._waiting_characters >= FLUSH_BYTES
            or self._waiting_messages >= self.most_held
            or now - self.waiting[0].since >= FLUSH_SECONDS
        )

    @property
    def _is_half_idle(self) -> bool:
        """Whether half of the receivers got empty responses: nearly every group with messages has some in flight."""
        return 2 * len(self._busy) <= self.receivers

    def begin_flush(self) -> Sequence[Batch]:
        """Begin a flush of all waiting batches, and return them."""
        self.flushing, self.waiting = self.waiting, []
        self._flushing_messages = self._waiting_messages
        self._waiting_messages = self._waiting_records = self._waiting_characters = 0
        return self.flushing

    def end_flush(self) -> None:
        """End the flush. Its messages are recorded and deleted, so they need not be hidden any longer."""
        for batch in self.flushing:
            batch.until = inf
        self.flushing = []
        self._flushing_messages = 0
        self._flushes += 1

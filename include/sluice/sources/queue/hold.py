"""Decides what a drain does next: receive, flush or end. It has no threads, makes no calls and reads no clock.

SQS returns no more messages of a FIFO group while some of its messages are in flight. So a flush is due as soon as half
of the receivers get empty responses, however few messages are held. Otherwise it is due once the messages fill a part,
or once the oldest has waited for ten seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from sluice.landing.parts import FLUSH_BYTES, FLUSH_MESSAGES, Limits
from sluice.records.record import Record
from sluice.sources.queue.messages import BATCH

FLUSH_SECONDS = 10


@dataclass
class Batch:
    """The messages of one receive: their ``records``, receipt ``handles``, and ``bytes`` of bodies.

    They are invisible to other readers from ``since`` until ``until``.
    """

    records: Sequence[Record]
    handles: Sequence[str]
    bytes: int
    since: float
    until: float


@dataclass(frozen=True)
class Ask:
    """A receive that may be made now: of at most ``most`` messages, as a long poll if it ``waits``.

    ``flushes`` is how many flushes were done before it.
    """

    most: int
    waits: bool
    flushes: int


@dataclass
class Hold:
    """The messages that a drain holds, and the decisions that follow from them.

    Times are seconds of one monotonic clock. ``waiting`` batches wait for a flush; ``flushing`` ones are being written
    and deleted.

    Args:
        limits: When the drain ends although more waits.
        receivers: How many receivers there are.
        ends_at: After this moment the drain receives no more.
    """

    limits: Limits
    receivers: int
    ends_at: float
    waiting: list[Batch] = field(default_factory=list)
    flushing: list[Batch] = field(default_factory=list)
    closed: bool = False
    _requested: int = 0  # the most messages that receives under way may return
    _polling: int = 0  # long polls under way
    _messages: int = 0
    _bytes: int = 0
    _flushes: int = 0
    _waiting_messages: int = 0
    _waiting_bytes: int = 0
    _empty_poll_after: int = -1  # how many flushes were done before the latest long poll that returned nothing
    _busy: set[int] = field(init=False)  # receivers whose last receive returned messages, and those yet to receive

    def __post_init__(self) -> None:
        self._busy = set(range(self.receivers))

    def ask(self, receiver: int, now: float) -> Ask | None:
        """The next receive of a receiver.

        Returns:
            None if the drain :meth:`is_over`, or if the receiver has to wait until something changes.
        """
        most = min(BATCH, self.limits.messages - self._messages - self._requested)
        # At most one part waits while another is written, so memory stays flat however deep the queue is.
        has_room = self._waiting_messages < FLUSH_MESSAGES and self._waiting_bytes < FLUSH_BYTES
        waits = receiver not in self._busy or self._is_calm
        # With few messages, one long poll more than there are busy receivers is enough.
        is_enough = waits and self._polling > len(self._busy)
        if most <= 0 or not has_room or is_enough or self.is_over(now):
            self._busy.discard(receiver)
            return None
        self._requested += most
        self._polling += waits
        return Ask(most, waits, flushes=self._flushes)

    def answer(self, receiver: int, ask: Ask, batch: Batch | None) -> None:
        """Take the result of a receive; ``batch`` is None if it returned nothing."""
        self._requested -= ask.most
        self._polling -= ask.waits
        if batch is None:
            self._busy.discard(receiver)
            if ask.waits:  # only a long poll queries all servers of SQS
                self._empty_poll_after = max(self._empty_poll_after, ask.flushes)
            return
        self._busy.add(receiver)
        self._messages += len(batch.records)
        self._bytes += batch.bytes
        self._waiting_messages += len(batch.records)
        self._waiting_bytes += batch.bytes
        self.waiting.append(batch)

    def is_over(self, now: float) -> bool:
        """Whether the drain receives no more: it is closed, the queue is dry, or a limit is reached."""
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
        """Whether to flush the waiting batches now."""
        return bool(self.waiting) and (
            self._is_calm
            or self._waiting_messages >= FLUSH_MESSAGES
            or self._waiting_bytes >= FLUSH_BYTES
            or now - self.waiting[0].since >= FLUSH_SECONDS
        )

    @property
    def _is_calm(self) -> bool:
        """Whether half of the receivers got empty responses: nearly every group with messages has some in flight."""
        return 2 * len(self._busy) <= self.receivers

    def take(self) -> Sequence[Batch]:
        """Begin a flush of all waiting batches, and return them."""
        self.flushing, self.waiting = self.waiting, []
        self._waiting_messages = self._waiting_bytes = 0
        return self.flushing

    def flushed(self) -> None:
        """The flush is done: its messages are recorded and deleted, so they need not be hidden any longer."""
        for batch in self.flushing:
            batch.until = inf
        self.flushing = []
        self._flushes += 1

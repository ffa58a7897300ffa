"""What a drain has in its hands, and what follows from it: ask for more, flush, end. No thread, no call, no clock.

A FIFO group gives nothing more while its messages are in flight. So what is held is flushed as soon as half of the
receivers come back with nothing, however little it is; and otherwise when it is a part's worth, or old enough.
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
    """What one receive gave. ``bytes`` of bodies; no other reader gets it from ``since`` until ``until``."""

    records: Sequence[Record]
    handles: Sequence[str]
    bytes: int
    since: float
    until: float


@dataclass(frozen=True)
class Ask:
    """A receive that may be made now: for how many messages, and whether it waits for some to come."""

    most: int
    waits: bool
    flushes: int


@dataclass
class Hold:
    """Times are seconds of one clock; by it, ``ends_at`` is when the drain asks no more."""

    limits: Limits
    receivers: int
    ends_at: float
    waiting: list[Batch] = field(default_factory=list)
    flushing: list[Batch] = field(default_factory=list)
    closed: bool = False
    _asked: int = 0  # messages that receives under way may bring
    _waits: int = 0  # receives under way that wait
    _messages: int = 0
    _bytes: int = 0
    _flushes: int = 0
    _waiting_messages: int = 0
    _waiting_bytes: int = 0
    _vain_after: int = -1  # after how many flushes a receive was asked that waited in vain
    _bringing: set[int] = field(init=False)  # receivers that are about to bring more, for all one knows

    def __post_init__(self) -> None:
        self._bringing = set(range(self.receivers))

    def ask(self, receiver: int, now: float) -> Ask | None:
        """What this receiver may ask for; None when it :meth:`is_over`, or when it has to wait for a change."""
        most = min(BATCH, self.limits.messages - self._messages - self._asked)
        # A part's worth waits while another is written, and no more: memory is flat however deep the queue is.
        has_room = self._waiting_messages < FLUSH_MESSAGES and self._waiting_bytes < FLUSH_BYTES
        waits = receiver not in self._bringing or self._is_calm
        # Where little comes, one receiver more than bring something is enough to wait for it.
        is_enough = waits and self._waits > len(self._bringing)
        if most <= 0 or not has_room or is_enough or self.is_over(now):
            self._bringing.discard(receiver)
            return None
        self._asked += most
        self._waits += waits
        return Ask(most, waits, flushes=self._flushes)

    def answer(self, receiver: int, ask: Ask, batch: Batch | None) -> None:
        """What came of it; None is an empty answer."""
        self._asked -= ask.most
        self._waits -= ask.waits
        if batch is None:
            self._bringing.discard(receiver)
            if ask.waits:  # SQS asks all of its servers only then
                self._vain_after = max(self._vain_after, ask.flushes)
            return
        self._bringing.add(receiver)
        self._messages += len(batch.records)
        self._bytes += batch.bytes
        self._waiting_messages += len(batch.records)
        self._waiting_bytes += batch.bytes
        self.waiting.append(batch)

    def is_over(self, now: float) -> bool:
        """Whether to ask for nothing more: closed, dry, or at a limit."""
        return (
            self.closed
            or self.is_dry
            or now >= self.ends_at
            or self._messages >= self.limits.messages
            or self._bytes >= self.limits.bytes
        )

    @property
    def is_dry(self) -> bool:
        """A receiver has waited in vain since the last flush, and nothing is held that could keep a group back."""
        return not self.waiting and not self.flushing and self._vain_after == self._flushes

    def is_due(self, now: float) -> bool:
        """Whether to flush what waits."""
        return bool(self.waiting) and (
            self._is_calm
            or self._waiting_messages >= FLUSH_MESSAGES
            or self._waiting_bytes >= FLUSH_BYTES
            or now - self.waiting[0].since >= FLUSH_SECONDS
        )

    @property
    def _is_calm(self) -> bool:
        """Half of the receivers find nothing: nearly every group that has messages has some in flight."""
        return 2 * len(self._bringing) <= self.receivers

    def take(self) -> Sequence[Batch]:
        """Begin a flush of all that waits."""
        self.flushing, self.waiting = self.waiting, []
        self._waiting_messages = self._waiting_bytes = 0
        return self.flushing

    def flushed(self) -> None:
        """The flush is done: recorded and deleted. Nobody needs to keep its messages from others any more."""
        for batch in self.flushing:
            batch.until = inf
        self.flushing = []
        self._flushes += 1

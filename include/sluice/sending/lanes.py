"""Sends events, in order within each group, on lanes that run side by side.

The order of a group survives because a group always travels on the same lane, a lane sends one batch after another,
and a batch holds no group twice: so when the service takes a part of a batch only, what is sent again overtakes
nothing of its group. A standard queue keeps no order: there a batch holds what comes.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sluice.aws.retrying import retrying
from sluice.errors import SluiceError

LANES = 8
_WAITING_BATCHES = 4  # per lane: enough to keep it busy, little to hold in memory
_BATCH_SECONDS = 600  # above what all attempts at a batch take with a client of sluice.aws.clients


class SendFailed(SluiceError):
    """The service did not take an event. What was sent before it stays sent; sending all again is safe."""


class _Busy(SendFailed):
    """The fault is the service's: the same event may be taken a moment later."""


@dataclass(frozen=True)
class Event:
    """One event to send: ``id`` and ``group`` as the producer knows them, of any characters and length.

    ``body`` is the JSON text that is delivered verbatim; it holds its own id and event time, under the members
    that the pipeline's source declares.
    """

    id: str
    group: str
    event_time: datetime
    body: str


@dataclass(frozen=True)
class SendResult:
    """How many events the service accepted, in how many batches, and how many of them it ``took``.

    A FIFO queue accepts an event whose id it was sent within the last five minutes, and drops it. The answer bears the
    message id of the first, by which this counts; where the first was sent by another call, SQS does not tell.
    """

    sent: int
    batches: int
    took: int


@dataclass(frozen=True)
class Refusal:
    """Why the service did not take an event; ``of_event`` tells that it never will."""

    event: Event
    reason: str
    of_event: bool


@dataclass(frozen=True)
class Batching:
    """A batch holds at most so many events and bytes, and each group once if it is ``ordered``.

    ``attempts`` is how often the service is asked to take an event.
    """

    events: int
    bytes: int
    attempts: int
    ordered: bool = True


class Carrier(Protocol):
    """What takes events in batches: a ``kind`` of service, and the ``target`` that errors name."""

    @property
    def kind(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def batching(self) -> Batching: ...

    def size(self, event: Event) -> int:
        """Its bytes. Raises SendFailed for an event that can't travel."""

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        """Offer a batch; what was not taken of it."""

    def took(self, accepted: int) -> int:
        """How many of the events that it accepted it keeps: a FIFO queue drops what repeats an id."""


def carry(
    events: Iterable[Event],
    carrier: Carrier,
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Sends ``events``, those of one group in the order given, and returns when the carrier has taken all of them.

    ``events`` may be endless as far as memory goes: it is read only as fast as it is sent. ``on_sent`` is called,
    from several threads, with the number of events of each batch that was taken.

    Raises:
        SendFailed: an event can't travel, or was refused as often as the carrier is asked.
    """
    with ExitStack() as stack:
        senders = [stack.enter_context(_Lane(carrier, on_sent)) for _ in range(lanes)]
        for event in events:
            if not event.id or not event.group:
                raise SendFailed(
                    f"event {event.id!r} of group {event.group!r}: neither may be empty; give both and send again"
                )
            senders[zlib.crc32(event.group.encode()) % lanes].add(event)
        for sender in senders:
            sender.flush()
        for sender in senders:
            sender.finish()
    sent = sum(each.sent for each in senders)
    return SendResult(sent, sum(each.batches for each in senders), took=carrier.took(sent))


class _Lane:
    """One thread that sends batch after batch; after a batch that failed it sends no more."""

    def __init__(self, carrier: Carrier, on_sent: Callable[[int], None]) -> None:
        self.sent = 0
        self.batches = 0
        self._carrier, self._on_sent = carrier, on_sent
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[None]] = deque()
        self._begin_batch()
        self._failed = False

    def _begin_batch(self) -> None:
        self._batch: list[Event] = []
        self._groups: set[str] = set()
        self._bytes = 0

    def __enter__(self) -> _Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def add(self, event: Event) -> None:
        size, most = self._carrier.size(event), self._carrier.batching
        full = len(self._batch) >= most.events or self._bytes + size > most.bytes
        if full or (most.ordered and event.group in self._groups):
            self.flush()
        self._batch.append(event)
        self._groups.add(event.group)
        self._bytes += size

    def flush(self) -> None:
        if self._batch:
            self._waiting.append(self._thread.submit(self._send, tuple(self._batch)))
            self._begin_batch()
        self._wait(_WAITING_BATCHES)

    def finish(self) -> None:
        self._wait(0)

    def _wait(self, most: int) -> None:
        """Until at most that many batches wait; raises what went wrong with the others."""
        while len(self._waiting) > most:
            self._waiting.popleft().result(timeout=_BATCH_SECONDS)

    def _send(self, batch: Sequence[Event]) -> None:
        if self._failed:
            return
        try:
            _send_batch(self._carrier, batch)
        except BaseException:
            # The batches behind this one are on their way already: they must not overtake it.
            self._failed = True
            raise
        self.sent += len(batch)
        self.batches += 1
        self._on_sent(len(batch))


def _send_batch(carrier: Carrier, batch: Sequence[Event]) -> None:
    """Offer a batch, and what was not taken of it once more."""
    left = batch
    for attempt in retrying(_Busy, attempts=carrier.batching.attempts, first=0.2, longest=5):
        with attempt:
            refused = carrier.send(left)
            left = [refusal.event for refusal in refused]
            _raise_for(carrier, refused)


def _raise_for(carrier: Carrier, refused: Sequence[Refusal]) -> None:
    """Raises SendFailed if an event is at fault, else _Busy if any was refused."""
    for refusal in sorted(refused, key=lambda each: not each.of_event):
        busy = (_Busy, f"the fault is the {carrier.kind}'s")
        kind, action = (SendFailed, "mend the event") if refusal.of_event else busy
        raise kind(
            f"{carrier.target} refused event {refusal.event.id!r} of group {refusal.event.group!r} ({refusal.reason}); "
            f"{action}, and send all again"
        )

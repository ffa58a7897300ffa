"""Sends events, in order within each group, on lanes that run in parallel.

A group is always sent on the same lane. A lane sends one batch after another, and a batch has no group twice. So if the
service accepts only some events of a batch, a retry of the others overtakes no event of its group. A standard queue
keeps no order, so there a batch may have a group twice.
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
_WAITING_BATCHES = 4  # per lane: enough to keep it busy, and little memory
_BATCH_SECONDS = 600  # above what all attempts at a batch take with a client of sluice.aws.clients


class SendFailed(SluiceError):
    """The service did not accept an event. Events sent before it stay sent; sending all of them again is safe."""


class _Busy(SendFailed):
    """The service is at fault, so it may accept the same event a moment later."""


@dataclass(frozen=True)
class Event:
    """One event to send.

    Args:
        id: The producer's id of the event, of any characters and length.
        group: The group within which events are ordered, of any characters and length.
        event_time: When the event happened.
        body: JSON text, which is sent verbatim. It has the id and the event time as well, as the members that the
            pipeline's source declares.
    """

    id: str
    group: str
    event_time: datetime
    body: str


@dataclass(frozen=True)
class SendResult:
    """How many events were ``sent``, in how many batches, and how many of them the service ``took``.

    A FIFO queue accepts an event that repeats an id within five minutes, and drops it. SQS then returns the message id
    of the first one, so repeated message ids are counted once. What an earlier call sent can't be recognised.
    """

    sent: int
    batches: int
    took: int


@dataclass(frozen=True)
class Refusal:
    """Why the service refused an event. ``of_event``: the event itself is at fault, so a retry fails as well."""

    event: Event
    reason: str
    of_event: bool


@dataclass(frozen=True)
class Batching:
    """The limits of a batch: how many events and bytes it may have.

    Args:
        attempts: How often an event is sent before it fails.
        ordered: Whether a batch may have each group once only.
    """

    events: int
    bytes: int
    attempts: int
    ordered: bool = True


class Carrier(Protocol):
    """Sends batches of events to a service. ``kind`` and ``target`` name the service in error messages."""

    @property
    def kind(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def batching(self) -> Batching: ...

    def size(self, event: Event) -> int:
        """The size of the event in bytes. Raises SendFailed if the service can't take it."""

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        """Send a batch, and return the events that the service refused."""

    def took(self, accepted: int) -> int:
        """How many of the accepted events the service keeps: a FIFO queue drops those that repeat an id."""


def carry(
    events: Iterable[Event],
    carrier: Carrier,
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Send all events, those of one group in the given order.

    Args:
        events: They are read as fast as they are sent, so memory stays flat however many there are.
        lanes: How many batches are sent in parallel.
        on_sent: Called from several threads after each batch, with the number of its events.

    Raises:
        SendFailed: the service can't take an event, or refused it in every attempt.
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
    """One thread that sends batch after batch. After a batch that failed it sends no more."""

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
        """Wait until at most ``most`` batches are left. Raises the error of a batch that failed."""
        while len(self._waiting) > most:
            self._waiting.popleft().result(timeout=_BATCH_SECONDS)

    def _send(self, batch: Sequence[Event]) -> None:
        if self._failed:
            return
        try:
            _send_batch(self._carrier, batch)
        except BaseException:
            # The batches behind this one are queued already: they must not overtake it.
            self._failed = True
            raise
        self.sent += len(batch)
        self.batches += 1
        self._on_sent(len(batch))


def _send_batch(carrier: Carrier, batch: Sequence[Event]) -> None:
    """Send a batch, and retry the events that the service refused."""
    left = batch
    for attempt in retrying(_Busy, attempts=carrier.batching.attempts, first=0.2, longest=5):
        with attempt:
            refused = carrier.send(left)
            left = [refusal.event for refusal in refused]
            _raise_for(carrier, refused)


def _raise_for(carrier: Carrier, refused: Sequence[Refusal]) -> None:
    """Raise SendFailed if an event is at fault, else _Busy if any was refused."""
    for refusal in sorted(refused, key=lambda each: not each.of_event):
        busy = (_Busy, f"the fault is the {carrier.kind}'s")
        kind, action = (SendFailed, "correct the event") if refusal.of_event else busy
        raise kind(
            f"{carrier.target} refused event {refusal.event.id!r} of group {refusal.event.group!r} ({refusal.reason}); "
            f"{action}, and send all again"
        )

"""Sends events, in order within each group, on lanes that run in parallel.

A group is always sent on the same lane. A lane sends one batch after another, and a batch has at most one event of each
group. So if the service refuses some events of a batch, their retry can't change the order within a group. A standard
queue keeps no order, so its batches may have several events of a group.
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
_WAITING_BATCHES = 4  # per lane: enough to keep it busy with little memory
_BATCH_SECONDS = 600  # longer than all attempts at a batch take with a client of sluice.aws.clients


class SendFailed(SluiceError):
    """The service did not accept an event. Events sent before it stay sent. It is safe to send all of them again."""


class _Busy(SendFailed):
    """The service is at fault, so it may accept the same event a moment later."""


@dataclass(frozen=True)
class Event:
    """One event to send.

    Args:
        id: The producer's id of the event: any characters, any length.
        group: The group within which events are ordered: any characters, any length.
        event_time: When the event happened.
        body: JSON text, which is sent verbatim. It contains the id and the event time as well, as the members that the
            source declares.
    """

    id: str
    group: str
    event_time: datetime
    body: str


@dataclass(frozen=True)
class SendResult:
    """What was sent.

    A FIFO queue accepts an event that repeats an id within five minutes, and drops it. SQS then returns the message id
    of the first one, so repeated message ids are counted once. An event that repeats an id of an earlier call can't be
    recognised.

    Attributes:
        sent: How many events the service accepted.
        batches: How many batches they were sent in.
        kept: How many of the events the service keeps.
    """

    sent: int
    batches: int
    kept: int


@dataclass(frozen=True)
class Refusal:
    """Why the service refused an event.

    Attributes:
        event: The event.
        reason: The service's own reason.
        of_event: Whether the event itself is at fault, so that a retry would fail as well.
    """

    event: Event
    reason: str
    of_event: bool


@dataclass(frozen=True)
class Batching:
    """The limits of a batch.

    Args:
        events: The most events in a batch.
        bytes: The most bytes in a batch.
        attempts: How often an event is sent before it fails.
        ordered: Whether a batch may have at most one event of each group.
    """

    events: int
    bytes: int
    attempts: int
    ordered: bool = True


class Sender(Protocol):
    """Sends batches of events to one queue or stream."""

    @property
    def kind(self) -> str:
        """The kind of the target in error messages: ``queue`` or ``stream``."""

    @property
    def target(self) -> str:
        """The queue or stream, as AWS names it."""

    @property
    def batching(self) -> Batching:
        """The limits of a batch."""

    def size(self, event: Event) -> int:
        """Return the size of an event in bytes.

        Raises:
            SendFailed: the service can't accept the event.
        """

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        """Send a batch and return the events that the service refused."""

    def kept(self, accepted: int) -> int:
        """Return how many of the ``accepted`` events the service keeps: a FIFO queue drops those that repeat an id."""


def send_events(
    events: Iterable[Event],
    sender: Sender,
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Send all events, those of one group in the given order.

    Args:
        events: They are read as fast as they are sent, so memory does not grow with their number.
        sender: Sends the batches.
        lanes: How many batches are sent in parallel.
        on_sent: Called from several threads after each batch, with the number of its events.

    Raises:
        SendFailed: the service can't accept an event, or refused it in every attempt.
    """
    with ExitStack() as stack:
        running = [stack.enter_context(_Lane(sender, on_sent)) for _ in range(lanes)]
        for event in events:
            if not event.id or not event.group:
                raise SendFailed(
                    f"event {event.id!r} of group {event.group!r}: neither may be empty; give both and send again"
                )
            running[zlib.crc32(event.group.encode()) % lanes].add(event)
        for lane in running:
            lane.flush()
        for lane in running:
            lane.finish()
    sent = sum(lane.sent for lane in running)
    return SendResult(sent, sum(lane.batches for lane in running), kept=sender.kept(sent))


class _Lane:
    """One thread that sends batch after batch, and none after a batch that failed."""

    def __init__(self, sender: Sender, on_sent: Callable[[int], None]) -> None:
        self.sent = 0
        self.batches = 0
        self._sender, self._on_sent = sender, on_sent
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
        size, most = self._sender.size(event), self._sender.batching
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
        """Wait until at most ``most`` batches are left. Raise the error of a batch that failed."""
        while len(self._waiting) > most:
            self._waiting.popleft().result(timeout=_BATCH_SECONDS)

    def _send(self, batch: Sequence[Event]) -> None:
        if self._failed:
            return
        try:
            _send_batch(self._sender, batch)
        except BaseException:
            # The batches behind this one are already in the thread's queue: they must not overtake it.
            self._failed = True
            raise
        self.sent += len(batch)
        self.batches += 1
        self._on_sent(len(batch))


def _send_batch(sender: Sender, batch: Sequence[Event]) -> None:
    """Send a batch, and retry the events that the service refused."""
    left = batch
    for attempt in retrying(_Busy, attempts=sender.batching.attempts, first=0.2, longest=5):
        with attempt:
            refused = sender.send(left)
            left = [refusal.event for refusal in refused]
            _raise_for(sender, refused)


def _raise_for(sender: Sender, refused: Sequence[Refusal]) -> None:
    """Raise SendFailed if an event is at fault, else _Busy if any was refused."""
    for refusal in sorted(refused, key=lambda each: not each.of_event):
        busy = (_Busy, f"the fault is the {sender.kind}'s")
        kind, action = (SendFailed, "correct the event") if refusal.of_event else busy
        raise kind(
            f"{sender.target} refused event {refusal.event.id!r} of group {refusal.event.group!r} ({refusal.reason}); "
            f"{action}, and send all again"
        )

"""Sends events to a SQS FIFO queue, in order within each group.

The order of a group survives because a group always travels on the same lane, a lane sends one batch after
another, and a batch holds no group twice: so when the queue takes a part of a batch only, what is sent again
overtakes nothing of its group.
"""

from __future__ import annotations

import hashlib
import string
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from sluice.errors import SluiceError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, SendMessageBatchRequestEntryTypeDef

LANES = 8

_BATCH_EVENTS = 10
_BATCH_BYTES = 1024 * 1024
_ID_CHARACTERS = 128
_ATTEMPTS = 5
_WAITING_BATCHES = 4  # per lane: enough to keep it busy, little to hold in memory
_BATCH_SECONDS = 600  # above what all attempts at a batch take with a client of sluice.aws


class SendFailed(SluiceError):
    """The queue did not take an event. What was sent before it stays sent; sending all again is safe."""


class _Busy(SendFailed):
    """The fault is the queue's: the same event may be taken a moment later."""


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
    """How many events the queue took, in how many batches."""

    sent: int
    batches: int


def send(
    sqs: SQSClient,
    queue_url: str,
    events: Iterable[Event],
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Sends ``events``, those of one group in the order given, and returns when the queue has taken all of them.

    ``events`` may be endless as far as memory goes: it is read only as fast as it is sent. ``on_sent`` is called,
    from several threads, with the number of events of each batch that the queue took.

    Raises:
        SendFailed: an event has an empty id or group, is larger than 1 MiB, or was refused five times.
    """
    with ExitStack() as stack:
        senders = [stack.enter_context(_Lane(sqs, queue_url, on_sent)) for _ in range(lanes)]
        for event in events:
            _check(event)
            senders[zlib.crc32(event.group.encode()) % lanes].add(event)
        for sender in senders:
            sender.flush()
        for sender in senders:
            sender.finish()
    return SendResult(sum(each.sent for each in senders), sum(each.batches for each in senders))


def encoded(name: str) -> str:
    """``name`` as a message group or deduplication id: itself, percent-encoded where it must be.

    What would be longer than the 128 characters that SQS allows becomes the SHA-256 of the name.
    """
    plain = quote(name, safe=string.punctuation.replace("%", ""))
    return plain if len(plain) <= _ID_CHARACTERS else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


class _Lane:
    """One thread that sends batch after batch; after a batch that failed it sends no more."""

    def __init__(self, sqs: SQSClient, queue_url: str, on_sent: Callable[[int], None]) -> None:
        self.sent = 0
        self.batches = 0
        self._sqs, self._queue_url, self._on_sent = sqs, queue_url, on_sent
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[None]] = deque()
        self._batch: list[Event] = []
        self._failed = False

    def __enter__(self) -> _Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def add(self, event: Event) -> None:
        if not _fits(event, self._batch):
            self.flush()
        self._batch.append(event)

    def flush(self) -> None:
        if self._batch:
            self._waiting.append(self._thread.submit(self._send, tuple(self._batch)))
            self._batch = []
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
            _send_batch(self._sqs, self._queue_url, batch)
        except BaseException:
            # The batches behind this one are on their way already: they must not overtake it.
            self._failed = True
            raise
        self.sent += len(batch)
        self.batches += 1
        self._on_sent(len(batch))


def _fits(event: Event, batch: Sequence[Event]) -> bool:
    size = sum(len(each.body.encode()) for each in (*batch, event))
    return len(batch) < _BATCH_EVENTS and size <= _BATCH_BYTES and event.group not in {each.group for each in batch}


def _check(event: Event) -> None:
    if not event.id or not event.group:
        raise SendFailed(f"event {event.id!r} of group {event.group!r}: neither may be empty; give both and send again")
    if len(event.body.encode()) > _BATCH_BYTES:
        raise SendFailed(f"event {event.id!r}: SQS takes bodies of at most 1 MiB; put the rest into S3 and refer to it")


def _send_batch(sqs: SQSClient, queue_url: str, batch: Sequence[Event]) -> None:
    left = batch
    for attempt in Retrying(
        retry=retry_if_exception_type(_Busy),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    ):
        with attempt:
            answer = sqs.send_message_batch(
                QueueUrl=queue_url, Entries=[_entry(place, event) for place, event in enumerate(left)]
            )
            refused = [(left[int(failure["Id"])], failure) for failure in answer.get("Failed", [])]
            left = [event for event, _ in refused]
            _raise_for(queue_url, refused)


def _entry(place: int, event: Event) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(place),
        "MessageBody": event.body,
        "MessageGroupId": encoded(event.group),
        "MessageDeduplicationId": encoded(event.id),
    }


def _raise_for(queue_url: str, refused: Sequence[tuple[Event, BatchResultErrorEntryTypeDef]]) -> None:
    """Raises SendFailed if an event is at fault, else _Busy if any was refused."""
    for event, failure in sorted(refused, key=lambda pair: not pair[1]["SenderFault"]):
        kind, action = (SendFailed, "mend the event") if failure["SenderFault"] else (_Busy, "the fault is the queue's")
        raise kind(
            f"{queue_url} refused event {event.id!r} of group {event.group!r} "
            f"({failure['Code']}: {failure.get('Message', 'no reason given')}); {action}, and send all again"
        )

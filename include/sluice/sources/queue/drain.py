"""Drains a queue into raw parts: receive → write to S3 → record in the manifest → delete (P1).

Several receivers fill a :class:`Buffer`, and one writer flushes it. A heartbeat renews the visibility time-out of the
buffered messages. The buffer decides when to receive and when to flush.

A message on which the process dies (a poison) takes down with it what is held. So a drain holds less, the more often
the messages that it receives were received before.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from sluice.lake.partitions import Partition
from sluice.landing.agreement import middle_time
from sluice.landing.parts import Flush, Landed, Landing, Limits, Parts
from sluice.records.record import Record, first_of
from sluice.sources.queue.buffer import Batch, Buffer, ReceiveRequest, most_held
from sluice.sources.queue.messages import BATCH, Message, MessageQueue, in_batches, size_of
from sluice.sources.queue.progress import Look

RECEIVERS = 8
_LIMITS = Limits()
_MESSAGES_PER_LANE = 20_000
_LONG_POLL_SECONDS = 1
_SECONDS_BETWEEN_CHECKS = 0.2  # how soon a stop or a limit is noticed while nothing arrives

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drained(Landed):
    """The result of one drain of a queue.

    Attributes:
        redelivered: How many messages had been received before.
        is_dry: Whether a long poll returned nothing after all that was received had been deleted.
        after: The counters of the queue at the end.
        times: The middle event times of the flushes.
    """

    redelivered: int
    is_dry: bool
    after: Look
    times: tuple[datetime | None, ...]

    @property
    def empty(self) -> bool:
        """Whether the drain ran dry, and no message was waiting or in flight at the end."""
        return self.is_dry and self.after.backlog == 0


@dataclass(frozen=True)
class Caution:
    """What a drain knows of drains that died.

    Attributes:
        receives: How often the messages that they may have left will have been received, at most.
        max_receives: How often a message is received before SQS moves it to the dead-letter queue.
        note: Called with a higher number of receives, before the messages are read.
    """

    receives: int = 1
    max_receives: int = sys.maxsize
    note: Callable[[int], None] = lambda _: None


def lanes_for(waiting: int, most: int) -> int:
    """Return how many drains to run in parallel: one for each 20,000 messages, at least one.

    Args:
        waiting: How many messages wait.
        most: The most drains.
    """
    return max(1, min(most, -(-waiting // _MESSAGES_PER_LANE)))


def drain(
    queue: MessageQueue,
    read: Callable[[Message], list[Record]],
    landing: Landing,
    limits: Limits = _LIMITS,
    *,
    receivers: int = RECEIVERS,
    on_flush: Callable[[Flush], None] = lambda _: None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
    caution: Caution | None = None,
) -> Drained:
    """Land what waits in the queue, until it is dry, a limit is reached or ``stop`` is set.

    Every message is in a recorded part before it is deleted. After a kill, messages that were not deleted are visible
    again once the queue's visibility time-out has passed, and the next drain lands them again.

    Args:
        queue: The queue.
        read: Makes the records of a message.
        landing: Where the records land.
        limits: When to end although more waits.
        receivers: How many threads receive.
        on_flush: Called after each flush, in the calling thread.
        stop: Set it to end early: the drain finishes the current flush and returns the other messages to the queue.
        clock: Seconds of a monotonic clock.
        caution: How much to hold of what was received before; None to hold as much as of anything else.

    Raises:
        MissingResource: there is no such queue.
        DeleteFailed: SQS failed to delete messages five times; they have landed.
        ConflictingWrite: other writers kept changing a manifest.
    """
    buffer = Buffer(limits, receivers, ends_at=clock() + limits.seconds)
    running = _Drain(queue, read, landing, buffer, stop or threading.Event(), clock, caution or Caution())
    flushes, partitions = running.run(on_flush)
    return Drained(
        messages=sum(flush.messages for flush in flushes),
        bytes=sum(flush.bytes for flush in flushes),
        flushes=len(flushes),
        parts=sum(flush.parts for flush in flushes),
        partitions=tuple(sorted(partitions)),
        redelivered=sum(flush.redelivered for flush in flushes),
        is_dry=buffer.is_dry,
        after=queue.look(),
        times=tuple(flush.middle_time for flush in flushes),
    )


class _Drain:
    """The threads of one drain. They use the buffer under a lock."""

    def __init__(
        self,
        queue: MessageQueue,
        read: Callable[[Message], list[Record]],
        landing: Landing,
        buffer: Buffer,
        stop: threading.Event,
        clock: Callable[[], float],
        caution: Caution,
    ) -> None:
        self._queue, self._read, self._landing = queue, read, landing
        self._buffer, self._stop, self._clock = buffer, stop, clock
        self._caution, self._receives = caution, 1
        buffer.most_held = most_held(caution.receives, caution.max_receives)
        self._changed = threading.Condition()
        self._receiving = buffer.receivers
        self._done = threading.Event()

    def run(self, on_flush: Callable[[Flush], None]) -> tuple[list[Flush], set[Partition]]:
        """Run until the drain is over. The writer runs in the calling thread, which gets the signals."""
        flushes, partitions, receivers = list[Flush](), set[Partition](), range(self._buffer.receivers)
        with ThreadPoolExecutor(len(receivers)) as pool, ThreadPoolExecutor(len(receivers) + 1) as threads:
            parts = Parts(self._landing, pool)
            running = [threads.submit(self._receive_until_over, number) for number in receivers]
            running.append(threads.submit(self._beat_until_done))
            try:
                while batches := self._next_flush():
                    flush, touched = self._flush(batches, parts, pool)
                    flushes.append(flush)
                    partitions.update(touched)
                    on_flush(flush)
                if self._stop.is_set():
                    list(pool.map(self._release, self._buffer.waiting))
            finally:
                self._close()
                self._done.set()
            for each in running:
                each.result()
        return flushes, partitions

    def _close(self) -> None:
        with self._changed:
            self._buffer.closed = True
            self._changed.notify_all()

    # Receivers

    def _receive_until_over(self, number: int) -> None:
        try:
            while request := self._next_receive(number):
                since = self._clock()
                messages = self._queue.receive(request.most, _LONG_POLL_SECONDS if request.is_long_poll else 0)
                self._beware(max((int(each["Attributes"]["ApproximateReceiveCount"]) for each in messages), default=0))
                batch = self._batch(messages, since) if messages else None
                with self._changed:
                    self._buffer.end_receive(number, request, batch)
                    self._changed.notify_all()
        except BaseException:
            self._close()
            raise
        finally:
            with self._changed:
                self._receiving -= 1
                self._changed.notify_all()

    def _next_receive(self, number: int) -> ReceiveRequest | None:
        """Wait until the receiver may receive, and return the request; None once receiving is over."""
        with self._changed:
            while (request := self._buffer.begin_receive(number, self._clock())) is None:
                if self._buffer.is_over(self._clock()):
                    break
                self._changed.wait(_SECONDS_BETWEEN_CHECKS)
            return request

    def _beware(self, receives: int) -> None:
        """Hold less once messages come that were received often. This is noted before any of them is read."""
        with self._changed:
            if receives <= self._receives:
                return
            self._receives = receives
            self._buffer.most_held = min(self._buffer.most_held, most_held(receives, self._caution.max_receives))
        self._caution.note(receives)

    def _batch(self, messages: Sequence[Message], since: float) -> Batch:
        records = [each for message in messages for each in self._read(message)]
        return Batch(
            records=records,
            handles=[message["ReceiptHandle"] for message in messages],
            bytes=sum(map(size_of, messages)),
            characters=sum(record.characters for record in records),
            since=since,
            until=since + self._queue.visibility_seconds,
        )

    # The writer

    def _next_flush(self) -> Sequence[Batch]:
        """Wait until a flush is due, and return its batches; empty once the drain is over."""
        with self._changed:
            while True:
                if self._stop.is_set():
                    self._buffer.closed = True
                elif self._buffer.is_due(self._clock()) or (not self._receiving and self._buffer.waiting):
                    return self._buffer.begin_flush()
                if not self._receiving:
                    return ()
                self._changed.wait(_SECONDS_BETWEEN_CHECKS)

    def _flush(self, batches: Sequence[Batch], parts: Parts, pool: Executor) -> tuple[Flush, list[Partition]]:
        began = self._clock()
        records = [record for batch in batches for record in batch.records]
        touched = parts.land(records)
        handles = [handle for batch in batches for handle in batch.handles]
        in_parallel = map if len(handles) <= BATCH else pool.map  # one call gains nothing from a thread
        expired = sum(in_parallel(self._queue.delete, in_batches(handles)))
        with self._changed:
            self._buffer.end_flush()
            self._changed.notify_all()
        oldest = min(record.sent_at for record in records)
        flush = Flush(
            messages=len(handles),
            bytes=sum(batch.bytes for batch in batches),
            parts=len(touched),
            redelivered=sum(record.receive_count > 1 and first_of(record.attributes) is None for record in records),
            expired=expired,
            seconds=self._clock() - began,
            lag_seconds=(self._landing.lake.now() - oldest).total_seconds(),
            middle_time=middle_time(records),
        )
        return flush, touched

    def _release(self, batch: Batch) -> None:
        self._queue.hide(batch.handles, 0)

    # The heartbeat

    def _beat_until_done(self) -> None:
        """Renew each batch after half of its visibility time-out. If that fails, its messages are received again."""
        timeout = self._queue.visibility_seconds
        while not self._done.wait(timeout / 4):
            with self._changed:
                batches = [*self._buffer.waiting, *self._buffer.flushing]
            for batch in batches:
                now = self._clock()
                if self._done.is_set():
                    return
                if batch.until - now < timeout / 2:
                    self._renew(batch, now + timeout)

    def _renew(self, batch: Batch, until: float) -> None:
        try:
            self._queue.hide(batch.handles, self._queue.visibility_seconds)
            batch.until = until
        except (BotoCoreError, ClientError) as error:
            _log.warning(
                "the visibility time-out of %s messages of %s could not be renewed (%s); if they are received again "
                "before they are deleted, they are landed twice and conformed once",
                len(batch.handles),
                self._queue.url,
                error,
            )

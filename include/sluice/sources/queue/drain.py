"""Drains a queue into raw parts: receive → write to S3 → record in the manifest → delete (P1).

Several receivers fill a hold, and one writer empties it, flush by flush; a heartbeat keeps what is held from other
readers for as long as that takes. When to ask and when to flush, ``hold`` decides.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from sluice.lake.partitions import Partition
from sluice.landing.parts import Flush, Landed, Landing, Limits, Parts
from sluice.records.record import Record
from sluice.sources.queue.hold import Ask, Batch, Hold
from sluice.sources.queue.messages import BATCH, Message, MessageQueue, in_batches

RECEIVERS = 8
_LIMITS = Limits()
_MESSAGES_A_LANE = 20_000
_LONG_POLL_SECONDS = 1
_LOOK_SECONDS = 0.2  # how soon a stop or a limit is seen while nothing arrives

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drained(Landed):
    """What one drain of a queue did. ``empty``: the queue held nothing at its end, neither waiting nor in flight."""

    redelivered: int
    empty: bool


def lanes_for(waiting: int, most: int) -> int:
    """How many drains side by side a backlog is worth: one for each 20,000 messages, at least one."""
    return max(1, min(most, -(-waiting // _MESSAGES_A_LANE)))


def drain(
    queue: MessageQueue,
    read: Callable[[Message], Record],
    landing: Landing,
    limits: Limits = _LIMITS,
    *,
    receivers: int = RECEIVERS,
    on_flush: Callable[[Flush], None] = lambda _: None,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Land what waits in the queue, until it runs dry, a limit is reached or ``stop`` is set.

    Every message is in a recorded part before it is deleted. Killed at any point, the next drain lands again what
    was not deleted, once the queue's own visibility time-out has passed. Stopped, it finishes the flush that is under
    way and gives the rest back at once.

    Args:
        read: makes the record of a message.

    Raises:
        MissingResource: there is no such queue.
        DeleteFailed: SQS failed to delete messages five times; they are landed.
        ConflictingWrite: a manifest could not be written against other writers.
    """
    hold = Hold(limits, receivers, ends_at=clock() + limits.seconds)
    flushes, partitions = _Drain(queue, read, landing, hold, stop or threading.Event(), clock).run(on_flush)
    return Drained(
        messages=sum(flush.messages for flush in flushes),
        bytes=sum(flush.bytes for flush in flushes),
        flushes=len(flushes),
        parts=sum(flush.parts for flush in flushes),
        partitions=tuple(sorted(partitions)),
        redelivered=sum(flush.redelivered for flush in flushes),
        empty=hold.is_dry and queue.backlog() == 0,
    )


class _Drain:
    """The threads of one drain, around a hold that only who has the lock may touch."""

    def __init__(
        self,
        queue: MessageQueue,
        read: Callable[[Message], Record],
        landing: Landing,
        hold: Hold,
        stop: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._read, self._landing = queue, read, landing
        self._hold, self._stop, self._clock = hold, stop, clock
        self._changed = threading.Condition()
        self._receiving = hold.receivers
        self._done = threading.Event()

    def run(self, on_flush: Callable[[Flush], None]) -> tuple[list[Flush], set[Partition]]:
        """Until the drain is over; the writer is the calling thread, so that it sees signals."""
        flushes, partitions, receivers = list[Flush](), set[Partition](), range(self._hold.receivers)
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
                    list(pool.map(self._release, self._hold.waiting))
            finally:
                self._close()
                self._done.set()
            for each in running:
                each.result()
        return flushes, partitions

    def _close(self) -> None:
        with self._changed:
            self._hold.closed = True
            self._changed.notify_all()

    # Receivers

    def _receive_until_over(self, number: int) -> None:
        try:
            while ask := self._ask(number):
                since = self._clock()
                messages = self._queue.receive(ask.most, _LONG_POLL_SECONDS if ask.waits else 0)
                batch = self._batch(messages, since) if messages else None
                with self._changed:
                    self._hold.answer(number, ask, batch)
                    self._changed.notify_all()
        except BaseException:
            self._close()
            raise
        finally:
            with self._changed:
                self._receiving -= 1
                self._changed.notify_all()

    def _ask(self, number: int) -> Ask | None:
        """What to ask for next, once there is room for it; None when receiving is over."""
        with self._changed:
            while (ask := self._hold.ask(number, self._clock())) is None and not self._hold.is_over(self._clock()):
                self._changed.wait(_LOOK_SECONDS)
            return ask

    def _batch(self, messages: Sequence[Message], since: float) -> Batch:
        records = [self._read(message) for message in messages]
        return Batch(
            records=records,
            handles=[message["ReceiptHandle"] for message in messages],
            bytes=sum(len(record.body) for record in records),
            since=since,
            until=since + self._queue.visibility_seconds,
        )

    # The writer

    def _next_flush(self) -> Sequence[Batch]:
        """The batches to flush, as soon as they are due; none when the drain is over."""
        with self._changed:
            while True:
                if self._stop.is_set():
                    self._hold.closed = True
                elif self._hold.is_due(self._clock()) or (not self._receiving and self._hold.waiting):
                    return self._hold.take()
                if not self._receiving:
                    return ()
                self._changed.wait(_LOOK_SECONDS)

    def _flush(self, batches: Sequence[Batch], parts: Parts, pool: Executor) -> tuple[Flush, list[Partition]]:
        began = self._clock()
        records = [record for batch in batches for record in batch.records]
        touched = parts.land(records)
        handles = [handle for batch in batches for handle in batch.handles]
        side_by_side = map if len(handles) <= BATCH else pool.map  # a thread more would only cost time
        expired = sum(side_by_side(self._queue.delete, in_batches(handles)))
        with self._changed:
            self._hold.flushed()
            self._changed.notify_all()
        oldest = min(record.sent_at for record in records)
        flush = Flush(
            messages=len(records),
            bytes=sum(batch.bytes for batch in batches),
            parts=len(touched),
            redelivered=sum(record.receive_count > 1 for record in records),
            expired=expired,
            seconds=self._clock() - began,
            lag_seconds=(self._landing.lake.now() - oldest).total_seconds(),
        )
        return flush, touched

    def _release(self, batch: Batch) -> None:
        self._queue.hide(batch.handles, 0)

    # The heartbeat

    def _beat_until_done(self) -> None:
        """Renew what was held for half of its time. What that fails for comes again, and is conformed once."""
        lasts = self._queue.visibility_seconds
        while not self._done.wait(lasts / 4):
            with self._changed:
                held = [*self._hold.waiting, *self._hold.flushing]
            for batch in held:
                now = self._clock()
                if self._done.is_set():
                    return
                if batch.until - now < lasts / 2:
                    self._renew(batch, now + lasts)

    def _renew(self, batch: Batch, until: float) -> None:
        try:
            self._queue.hide(batch.handles, self._queue.visibility_seconds)
            batch.until = until
        except (BotoCoreError, ClientError) as error:
            _log.warning(
                "%s messages of %s could not be held any longer (%s); if they come again before they are deleted, they "
                "are landed twice and conformed once",
                len(batch.handles),
                self._queue.url,
                error,
            )

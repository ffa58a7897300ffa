"""Messages of a dead-letter queue: looked at and put back, or taken in waves and deleted once they were sent back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sluice.records.record import Record
from sluice.sources.contract import Letter
from sluice.sources.queue.messages import BATCH, Message, MessageQueue, in_batches

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Well inside the five minutes of deduplication: what a killed redrive took comes again in time to be sent again safely.
HELD_SECONDS = 60


@dataclass(frozen=True)
class DeadLetterQueue:
    """One dead-letter queue, by its URL; ``read`` makes the record of a message."""

    sqs: SQSClient
    url: str
    read: Callable[[Message], Record]

    @cached_property
    def _queue(self) -> MessageQueue:
        return MessageQueue(self.sqs, self.url)

    def count(self) -> int:
        """SQS's approximate count."""
        return self._queue.backlog()

    def peek(self, most: int) -> list[Letter]:
        """At most so many messages, put back at once.

        Of one group of a FIFO queue that is at most what one receive gives: the others stay behind these.
        """
        seen: list[Letter] = []
        try:
            while len(seen) < most and (wave := self.take(most - len(seen))):
                seen.extend(wave)
        finally:
            self.put_back(seen)
        return seen

    def take(self, most: int) -> list[Letter]:
        """At most ten messages, nobody else's for a minute; none if nothing came within a second."""
        messages = self._queue.receive(min(most, BATCH), wait_seconds=1, held_seconds=HELD_SECONDS)
        return [Letter(self.read(message), message["ReceiptHandle"]) for message in messages]

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make them visible now; what SQS does not put back comes back by itself within the minute."""
        for batch in in_batches([each.receipt for each in letters]):
            self._queue.hide(batch, 0)

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete at most ten; returns those that SQS did not delete."""
        if not letters:
            return []
        return [letters[int(failed["Id"])] for failed in self._queue.delete_once([each.receipt for each in letters])]

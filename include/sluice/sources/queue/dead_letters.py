"""Reads a dead-letter queue: peeks at its messages, or receives them and deletes those that were sent back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sluice.records.record import Record
from sluice.sources.contract import Letter
from sluice.sources.queue.messages import BATCH, Message, MessageQueue, in_batches

# Much shorter than the five minutes of deduplication, so that after a kill it is still safe to send the messages again.
HIDDEN_SECONDS = 60


@dataclass(frozen=True)
class DeadLetterQueue:
    """One dead-letter queue.

    Args:
        queue: The queue at AWS.
        read: Makes the record of a message.
    """

    queue: MessageQueue
    read: Callable[[Message], Record]

    def count(self) -> int:
        """Return SQS's approximate count."""
        return self.queue.look().backlog

    def peek(self, most: int) -> list[Letter]:
        """Read at most ``most`` messages, and put them back.

        Of each group of a FIFO queue, it sees only the messages of one receive: until they are put back, SQS blocks the
        rest of the group.
        """
        seen: list[Letter] = []
        try:
            while len(seen) < most and (wave := self.take(most - len(seen))):
                seen.extend(wave)
        finally:
            self.put_back(seen)
        return seen

    def take(self, most: int) -> list[Letter]:
        """Receive at most ten messages and hide them for a minute; empty if none arrives within a second."""
        messages = self.queue.receive(min(most, BATCH), wait_seconds=1, hidden_seconds=HIDDEN_SECONDS)
        return [Letter(self.read(message), message["ReceiptHandle"]) for message in messages]

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make messages visible now. If SQS fails to do so, they are visible again within the minute."""
        for batch in in_batches([each.receipt for each in letters]):
            self.queue.hide(batch, 0)

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete at most ten messages.

        Returns:
            The messages that SQS did not delete.
        """
        if not letters:
            return []
        return [letters[int(failed["Id"])] for failed in self.queue.delete_once([each.receipt for each in letters])]

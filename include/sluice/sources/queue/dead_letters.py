"""Messages of a dead-letter queue: looked at and put back, or taken in waves and deleted once they were sent back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice.records.record import Record
from sluice.sources.contract import Letter
from sluice.sources.queue.messages import BATCH, Message, backlog, in_batches

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

    def count(self) -> int:
        """SQS's approximate count."""
        return backlog(self.sqs, self.url)

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
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(most, BATCH),
            VisibilityTimeout=HELD_SECONDS,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: Any = answer.get("Messages", [])
        return [Letter(self.read(message), message["ReceiptHandle"]) for message in messages]

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Make them visible now; what SQS does not put back comes back by itself within the minute."""
        for batch in in_batches([each.receipt for each in letters]):
            entries: Any = [
                {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": 0} for n, receipt in enumerate(batch)
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete at most ten; returns those that SQS did not delete."""
        if not letters:
            return []
        entries: Any = [{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(letters)]
        failed = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries).get("Failed", [])
        return [letters[int(failure["Id"])] for failure in failed]

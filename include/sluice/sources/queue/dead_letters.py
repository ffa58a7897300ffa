"""Messages of a dead-letter queue: looked at and put back, or taken in waves and deleted once they were sent back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice.sources.queue.messages import BATCH, Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Well inside the five minutes of deduplication: what a killed redrive took comes again in time to be sent again safely.
HELD_SECONDS = 60


@dataclass(frozen=True)
class DeadLetterQueue:
    """One dead-letter queue, by its URL."""

    sqs: SQSClient
    url: str

    def peek(self, most: int) -> list[Message]:
        """At most so many messages, put back at once.

        Of one group of a FIFO queue that is at most what one receive gives: the others stay behind these.
        """
        seen: list[Message] = []
        try:
            while len(seen) < most and (wave := self.take(most - len(seen))):
                seen.extend(wave)
        finally:
            self.put_back(seen)
        return seen

    def take(self, most: int) -> list[Message]:
        """At most ten messages, nobody else's for a minute; none if nothing came within a second."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(most, BATCH),
            VisibilityTimeout=HELD_SECONDS,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def put_back(self, messages: Sequence[Message]) -> None:
        """Make them visible now; what SQS does not put back comes back by itself within the minute."""
        for start in range(0, len(messages), BATCH):
            entries: Any = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0}
                for n, each in enumerate(messages[start : start + BATCH])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete at most ten; returns those that SQS did not delete."""
        if not messages:
            return []
        entries: Any = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        failed = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries).get("Failed", [])
        return [messages[int(failure["Id"])] for failure in failed]

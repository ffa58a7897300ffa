"""Sends events to an SQS queue, on the lanes of :mod:`sluice.sending.lanes`."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from sluice.sending.lanes import Batching, Event, Refusal, SendFailed
from sluice.sources.queue.distinct import DistinctMessages
from sluice.sources.queue.messages import BATCH, MessageQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_MOST_BYTES = 1024 * 1024  # of one SQS message, and of a batch
_MOST_ID_CHARACTERS = 128
_ATTEMPTS = 5
# The characters that a message can't contain (SQS API reference, SendMessage).
_NOT_IN_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def encoded(name: str) -> str:
    """Encode a name as a message group or deduplication id.

    Characters that SQS does not allow are percent-encoded. A result of more than 128 characters is replaced by the
    SHA-256 of the name.
    """
    plain = quote(name, safe=string.punctuation.replace("%", ""))
    return plain if len(plain) <= _MOST_ID_CHARACTERS else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@dataclass(frozen=True)
class QueueSender:
    """Sends to an SQS queue. A standard queue has no groups, and does not drop a repeated id.

    Args:
        queue: The queue at AWS.
        kind: The kind of the target in error messages.
        messages: Counts the messages that a FIFO queue keeps.
    """

    queue: MessageQueue
    kind: str = "queue"
    messages: DistinctMessages = field(default_factory=DistinctMessages)

    @property
    def target(self) -> str:
        """The URL of the queue."""
        return self.queue.url

    @property
    def batching(self) -> Batching:
        """The limits of SQS. Only a FIFO queue keeps the order of a group."""
        return Batching(BATCH, _MOST_BYTES, _ATTEMPTS, ordered=self.queue.is_fifo)

    def size(self, event: Event) -> int:
        """Return the size of an event's body in bytes.

        Raises:
            SendFailed: the body is empty, too large, or contains a character that SQS does not accept.
        """
        forbidden = _NOT_IN_SQS.search(event.body)
        if forbidden:
            raise SendFailed(
                f"event {event.id!r}: body contains the character {forbidden[0]!a}, which SQS does not accept"
            )
        size = len(event.body.encode())
        if not 0 < size <= _MOST_BYTES:
            raise SendFailed(
                f"event {event.id!r}: body has {size} bytes; SQS accepts 1 byte to 1 MiB: put the rest into S3 and "
                f"refer to it"
            )
        return size

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        """Send at most ten events and return those that SQS refused."""
        response = self.queue.sqs.send_message_batch(
            QueueUrl=self.target, Entries=[self._entry(place, event) for place, event in enumerate(batch)]
        )
        self.messages.add(accepted["MessageId"] for accepted in response.get("Successful", []))
        return [
            Refusal(
                batch[int(failure["Id"])],
                f"{failure['Code']}: {failure.get('Message', 'no reason given')}",
                of_event=failure["SenderFault"],
            )
            for failure in response.get("Failed", [])
        ]

    def kept(self, accepted: int) -> int:
        """Return how many distinct messages SQS has accepted."""
        return self.messages.count

    def _entry(self, place: int, event: Event) -> SendMessageBatchRequestEntryTypeDef:
        if not self.queue.is_fifo:
            return {"Id": str(place), "MessageBody": event.body}
        return {
            "Id": str(place),
            "MessageBody": event.body,
            "MessageGroupId": encoded(event.group),
            "MessageDeduplicationId": encoded(event.id),
        }

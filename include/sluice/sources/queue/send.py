"""Sends events to an SQS queue, on the lanes of :mod:`sluice.sending.lanes`."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from sluice.sending.lanes import LANES, Batching, Event, Refusal, SendFailed, SendResult, send_events
from sluice.sources.queue.distinct import DistinctMessages
from sluice.sources.queue.messages import BATCH

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_MOST_BYTES = 1024 * 1024  # of one SQS message, and of a batch
_MOST_ID_CHARACTERS = 128
_ATTEMPTS = 5
# The characters that a message can't contain (SQS API reference, SendMessage).
_NOT_IN_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def send(
    sqs: SQSClient,
    queue_url: str,
    events: Iterable[Event],
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Send ``events`` to a queue as :func:`sluice.sending.lanes.send_events` does.

    Args:
        sqs: A client of SQS.
        queue_url: The URL of the queue; it ends in ``.fifo`` for a FIFO queue.
        events: The events, in order within each group.
        lanes: How many batches are sent in parallel.
        on_sent: Called from several threads after each batch, with the number of its events.

    Raises:
        SendFailed: an event has an empty id or group, SQS can't accept its body, or it was refused five times.
    """
    return send_events(events, QueueSender(sqs, queue_url), lanes=lanes, on_sent=on_sent)


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
        sqs: A client of SQS.
        target: The URL of the queue.
        kind: The kind of the target in error messages.
        messages: Counts the messages that a FIFO queue keeps.
    """

    sqs: SQSClient
    target: str
    kind: str = "queue"
    messages: DistinctMessages = field(default_factory=DistinctMessages)

    @property
    def _is_fifo(self) -> bool:
        return self.target.endswith(".fifo")

    @property
    def batching(self) -> Batching:
        """The limits of SQS. Only a FIFO queue keeps the order of a group."""
        return Batching(BATCH, _MOST_BYTES, _ATTEMPTS, ordered=self._is_fifo)

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
        response = self.sqs.send_message_batch(
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
        if not self._is_fifo:
            return {"Id": str(place), "MessageBody": event.body}
        return {
            "Id": str(place),
            "MessageBody": event.body,
            "MessageGroupId": encoded(event.group),
            "MessageDeduplicationId": encoded(event.id),
        }

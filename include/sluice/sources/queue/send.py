"""Sends events to an SQS queue, on the lanes of :mod:`sluice.sending.lanes`."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from sluice.sending.lanes import LANES, Batching, Event, Refusal, SendFailed, SendResult, carry
from sluice.sources.queue.distinct import DistinctMessages
from sluice.sources.queue.messages import BATCH

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BYTES = 1024 * 1024  # of one SQS message, and of a batch
_ID_CHARACTERS = 128
_ATTEMPTS = 5
# SQS API reference, SendMessage: a message holds no other characters.
_NOT_IN_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def send(
    sqs: SQSClient,
    queue_url: str,
    events: Iterable[Event],
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Send ``events`` to a queue as :func:`sluice.sending.lanes.carry` does.

    Args:
        queue_url: Ends in ``.fifo`` for a FIFO queue.
        lanes: How many batches are sent in parallel.
        on_sent: Called from several threads after each batch, with the number of its events.

    Raises:
        SendFailed: an event has an empty id or group, SQS can't take its body, or it was refused five times.
    """
    return carry(events, QueueCarrier(sqs, queue_url), lanes=lanes, on_sent=on_sent)


def encoded(name: str) -> str:
    """Encode a name as a message group or deduplication id.

    Characters that SQS does not allow are percent-encoded. A result of more than 128 characters is replaced by the
    SHA-256 of the name.
    """
    plain = quote(name, safe=string.punctuation.replace("%", ""))
    return plain if len(plain) <= _ID_CHARACTERS else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@dataclass(frozen=True)
class QueueCarrier:
    """Sends to an SQS queue. A standard queue has no groups and drops no repeated id."""

    sqs: SQSClient
    target: str
    kind: str = "queue"
    messages: DistinctMessages = field(default_factory=DistinctMessages)

    @property
    def _is_fifo(self) -> bool:
        return self.target.endswith(".fifo")

    @property
    def batching(self) -> Batching:
        return Batching(BATCH, _BYTES, _ATTEMPTS, ordered=self._is_fifo)

    def size(self, event: Event) -> int:
        forbidden = _NOT_IN_SQS.search(event.body)
        if forbidden:
            raise SendFailed(f"event {event.id!r}: body holds the character {forbidden[0]!a}, which SQS does not take")
        size = len(event.body.encode())
        if not 0 < size <= _BYTES:
            raise SendFailed(
                f"event {event.id!r}: body has {size} bytes; SQS takes 1 byte to 1 MiB: put the rest into S3 and refer "
                f"to it"
            )
        return size

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        response = self.sqs.send_message_batch(
            QueueUrl=self.target, Entries=[self._entry(place, event) for place, event in enumerate(batch)]
        )
        self.messages.add(taken["MessageId"] for taken in response.get("Successful", []))
        return [
            Refusal(
                batch[int(failure["Id"])],
                f"{failure['Code']}: {failure.get('Message', 'no reason given')}",
                of_event=failure["SenderFault"],
            )
            for failure in response.get("Failed", [])
        ]

    def took(self, accepted: int) -> int:
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

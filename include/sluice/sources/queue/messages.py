"""The calls of one SQS queue, in batches of ten. Each entry of a response is checked for its own failure."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sluice.aws.retrying import retrying
from sluice.aws.wire import SqsWire
from sluice.errors import MissingResource, SluiceError
from sluice.sources.queue.progress import Look

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10  # the most messages that SQS returns, deletes or hides in one call
_DELETE_ATTEMPTS = 5
_MOST_HIDDEN_SECONDS = 43_200

Message = Mapping[str, Any]


class DeleteFailed(SluiceError):
    """Messages are durable in the lake but still on the queue: they will be landed again, and conformed once."""


@dataclass(frozen=True)
class MessageQueue:
    """One queue. Thread-safe.

    Args:
        sqs: A client of SQS.
        url: The URL of the queue.
    """

    sqs: SQSClient
    url: str

    @cached_property
    def _wire(self) -> SqsWire:
        return SqsWire(self.sqs)

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of a group."""
        return self.url.endswith(".fifo")

    @cached_property
    def visibility_seconds(self) -> int:
        """The queue's visibility time-out, in seconds: how long a received message is hidden from other readers."""
        return max(1, int(self.look().visibility.total_seconds()))

    def look(self) -> Look:
        """Read the counters of the queue, with the service's time. Nothing is received.

        Raises:
            MissingResource: there is no such queue.
        """
        try:
            response = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        except self.sqs.exceptions.QueueDoesNotExist as error:
            raise MissingResource(
                f"queue {self.url} is gone; something outside Sluice deleted it: make it again as "
                f"`sluice provision --dry-run` prints it for its pipeline"
            ) from error
        attributes = response["Attributes"]
        return Look(
            at=parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]),
            waiting=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
            visibility=timedelta(seconds=int(attributes["VisibilityTimeout"])),
        )

    def receive(self, most: int, wait_seconds: int, hidden_seconds: int | None = None) -> Sequence[Message]:
        """Receive messages with all their attributes.

        Args:
            most: How many at most, 1 to 10.
            wait_seconds: How long a long poll waits, 0 to 20; 0 returns at once.
            hidden_seconds: How long they are hidden from other readers; None for the queue's visibility time-out.
        """
        request: dict[str, Any] = {
            "QueueUrl": self.url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait_seconds,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if hidden_seconds is not None:
            request["VisibilityTimeout"] = hidden_seconds
        if self.is_fifo:
            # If a response is lost, a retry with the same attempt id returns the same messages. With another id, their
            # groups would be locked.
            request["ReceiveRequestAttemptId"] = str(uuid4())
        response = self._wire.call("ReceiveMessage", request)
        if response is None:
            try:
                return self.sqs.receive_message(**request).get("Messages", [])
            except self.sqs.exceptions.OverLimit:
                return ()  # 120,000 messages of a standard queue are in flight; for a FIFO queue the response is empty
        messages: Sequence[Message] = response.get("Messages", ())
        for message in messages:
            for value in message.get("MessageAttributes", {}).values():
                if "BinaryValue" in value:
                    value["BinaryValue"] = b64decode(value["BinaryValue"])
        return messages

    def delete(self, handles: Sequence[str]) -> int:
        """Delete at most 10 received messages.

        Args:
            handles: Their receipt handles.

        Returns:
            How many have an expired receipt: they were not deleted, and will be received again.

        Raises:
            DeleteFailed: SQS failed to delete messages five times.
        """
        left, expired = list(handles), 0
        for attempt in retrying(DeleteFailed, attempts=_DELETE_ATTEMPTS, first=0.2, longest=5):
            with attempt:
                failed = self.delete_once(left)
                expired += sum(failure["SenderFault"] for failure in failed)
                left = [left[int(failure["Id"])] for failure in failed if not failure["SenderFault"]]
                if left:
                    first = next(failure for failure in failed if not failure["SenderFault"])
                    raise DeleteFailed(
                        f"{len(left)} messages of {self.url} are landed but could not be deleted "
                        f"({first.get('Code')}: {first.get('Message')}); run the ingest again"
                    )
        return expired

    def delete_once(self, handles: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Delete at most 10 received messages, in one attempt.

        Args:
            handles: Their receipt handles.

        Returns:
            SQS's entries of the messages that it did not delete. ``Id`` is the index in ``handles``.
        """
        return self._batch("DeleteMessageBatch", [{"ReceiptHandle": handle} for handle in handles])

    def hide(self, handles: Sequence[str], seconds: int) -> None:
        """Hide at most 10 received messages from other readers.

        An expired receipt is no error: its message has been deleted, or is visible again.

        Args:
            handles: Their receipt handles.
            seconds: For how long from now, in seconds; 0 makes them visible.
        """
        hidden = min(seconds, _MOST_HIDDEN_SECONDS)
        self._batch(
            "ChangeMessageVisibilityBatch",
            [{"ReceiptHandle": handle, "VisibilityTimeout": hidden} for handle in handles],
        )

    def _batch(self, operation: str, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Make a batch call, and return its failed entries. ``Id`` is the index in ``entries``."""
        request: dict[str, Any] = {
            "QueueUrl": self.url,
            "Entries": [{"Id": str(place), **entry} for place, entry in enumerate(entries)],
        }
        response = self._wire.call(operation, request)
        if response is None:
            calls: Mapping[str, Any] = {
                "DeleteMessageBatch": self.sqs.delete_message_batch,
                "ChangeMessageVisibilityBatch": self.sqs.change_message_visibility_batch,
            }
            response = calls[operation](**request)
        failed: Sequence[Mapping[str, Any]] = response.get("Failed", ())
        return failed


def size_of(message: Message) -> int:
    """Return about how many bytes a received message has: its body, and the names and values of its attributes."""
    attributes = message.get("MessageAttributes", {})
    return len(message["Body"]) + sum(
        len(name) + len(value.get("StringValue") or value.get("BinaryValue") or "")
        for name, value in attributes.items()
    )


def in_batches(handles: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split receipt handles into batches of ten."""
    for start in range(0, len(handles), BATCH):
        yield handles[start : start + BATCH]

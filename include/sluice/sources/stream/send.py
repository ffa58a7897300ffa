"""Sends events to a Kinesis stream, for :mod:`sluice.sending.lanes`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sluice.sending.lanes import Batching, Event, Refusal, SendFailed
from sluice.sources.stream.shards import KinesisStream

# A shard accepts 1 MiB a second, so a full batch for a single shard needs five seconds of retries.
_ATTEMPTS = 10
# Kinesis API reference, PutRecords: 500 records and 5 MiB a call, 1 MiB a record. Partition keys count.
_BATCHING = Batching(events=500, bytes=5 * 1024 * 1024, attempts=_ATTEMPTS)
_MOST_EVENT_BYTES = 1024 * 1024
_MOST_KEY_CHARACTERS = 256


def partition_key(group: str) -> str:
    """Return the group, or its SHA-256 if the group is longer than the 256 characters that Kinesis allows."""
    return group if len(group) <= _MOST_KEY_CHARACTERS else f"sha256:{hashlib.sha256(group.encode()).hexdigest()}"


@dataclass(frozen=True)
class StreamSender:
    """Sends to a Kinesis stream.

    Args:
        stream: The stream at AWS.
        kind: The kind of the target in error messages.
        batching: The limits of PutRecords.
    """

    stream: KinesisStream
    kind: str = "stream"
    batching: Batching = _BATCHING

    @property
    def target(self) -> str:
        """The name of the stream."""
        return self.stream.name

    def size(self, event: Event) -> int:
        """Return the size of an event's body and partition key in bytes.

        Raises:
            SendFailed: the size is more than 1 MiB.
        """
        size = len(event.body.encode()) + len(partition_key(event.group).encode())
        if size > _MOST_EVENT_BYTES:
            raise SendFailed(
                f"event {event.id!r}: Kinesis accepts bodies of at most 1 MiB with their group; put the rest into S3 "
                f"and refer to it"
            )
        return size

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        """Send a batch and return the events that Kinesis refused."""
        response = self.stream.kinesis.put_records(
            StreamName=self.target,
            Records=[{"Data": event.body.encode(), "PartitionKey": partition_key(event.group)} for event in batch],
        )
        # In a call that succeeds, a refused record is Kinesis's fault: the shard is busy, or an internal failure.
        return [
            Refusal(event, f"{result['ErrorCode']}: {result.get('ErrorMessage', 'no reason given')}", of_event=False)
            for event, result in zip(batch, response["Records"], strict=True)
            if result.get("ErrorCode")
        ]

    def kept(self, accepted: int) -> int:
        """Return ``accepted``: Kinesis keeps every event."""
        return accepted

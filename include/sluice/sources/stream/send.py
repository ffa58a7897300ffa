"""Sends events to a Kinesis stream, in order within each group, on the lanes of :mod:`sluice.sending.lanes`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.sending.lanes import LANES, Batching, Event, Refusal, SendFailed, SendResult, carry

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

# A shard takes 1 MiB a second, so a full batch for a single shard takes five seconds.
_ATTEMPTS = 10
# Kinesis API reference, PutRecords: 500 records and 5 MiB a call, 1 MiB a record, partition keys counted as well.
_BATCHING = Batching(events=500, bytes=5 * 1024 * 1024, attempts=_ATTEMPTS)
_EVENT_BYTES = 1024 * 1024
_KEY_CHARACTERS = 256


def send_to_stream(
    kinesis: KinesisClient,
    stream_name: str,
    events: Iterable[Event],
    *,
    lanes: int = LANES,
    on_sent: Callable[[int], None] = lambda _: None,
) -> SendResult:
    """Send ``events`` to a stream as :func:`sluice.sending.lanes.carry` does; the partition key is the group.

    Args:
        stream_name: The name of the stream at AWS.
        lanes: How many batches are sent in parallel.
        on_sent: Called from several threads after each batch, with the number of its events.

    Raises:
        SendFailed: an event has an empty id or group, is larger than 1 MiB, or was refused ten times.
    """
    return carry(events, StreamCarrier(kinesis, stream_name), lanes=lanes, on_sent=on_sent)


def partition_key(group: str) -> str:
    """The group itself, or its SHA-256 where it is longer than the 256 characters that Kinesis allows."""
    return group if len(group) <= _KEY_CHARACTERS else f"sha256:{hashlib.sha256(group.encode()).hexdigest()}"


@dataclass(frozen=True)
class StreamCarrier:
    """Sends to a Kinesis stream. ``target`` is its name."""

    kinesis: KinesisClient
    target: str
    kind: str = "stream"
    batching: Batching = _BATCHING

    def size(self, event: Event) -> int:
        size = len(event.body.encode()) + len(partition_key(event.group).encode())
        if size > _EVENT_BYTES:
            raise SendFailed(
                f"event {event.id!r}: Kinesis takes bodies of at most 1 MiB with their group; put the rest into S3 and "
                f"refer to it"
            )
        return size

    def send(self, batch: Sequence[Event]) -> Sequence[Refusal]:
        response = self.kinesis.put_records(
            StreamName=self.target,
            Records=[{"Data": event.body.encode(), "PartitionKey": partition_key(event.group)} for event in batch],
        )
        # In a call that succeeds, a refused record is Kinesis's fault: the shard is busy, or an internal failure.
        return [
            Refusal(event, f"{result['ErrorCode']}: {result.get('ErrorMessage', 'no reason given')}", of_event=False)
            for event, result in zip(batch, response["Records"], strict=True)
            if result.get("ErrorCode")
        ]

    def took(self, accepted: int) -> int:
        return accepted

"""Drains a queue into raw parts: receive → write to S3 → record in the manifest → delete (P1).

A FIFO group gives nothing more while its messages are in flight, so a drain flushes as soon as receives run dry
with messages held, and otherwise when it holds a part's worth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from sluice.errors import MissingResource, SluiceError
from sluice.lake import Lake
from sluice.landing.parts import land
from sluice.landing.records import record_from_sqs
from sluice.partitions import Partition
from sluice.pipeline import Grain
from sluice.sources import Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10  # the most that SQS gives or deletes in one call
RECEIVERS = 8
_FLUSH_MESSAGES = 5_000
_MESSAGES_A_LANE = 20_000
_LONG_POLL_SECONDS = 1
_DELETE_ATTEMPTS = 5

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """Where one drain ends, whatever waits in the queue: it stops after the flush that passes either bound."""

    messages: int = 100_000
    seconds: float = 600


@dataclass(frozen=True)
class Drained:
    """What one drain did. ``empty``: the queue held nothing at its end, neither waiting nor in flight."""

    messages: int
    parts: int
    partitions: tuple[Partition, ...]
    empty: bool


class DeleteFailed(SluiceError):
    """Messages are durable in the lake but still on the queue: they will be landed again, and conformed once."""


def backlog(sqs: SQSClient, queue_url: str) -> int:
    """How many messages wait, are in flight or delayed: SQS's own approximate counts, nothing is received.

    Raises:
        MissingResource: there is no such queue.
    """
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    except sqs.exceptions.QueueDoesNotExist as error:
        raise MissingResource(
            f"queue {queue_url} is gone; something outside Sluice deleted it: make it again as "
            f"include/cloud/pipeline.yaml has it"
        ) from error
    return (
        int(attributes["ApproximateNumberOfMessages"])
        + int(attributes["ApproximateNumberOfMessagesNotVisible"])
        + int(attributes["ApproximateNumberOfMessagesDelayed"])
    )


def lanes_for(waiting: int, most: int) -> int:
    """How many drains side by side a backlog is worth: one for each 20,000 messages, at least one."""
    return max(1, min(most, -(-waiting // _MESSAGES_A_LANE)))


def drain(
    sqs: SQSClient,
    queue_url: str,
    lake: Lake,
    source: Queue,
    every: Grain,
    limits: Limits = Limits(),
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Land what waits in the queue, until it runs dry or a limit is reached.

    Every message is in a recorded part before it is deleted. Killed at any point, the next drain lands again what
    was not deleted, once the queue's own visibility time-out has passed.

    Raises:
        DeleteFailed: SQS refused to delete messages five times; they are landed.
        ConflictingWrite: a manifest could not be written against other writers.
    """
    started = clock()
    landed, parts, touched = 0, 0, set[Partition]()
    with ThreadPoolExecutor(RECEIVERS) as pool:
        while landed < limits.messages and clock() - started < limits.seconds:
            messages = _receive(pool, sqs, queue_url, min(_FLUSH_MESSAGES, limits.messages - landed))
            if not messages:
                return Drained(landed, parts, tuple(sorted(touched)), empty=backlog(sqs, queue_url) == 0)
            written = land([record_from_sqs(message, source) for message in messages], lake, source.name, every, pool)
            list(pool.map(partial(_delete, sqs, queue_url), _batches(messages)))
            landed += len(messages)
            parts += len(written)
            touched.update(written)
    return Drained(landed, parts, tuple(sorted(touched)), empty=False)


def _receive(pool: ThreadPoolExecutor, sqs: SQSClient, queue_url: str, most: int) -> list[Message]:
    held: list[Message] = []

    def receive(wait_seconds: int) -> Sequence[Message]:
        answer = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    while len(held) < most:
        receivers = min(RECEIVERS, -(-(most - len(held)) // BATCH))
        wave = list(pool.map(receive, [0 if held else _LONG_POLL_SECONDS] * receivers))
        held.extend(message for messages in wave for message in messages)
        if 2 * sum(map(bool, wave)) < receivers:
            break  # nearly every group that has messages has some in flight: only a flush gets more
    return held


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    for start in range(0, len(messages), BATCH):
        yield messages[start : start + BATCH]


def _delete(sqs: SQSClient, queue_url: str, messages: Sequence[Message]) -> None:
    """Delete one batch, and what SQS did not delete of it once more: the handles of the others are used up."""
    left = messages
    for attempt in Retrying(
        retry=retry_if_exception_type(DeleteFailed),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_attempt(_DELETE_ATTEMPTS),
        reraise=True,
    ):
        with attempt:
            entries: Any = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(left)]
            failed = sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", [])
            left = [left[int(failure["Id"])] for failure in failed]
            if failed:
                raise DeleteFailed(
                    f"{len(failed)} messages of {queue_url} are landed but could not be deleted "
                    f"({failed[0].get('Code')}: {failed[0].get('Message')}); run the ingest again"
                )

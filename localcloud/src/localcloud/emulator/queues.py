"""Receives and deletes whose cost does not grow with the backlog, and that take messages in the order of SQS.

Restores: a receive returns as many messages of one group as it can before it takes the next group's, and a queue
supports a deep backlog. The released emulator walks over all messages of a queue several times for each receive, once
for each message deleted, and over the whole deduplication window for each message sent: the time to send and drain
grows with the square of the backlog, and 36,000 messages take a quarter of an hour. Here the messages are in a
:class:`~localcloud.emulator.backlog.Backlog`, and sweeps by age run once a second.

Source: Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from ministack.services import sqs

from localcloud.emulator.backlog import Message, Queue, backlog_of

OpaqueRequest = Mapping[str, Any]
"""A request, or an entry of one, as the emulator has parsed it; it isn't validated."""

_SECONDS_BETWEEN_SWEEPS = 1.0
_UNKNOWN_HANDLE = ("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")


class DoneEntry(TypedDict):
    """An entry of a batch that succeeded."""

    Id: str


class FailedEntry(TypedDict):
    """An entry of a batch that failed."""

    Id: str
    Code: str
    Message: str
    SenderFault: bool


class BatchAnswer(TypedDict):
    """The answer of a batch."""

    Successful: list[DoneEntry]
    Failed: list[FailedEntry]


def install() -> None:
    """Replace the emulator's functions."""
    sqs._prune_dedup = _once_a_second(sqs._prune_dedup)
    sqs._expire_retained = _once_a_second(sqs._expire_retained)
    sqs._dlq_sweep = _when_any_is_due(sqs._dlq_sweep)
    sqs._collect_msgs = collect
    sqs._HANDLERS |= {
        "DeleteMessage": delete_message,
        "DeleteMessageBatch": delete_message_batch,
        "ChangeMessageVisibility": change_visibility,
        "ChangeMessageVisibilityBatch": change_visibility_batch,
    }


def _once_a_second(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Run a sweep by age once a second at most, as ages are in whole seconds."""
    swept: dict[str, float] = {}

    def call(queue: Queue) -> None:
        name, now = queue["attributes"]["QueueArn"], time.monotonic()
        if now - swept.get(name, -_SECONDS_BETWEEN_SWEEPS) >= _SECONDS_BETWEEN_SWEEPS:
            swept[name] = now
            sweep(queue)

    return call


def _when_any_is_due(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Look for dead letters only if messages with enough receives have just become visible again."""

    def call(queue: Queue) -> None:
        most = int(json.loads(queue["attributes"].get("RedrivePolicy") or "{}").get("maxReceiveCount", 0))
        returned = backlog_of(queue).release(time.time())
        if most and any(message["receive_count"] >= most for message in returned):
            sweep(queue)

    return call


def collect(queue: Queue, most: int, visibility_seconds: int) -> list[Message]:
    """Receive messages, and hide them.

    Args:
        queue: The emulator's queue.
        most: How many messages at most.
        visibility_seconds: How long they are hidden.
    """
    now = time.time()
    taken = backlog_of(queue).take(most, now, now + visibility_seconds, sqs.new_uuid)
    for message in taken:
        sqs._ensure_msg_fields(message)
    return taken


def delete_message(data: OpaqueRequest, queue_url: str) -> dict[str, str]:
    """Answer DeleteMessage, whose request may have the queue's URL in its path only, as in the handlers below."""
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:DeleteMessage")
    if not backlog_of(queue).delete(_handle(data)):
        raise sqs._Err(*_UNKNOWN_HANDLE)
    return {}


def delete_message_batch(data: OpaqueRequest, queue_url: str) -> BatchAnswer:
    """Answer DeleteMessageBatch."""
    backlog = backlog_of(sqs._get_q(data.get("QueueUrl", queue_url), "sqs:DeleteMessage"))
    return _batch(data, "DeleteMessageBatchRequestEntry", lambda entry: backlog.delete(entry.get("ReceiptHandle")))


def change_visibility(data: OpaqueRequest, queue_url: str) -> dict[str, str]:
    """Answer ChangeMessageVisibility."""
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:ChangeMessageVisibility")
    if not _hide(queue, {**data, "ReceiptHandle": _handle(data)}):
        raise sqs._Err(*_UNKNOWN_HANDLE)
    return {}


def change_visibility_batch(data: OpaqueRequest, queue_url: str) -> BatchAnswer:
    """Answer ChangeMessageVisibilityBatch."""
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:ChangeMessageVisibility")
    return _batch(data, "ChangeMessageVisibilityBatchRequestEntry", lambda entry: _hide(queue, entry))


def _hide(queue: Queue, entry: OpaqueRequest) -> bool:
    seconds = int(entry.get("VisibilityTimeout", 30))
    hidden = backlog_of(queue).hide(entry.get("ReceiptHandle"), time.time() + seconds)
    if hidden and not seconds:
        sqs.esm_wake.set()
    return hidden


def _handle(data: OpaqueRequest) -> str:
    handle: str = data.get("ReceiptHandle", "")
    if not handle:
        raise sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
    return handle


def _batch(data: OpaqueRequest, kind: str, do: Callable[[OpaqueRequest], bool]) -> BatchAnswer:
    """Call ``do`` for each entry; an unknown receipt handle is a failed entry, not a failed call."""
    entries = data.get("Entries", [])
    sqs._validate_batch_entries(entries, kind)
    code, message = _UNKNOWN_HANDLE
    answer: BatchAnswer = {"Successful": [], "Failed": []}
    for entry in entries:
        if do(entry):
            answer["Successful"].append({"Id": entry["Id"]})
        else:
            answer["Failed"].append({"Id": entry["Id"], "Code": code, "Message": message, "SenderFault": True})
    return answer

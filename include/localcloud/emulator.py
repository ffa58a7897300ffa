"""Runs the emulator with its queues made fast enough for deep backlogs: ``python -m localcloud.emulator``.

As released, it walks over all messages of a queue several times for each receive, once for each message deleted, and
over the whole deduplication window for each message sent: 36,000 messages take minutes to send and drain, and the
time grows with the square of the backlog. Here a walk is made once per call, or once per second where only age is
looked at. What a queue does is the same; ``tests/contract/`` holds it to that, and to the pinned version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.services import sqs

Queue = dict[str, Any]
_SECONDS_BETWEEN_SWEEPS = 1.0


def main() -> None:
    """Start the emulator; its settings are its own environment variables."""
    sqs._prune_dedup = _once_a_second(sqs._prune_dedup)
    sqs._expire_retained = _once_a_second(sqs._expire_retained)
    sqs._dlq_sweep = _when_any_is_due(sqs._dlq_sweep)
    sqs._collect_fifo = collect_fifo
    sqs._HANDLERS["DeleteMessageBatch"] = delete_message_batch
    app.main()


def _once_a_second(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Ages are told in seconds, so a sweep by age that follows within one finds nothing new."""
    swept: dict[str, float] = {}

    def call(queue: Queue) -> None:
        name, now = queue["attributes"]["QueueArn"], time.monotonic()
        if now - swept.get(name, -_SECONDS_BETWEEN_SWEEPS) >= _SECONDS_BETWEEN_SWEEPS:
            swept[name] = now
            sweep(queue)

    return call


def _when_any_is_due(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Rebuild the queue for its dead letters only when it has one."""

    def call(queue: Queue) -> None:
        policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        most = int(policy.get("maxReceiveCount", 0))
        if most and any(message["receive_count"] >= most for message in queue["messages"]):
            sweep(queue)

    return call


def collect_fifo(queue: Queue, most: int, visibility_seconds: int, now: float) -> list[Queue]:
    """Up to ``most`` visible messages in sending order, none of a group that has a message in flight."""
    messages = queue["messages"]
    in_flight = {
        message["group_id"] for message in messages if message["visible_at"] > now and message["receive_count"]
    }
    given: list[Queue] = []
    for message in messages:
        if len(given) == most:
            break
        if message["visible_at"] <= now and message.get("group_id") not in in_flight:
            given.append(message)
    for message in given:
        sqs._ensure_msg_fields(message)
        message["receipt_handle"] = sqs.new_uuid()
        message["visible_at"] = now + visibility_seconds
        message["receive_count"] += 1
        message["first_receive_at"] = message["first_receive_at"] or now
    return given


def delete_message_batch(data: Mapping[str, Any], queue_url: str) -> dict[str, Any]:
    """Delete up to ten messages in one walk; an unknown receipt handle is a failed entry."""
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:DeleteMessage")
    entries = data.get("Entries", [])
    sqs._validate_batch_entries(entries, "DeleteMessageBatchRequestEntry")
    asked = {entry.get("ReceiptHandle") for entry in entries}
    held = {message["receipt_handle"] for message in queue["messages"]} & asked - {None}
    queue["messages"] = [message for message in queue["messages"] if message["receipt_handle"] not in held]
    return {
        "Successful": [{"Id": entry["Id"]} for entry in entries if entry.get("ReceiptHandle") in held],
        "Failed": [
            {
                "Id": entry["Id"],
                "Code": "ReceiptHandleIsInvalid",
                "Message": "The input receipt handle is invalid.",
                "SenderFault": True,
            }
            for entry in entries
            if entry.get("ReceiptHandle") not in held
        ],
    }


if __name__ == "__main__":
    main()

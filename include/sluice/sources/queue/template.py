"""The part of a pipeline's template for a queue: the queue and its dead-letter queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from troposphere import GetAtt, Ref, Sub
from troposphere.sqs import Queue as SqsQueue
from troposphere.sqs import RedrivePolicy

from sluice.aws.template import Export, Fragment, Statement, arn, logical_id
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Queue

_LONGEST_RETENTION = timedelta(days=14)  # the most that SQS allows
# Deduplication and the limit of throughput are per group, so throughput grows with the number of groups.
_FAST = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}


def queue_template(pipeline: Pipeline, source: Queue, *, is_fifo: bool) -> Fragment:
    """Return both queues, their URLs, and the workers' rights.

    Args:
        pipeline: The pipeline that declares the queue.
        source: The declared queue.
        is_fifo: Whether the queue is a FIFO queue.
    """
    stem, suffix = f"{pipeline.name}-{source.name}", ".fifo" if is_fifo else ""
    name, dead_name = f"{stem}{suffix}", f"{stem}-dead{suffix}"
    queue_id, dead_id = logical_id(source.name, "Queue"), logical_id(source.name, "DeadLetterQueue")
    queue = _queue(
        pipeline,
        queue_id,
        name,
        source.retention,
        VisibilityTimeout=_seconds(source.visibility_timeout),
        RedrivePolicy=RedrivePolicy(deadLetterTargetArn=GetAtt(dead_id, "Arn"), maxReceiveCount=source.max_receives),
        **(_FAST if is_fifo else {}),
    )
    dead = _queue(
        pipeline,
        dead_id,
        dead_name,
        _LONGEST_RETENTION,
        RedriveAllowPolicy={"redrivePermission": "byQueue", "sourceQueueArns": [Sub(arn("sqs", name))]},
    )
    return Fragment(
        resources=(queue, dead),
        exports=(
            Export(queue_id, f"queues/{source.name}", Ref(queue_id), f"URL of the queue of {source.name}."),
            Export(
                dead_id,
                f"dead-letter-queues/{source.name}",
                Ref(dead_id),
                f"URL of the dead letters of {source.name}.",
            ),
        ),
        statements=(
            Statement(
                "LandTheQueuesAndTakeDeadLettersBack",
                (
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:GetQueueAttributes",
                ),
                (arn("sqs", name), arn("sqs", dead_name)),
            ),
            # Events are sent to the queue, never to its dead-letter queue.
            Statement("SendToTheQueues", ("sqs:SendMessage",), (arn("sqs", name),)),
        ),
    )


def _queue(pipeline: Pipeline, title: str, name: str, retention: timedelta, **more: Any) -> SqsQueue:
    properties: dict[str, Any] = {"QueueName": name, "MessageRetentionPeriod": _seconds(retention), **more}
    if name.endswith(".fifo"):
        # Without deduplication by content: SQS would drop one of two events with equal bodies.
        properties |= {"FifoQueue": True}
    if pipeline.kms_key:
        properties["KmsMasterKeyId"] = pipeline.kms_key
    return SqsQueue(title, DeletionPolicy="Delete", UpdateReplacePolicy="Delete", **properties)


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())

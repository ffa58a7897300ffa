"""The connectors of SQS queues."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Event
from typing import Any, TypeVar
from uuid import uuid4

from typing_extensions import override

from sluice.aws.metrics import Metric, highest
from sluice.aws.template import Fragment
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import FifoQueue, Queue, StandardQueue
from sluice.errors import MissingResource
from sluice.lake.objects import Stored
from sluice.landing.agreement import agreed
from sluice.landing.closing import Evidence
from sluice.landing.parts import Flush, Limits
from sluice.records.body import Body, parse_body
from sluice.records.record import Record, content_of
from sluice.sending.lanes import Sender
from sluice.sources.contract import EventConnector, Figures
from sluice.sources.queue.dead_letters import DeadLetterQueue
from sluice.sources.queue.drain import Caution, Drained, drain, lanes_for
from sluice.sources.queue.messages import Message, MessageQueue
from sluice.sources.queue.progress import Look, QueueProgress
from sluice.sources.queue.records import (
    EVENT_ID,
    attributes_to_send,
    delivery_of,
    place_in_fifo,
    place_in_standard,
)
from sluice.sources.queue.send import QueueSender

Declared = TypeVar("Declared", bound=Queue, covariant=True)

_MOST_ATTRIBUTES = 10  # of a message (SQS developer guide, "Amazon SQS message quotas")
_REPORTED = timedelta(minutes=15)  # SQS reports once a minute, and may be some minutes late


class QueueConnector(EventConnector[Declared]):
    """The common part of FIFO and standard queues."""

    @property
    def _queue(self) -> MessageQueue:
        return self._queue_at(self.workspace.resources.made_for("queues", self.source.name))

    def _queue_at(self, url: str) -> MessageQueue:
        return MessageQueue(self.workspace.aws.client("sqs"), url)

    @property
    @override
    def awaited(self) -> str:
        return f"a message in the queue {self._queue.url}"

    @override
    def backlog(self) -> int:
        """Return how many messages have not landed, by SQS's counters. What they show is noted as evidence."""
        look = self._queue.look()
        self._note(lambda progress: progress.looked(look))
        return look.backlog

    @override
    def units(self, most: int) -> list[str]:
        return [f"lane {number}" for number in range(lanes_for(self.backlog(), most))]

    @override
    def drain(self, unit: str, limits: Limits, on_flush: Callable[[Flush], None], stop: Event) -> Drained:
        """Land what waits in the queue. If it fails or is killed, its mark remains, and proofs wait for it."""
        queue, own = self._queue, uuid4().hex
        before = queue.look()
        # It receives no more after its limit. Its last flush may take a while, in which its messages stay hidden.
        hidden = timedelta(seconds=limits.seconds) + 2 * before.visibility
        marked, seen = self._noted(lambda progress: progress.begun(own, before.at + hidden))
        caution = Caution(
            receives=marked.receives(own),
            max_receives=self.source.max_receives,
            note=lambda receives: self._redelivered(own, receives),
        )
        drained = drain(queue, self.read, self.landing, limits, on_flush=on_flush, stop=stop, caution=caution)
        self._noted(
            lambda progress: progress.ended(
                own, drained.after, is_dry=drained.is_dry, received=drained.messages, times=drained.times
            ),
            seen,
        )
        return drained

    def _redelivered(self, drain: str, receives: int) -> None:
        self._note(lambda progress: progress.redelivered(drain, receives))

    def _note(self, change: Callable[[QueueProgress], QueueProgress]) -> QueueProgress:
        progress, _ = self._noted(change)
        return progress

    def _noted(
        self, change: Callable[[QueueProgress], QueueProgress], seen: Stored[QueueProgress] | None = None
    ) -> tuple[QueueProgress, Stored[QueueProgress]]:
        def noted(before: QueueProgress | None) -> QueueProgress:
            return change(before or QueueProgress())

        return self.lake.updated(self._progress_key, QueueProgress, noted, seen)

    @property
    def _progress_key(self) -> str:
        return self.lake.layout.queue_progress(self.source.name)

    def read(self, message: Message) -> list[Record]:
        """Make the records of a received message."""
        return self.records(delivery_of(message))

    @override
    def unsettled(self, settling: timedelta) -> str | None:
        look, progress = self._settled(settling)
        if look.backlog or progress.is_settled(look, settling):
            return None
        return (
            f"the counters of the queue {self._queue.url} to stay at zero for {settling.total_seconds():g} s, while no "
            f"drain that died may still hide a message"
        )

    @override
    def evidence(self, settling: timedelta) -> Evidence:
        _, progress = self._settled(settling)
        return Evidence(progress.landed_until, agreed(progress.times))

    def _settled(self, settling: timedelta) -> tuple[Look, QueueProgress]:
        look = self._queue.look()
        return look, self._note(lambda progress: progress.settled(look, settling))

    @override
    def figures(self) -> Figures:
        """Return SQS's approximate counts. ``dead_letters`` is None if the queue has no dead-letter queue.

        Everything that was sent before ``landed_until`` (UTC) is proved to have landed; None before the first proof.
        SQS reports the age of the oldest message to CloudWatch only (``ApproximateAgeOfOldestMessage``). Each flush
        sends the age of its oldest message as a metric.
        """
        dead = self.workspace.resources.found_for("dead-letter-queues", self.source.name)
        progress = self.lake.stored(self._progress_key, QueueProgress).value
        landed_until = None if progress is None else progress.landed_until
        return {**({"dead_letters": None} if dead is None else {}), **self.gauges(), "landed_until": landed_until}

    @override
    def gauges(self) -> Mapping[str, int | float]:
        look = self._queue.look()
        dead = self.workspace.resources.found_for("dead-letter-queues", self.source.name)
        counts = {
            "waiting": look.waiting,
            "in_flight": look.in_flight,
            "delayed": look.delayed,
            "backlog": look.backlog,
        }
        return counts if dead is None else {**counts, "dead_letters": self._queue_at(dead).look().backlog}

    @override
    def oldest(self) -> timedelta | None:
        """Return the age of the oldest message, as SQS has reported it to CloudWatch in the last quarter of an hour."""
        name, until = self._queue.url.rpartition("/")[2], self.lake.now()
        age = Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": name}, "Maximum")
        (seconds,) = highest(self.workspace.aws, [age], until - _REPORTED, until)
        return None if seconds is None else timedelta(seconds=seconds)

    @override
    def sender(self) -> Sender:
        return QueueSender(self._queue)

    @override
    def post(self, record: Record, repeat_id: str) -> str:
        queue, message = self._queue, self._order_of(record, repeat_id)
        sent = queue.sqs.send_message(
            QueueUrl=queue.url,
            MessageBody=str(content_of(record)),
            MessageAttributes=self._attributes_with_id(record),
            **message,
        )
        return str(sent["MessageId"])

    def _attributes_with_id(self, record: Record) -> dict[str, Any]:
        """Return the attributes to send, with the event's id unless its body tells it."""
        attributes = attributes_to_send(json.loads(record.attributes))
        own_id = parse_body(record.body, self.source, record.sent_at).event_id
        if own_id != record.event_id and len(attributes) < _MOST_ATTRIBUTES:
            attributes.setdefault(EVENT_ID, {"DataType": "String", "StringValue": record.event_id})
        return attributes

    def _order_of(self, record: Record, repeat_id: str) -> Mapping[str, Any]:
        """Return the arguments of a send that put the message in its group."""
        return {}

    @override
    def dead_letters(self) -> DeadLetterQueue:
        """Return the dead-letter queue.

        Raises:
            MissingResource: the stack has none.
        """
        url = self.workspace.resources.found_for("dead-letter-queues", self.source.name)
        if url is None:
            name = self.workspace.pipeline.name
            raise MissingResource(
                f"pipeline {name}: the queue {self.source.name!r} has no dead-letter queue; run `sluice provision "
                f"{name}`"
            )
        return DeadLetterQueue(self._queue_at(url), lambda message: self.unpacker.message(delivery_of(message)))


class FifoQueueConnector(QueueConnector[FifoQueue]):
    """A queue that orders the messages of a group, and drops a repeated deduplication id within five minutes."""

    drops_repeats = True

    @classmethod
    @override
    def template(cls, pipeline: Pipeline, source: FifoQueue) -> Fragment:
        from sluice.sources.queue.template import queue_template  # slow to import, and no worker renders a template

        return queue_template(pipeline, source, is_fifo=True)

    @override
    def place(self, record: Record, body: Body) -> Record:
        return place_in_fifo(record, body, self.source)

    @override
    def _order_of(self, record: Record, repeat_id: str) -> Mapping[str, Any]:
        return {"MessageGroupId": record.group, "MessageDeduplicationId": repeat_id}


class StandardQueueConnector(QueueConnector[StandardQueue]):
    """A queue that keeps no order. The body of a message has its group and its place in the group."""

    @classmethod
    @override
    def template(cls, pipeline: Pipeline, source: StandardQueue) -> Fragment:
        from sluice.sources.queue.template import queue_template  # slow to import, and no worker renders a template

        return queue_template(pipeline, source, is_fifo=False)

    @override
    def place(self, record: Record, body: Body) -> Record:
        return place_in_standard(record, body, self.source)

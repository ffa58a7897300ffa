"""One trial: a queue and a lake of its own, what was sent to the queue, and the audit of the lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tests.chaos.audit import Counts, Sent, audit
from tests.conftest import Cloud
from tests.draining import ALL_LANDED, Queue, backlog, drain, send, workspace_of

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import FifoQueue
from sluice.errors import SluiceError
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Flush, Limits
from sluice.sending.lanes import Event
from sluice.sources.queue.drain import Drained
from sluice.sources.queue.send import encoded
from sluice.steps.runner import run_step

ALL = Limits()
_SENDINGS = 20
# What work may fail with while the cloud fails; the last one if botocore parses a response that was cut off.
TROUBLE = (SluiceError, ClientError, BotoCoreError, ResponseParserError)


def later() -> datetime:
    """Return a moment after the partition of today, which holds events without a usable time."""
    return datetime.now(UTC) + timedelta(days=3)


def is_one_line(error: BaseException) -> bool:
    """Return whether it is a foreseen error with a message of one line."""
    return isinstance(error, TROUBLE) and len(str(error).splitlines()) == 1


class Trial:
    """Sends, drains through any proxy in between, and in the end drains without faults and runs the checker."""

    def __init__(self, cloud: Cloud, name: str, pipeline: Pipeline, visibility_seconds: int = 30) -> None:
        self.cloud, self.pipeline, self.bucket = cloud, pipeline, name
        self.sent: list[Sent] = []
        self._orders: Counter[str] = Counter()
        self._session = boto3.Session(
            cloud.environment["AWS_ACCESS_KEY_ID"],
            cloud.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=cloud.environment["AWS_DEFAULT_REGION"],
        )
        self.sqs, self.s3 = self.client("sqs"), self.client("s3")
        self.s3.create_bucket(Bucket=name)
        attributes = {"VisibilityTimeout": str(visibility_seconds)}
        if isinstance(self.source, FifoQueue):
            attributes["FifoQueue"] = "true"
        suffix = ".fifo" if isinstance(self.source, FifoQueue) else ""
        self.queue: str = self.sqs.create_queue(QueueName=f"{name}{suffix}", Attributes=attributes)["QueueUrl"]

    @property
    def source(self) -> Queue:
        return self.pipeline.event_sources[0]

    @property
    def target(self) -> str:
        return self.queue

    def client(self, service: str, url: str | None = None, read_seconds: float | None = None, attempts: int = 5) -> Any:
        """Return a client as the library makes it; with ``read_seconds``, one that waits no longer for an answer."""
        at = url or self.cloud.endpoint_url
        if read_seconds is None:
            return Aws(self._session, lambda _: at).client(service)
        config = Config(
            connect_timeout=5,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
        )
        return self._session.client(service, endpoint_url=at, config=config)  # type: ignore[call-overload]

    def lake(self, url: str | None = None, read_seconds: float | None = None) -> Lake:
        return Lake(self.client("s3", url, read_seconds), self.bucket, self.pipeline.name)

    def note(self, event_id: str, group: str, body: str, order: int | None = None) -> None:
        """Remember an event that is sent now; its order is the order of sending unless one is given."""
        self._orders[group] += 1
        self.sent.append(Sent(event_id, group, self._orders[group] if order is None else order, body))

    def send(self, events: Iterable[Event], url: str | None = None) -> None:
        """Send as a producer does: if the queue did not take all of them, all are sent again."""
        events = list(events)
        for event in events:
            self.note(event.id, encoded(event.group), event.body)
        sqs = self.client("sqs", url)
        again = Retrying(retry=retry_if_exception_type(TROUBLE), stop=stop_after_attempt(_SENDINGS), reraise=True)
        again(send, sqs, self.queue, events)

    def put(self, group: str, body: str, deduplication_id: str, event_id: str | None = None) -> None:
        """Send one message with any body to a FIFO queue."""
        self.note(event_id or deduplication_id, group, body)
        self.sqs.send_message(
            QueueUrl=self.queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=deduplication_id
        )

    def drain(
        self,
        url: str | None = None,
        limits: Limits = ALL,
        read_seconds: float | None = None,
        on_flush: Callable[[Flush], None] = lambda _: None,
    ) -> Drained:
        return drain(
            self.client("sqs", url),
            self.queue,
            self.lake(url, read_seconds),
            self.source,
            limits,
            on_flush=on_flush,
        )

    def close(self, url: str | None = None) -> str:
        """Close all, as if the queue were empty; return the ranges of closed partitions."""
        return self.close_at(later(), url)

    def close_at(self, now: datetime, url: str | None = None) -> str:
        return close_source(replace(self.lake(url), now=lambda: now), self.pipeline, self.source, ALL_LANDED)

    def finish(self) -> Counts:
        """Drain without faults, close and conform; return the counts of the lake."""
        wait_for(self._dry, seconds=150, what="the queue to be empty")
        return self.conclude()

    def _dry(self) -> bool:
        self.drain()
        return backlog(self.sqs, self.queue) == 0

    def conclude(self) -> Counts:
        """Close, conform and audit what has been landed; return the counts of the lake."""
        run_step(workspace_of(self.lake(), self.pipeline), "conform", self.close())
        return audit(self.s3, self.bucket, self.pipeline.name, self.source.name, self.sent, self.sqs, [self.queue])

"""How a drain compares with a bare loop that receives and deletes and keeps nothing; and what requests cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from tests.conftest import Cloud

from pipelines.flights import data
from pipelines.flights.events import events_of_days
from sluice.aws.wire import SqsWire
from sluice.sending.lanes import Event

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
_RUN_SECONDS = 900
_FIRST = date(2013, 1, 1)


class Bench:
    """A cloud, and flight events to fill queues with."""

    def __init__(self, cloud: Cloud, messages: int) -> None:
        self.cloud = cloud
        self._numbers = count()
        self._sqs, self._s3 = cloud.client("sqs"), cloud.client("s3")
        days = [_FIRST + timedelta(days=number) for number in range(-(-messages // 2_000))]
        by_day = events_of_days(data.flights(), days)
        self._events = [event for day in days for event in by_day[day]][:messages]

    def run(
        self,
        kind: str,
        messages: int,
        receivers: int,
        *,
        waiting: int | None = None,
        port: int | None = None,
        group: str = "",
    ) -> Any:
        """Return the figures of one measured run in its own process, over so many messages of a queue.

        The queue holds these messages, or ``waiting`` ones if that is more; all of one group, if it is named. For a
        drain of the kind ``notified``, SNS has wrapped them. The run goes through a relay, if its port is given.
        """
        events = islice(self._events, waiting or messages)
        queue, bucket = self._filled(map(_notified, events) if kind == "notified" else events, group)
        environment = {
            **os.environ,
            **self.cloud.environment,
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "include"))),
        }
        if port is not None:
            environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.landing_run", kind, queue, bucket, str(receivers), str(messages)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{kind} failed: {done.stderr}")
        self._sqs.delete_queue(QueueUrl=queue)
        figures = json.loads(done.stdout.splitlines()[-1])
        if figures["messages"] != messages:
            raise RuntimeError(f"{kind} had {figures['messages']} of {messages} messages: the run measures nothing")
        return figures

    def _filled(self, events: Iterable[Event], group: str) -> tuple[str, str]:
        name = f"bench-{next(self._numbers)}"
        self._s3.create_bucket(Bucket=name)
        attributes: Any = {"FifoQueue": "true", "VisibilityTimeout": "300"}
        queue = self._sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
        wire, batches = SqsWire(self._sqs), _batches(events, group)
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(
                lambda batch: wire.call("SendMessageBatch", {"QueueUrl": queue, "Entries": batch}), batches
            ):
                if answer is None or answer.get("Failed"):
                    raise RuntimeError(f"{queue} could not be filled: {answer}")
        return queue, name

    @contextmanager
    def relay(self, milliseconds: float) -> Iterator[tuple[int, dict[str, int]]]:
        """Run a relay; yield (port, counts), where the counts are there after the context has ended."""
        upstream = self.cloud.endpoint_url.rpartition(":")[2]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.slow_wire", upstream, str(milliseconds)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        counts: dict[str, int] = {}
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), counts
            counts.update(json.loads(process.communicate(timeout=60)[0]))
        finally:
            process.kill()
            process.wait()


def _batches(events: Iterable[Event], group: str) -> Iterator[list[Mapping[str, str]]]:
    numbered = iter(events)
    while batch := list(islice(numbered, 10)):
        yield [
            {
                "Id": str(place),
                "MessageBody": event.body,
                "MessageGroupId": group or event.group,
                "MessageDeduplicationId": event.id,
            }
            for place, event in enumerate(batch)
        ]


def _notified(event: Event) -> Event:
    """Return an event as SNS wraps it for a queue."""
    notification = {
        "Type": "Notification",
        "MessageId": "6b1b0c1e-7f0e-5d0a-9d6f-52b1c7e9a3f4",
        "SequenceNumber": "10000000000000000000",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:flights.fifo",
        "Message": event.body,
        "Timestamp": "2013-01-01T10:00:00.000Z",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:eu-west-1",
    }
    return replace(event, body=json.dumps(notification))


def envelope_ratio(bench: Bench) -> float:
    """Return the client CPU of a drain of events that SNS has wrapped, against one of the same events as they are."""
    pairs = [(bench.run("notified", 20_000, 8), bench.run("drain", 20_000, 8)) for _ in range(ROUNDS)]
    return median(notified["cpu_seconds"] / drain["cpu_seconds"] for notified, drain in pairs)


def cpu_ratio(bench: Bench) -> float:
    """Return the client CPU per message of a drain with its default receivers, against the bare loop in one thread."""
    pairs = [(bench.run("drain", 20_000, 8), bench.run("bare", 20_000, 1)) for _ in range(ROUNDS)]
    return median(drain["cpu_seconds"] / bare["cpu_seconds"] for drain, bare in pairs)


def latency_ratio(bench: Bench) -> float:
    """Return the messages per second of 16 receivers against 16 bare loops, with 10 ms of latency each way."""
    with bench.relay(10) as (port, _):
        pairs = [
            (bench.run("drain", 20_000, 16, port=port), bench.run("bare", 20_000, 16, port=port)) for _ in range(ROUNDS)
        ]
    return median(bare["seconds"] / drain["seconds"] for drain, bare in pairs)


def calls_per_1000(bench: Bench, kind: str, messages: int, waiting: int) -> Mapping[str, float]:
    """Return all requests that leave a client per 1,000 messages: ``sqs`` and ``s3``.

    The events are those of consecutive days, all there when the run begins, as after an outage: so a flush of the
    drain touches every day.
    """
    with bench.relay(0) as (port, counts):
        bench.run(kind, messages, 8, waiting=waiting, port=port)
    return {service: 1000 * requests / messages for service, requests in counts.items()}


def dollars_per_million(calls: Mapping[str, float]) -> float:
    """Return the list price of the requests for a million messages: 0.50 $ per million of SQS FIFO, 5 $ of S3 PUT."""
    return 1000 * (calls["sqs"] * 0.50 / 10**6 + calls["s3"] * 0.005 / 1000)


def memory_ratio(bench: Bench) -> float:
    """Return the peak memory of a drain of ten times as many messages against one of 20,000."""
    deep = bench.run("drain", 200_000, 8)
    return float(deep["peak_kib"] / bench.run("drain", 20_000, 8)["peak_kib"])


def hot_group_ratio(bench: Bench, port: int | None = None, messages: int = 5_000) -> float:
    """Return the messages per second of a drain of one single group against a bare loop on the same.

    Both go through a relay, if its port is given.
    """
    pairs = [
        (
            bench.run("drain", messages, 8, port=port, group="hot"),
            bench.run("bare", messages, 1, port=port, group="hot"),
        )
        for _ in range(ROUNDS)
    ]
    return median(bare["seconds"] / drain["seconds"] for drain, bare in pairs)


def late_hot_group_ratio(bench: Bench) -> float:
    """Return the same ratio with 10 ms of latency each way, as a service on another machine has it."""
    with bench.relay(10) as (port, _):
        return hot_group_ratio(bench, port, messages=1_000)

"""One measured run in a process of its own: ``python -m … KIND QUEUE BUCKET RECEIVERS MOST``.

``KIND`` is ``drain``, which lands at most ``MOST`` messages; ``notified``, the same of messages that SNS has wrapped;
``bare``, which only receives and deletes; ``sensor``, the AWS provider's own, with a put for what each poke brings; or
``single``, which receives, puts and deletes one message at a time. Prints as JSON: messages, seconds from when its
clients are made to the last message deleted, CPU seconds of this process in that time, and its peak resident memory in
KiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import boto3
from botocore.config import Config
from tests.draining import drain

from sluice.aws.clients import Aws
from sluice.declaration import Sns
from sluice.declaration.envelopes import Envelope
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.landing.parts import Flush, Limits
from sluice.records.record import Record, part_bytes

Deleted = Callable[[int], None]
Run = Callable[[Deleted], None]


def bare(queue: str, receivers: int) -> Run:
    """Receive 10 and delete 10 with plain boto3, until a receive brings nothing; nothing is kept."""
    sqs = boto3.client("sqs", config=Config(max_pool_connections=max(10, receivers)))

    def loop(deleted: Deleted) -> None:
        while messages := sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages"):
            sqs.delete_message_batch(
                QueueUrl=queue,
                Entries=[
                    {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                    for place, message in enumerate(messages)
                ],
            )
            deleted(len(messages))

    def run(deleted: Deleted) -> None:
        with ThreadPoolExecutor(receivers) as pool:
            list(pool.map(loop, [deleted] * receivers))

    return run


def landed(queue: str, bucket: str, receivers: int, most: int, unwrap: tuple[Envelope, ...] = ()) -> Run:
    """Return the drain, as the ingest DAG runs it, except for its bounds."""
    aws, pipeline = Aws(), load_pipeline("flights")
    sqs, lake = aws.client("sqs"), Lake(aws.client("s3"), bucket, "flights")
    source = replace(pipeline.event_sources[0], unwrap=unwrap)
    limits = Limits(messages=most, bytes=10**12, seconds=3600)

    def run(deleted: Deleted) -> None:
        def on_flush(flush: Flush) -> None:
            deleted(flush.messages)

        drain(sqs, queue, lake, source, limits, receivers=receivers, on_flush=on_flush)

    return run


def sensor(queue: str, bucket: str) -> Run:
    """Receive as a DAG of the provider's SqsSensor and a task that keeps its messages; it deletes before that."""
    from airflow.providers.amazon.aws.sensors.sqs import SqsSensor

    s3, numbers, pushed = boto3.client("s3"), count(), list[Sequence[Any]]()
    sensor_operator = SqsSensor(task_id="receive", sqs_queue=queue, max_messages=10, wait_time_seconds=0)

    class TaskInstance:
        def xcom_push(self, key: str, value: Sequence[Any]) -> None:
            pushed.append(value)

    def run(deleted: Deleted) -> None:
        while sensor_operator.poke({"ti": TaskInstance()}):  # type: ignore[arg-type]
            messages = pushed.pop()
            s3.put_object(Bucket=bucket, Key=f"{next(numbers)}.json", Body=json.dumps(messages).encode())
            deleted(len(messages))

    return run


def single(queue: str, bucket: str) -> Run:
    """Return the loop of most tutorials."""
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")

    def run(deleted: Deleted) -> None:
        while messages := sqs.receive_message(QueueUrl=queue).get("Messages"):
            for message in messages:
                s3.put_object(Bucket=bucket, Key=f"{message['MessageId']}.json", Body=message["Body"].encode())
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                deleted(1)

    return run


def _warm_up() -> None:
    """Load what a process loads once, such as pandas behind the first Arrow array: it is no cost of a message."""
    now = datetime.now(UTC)
    part_bytes([Record("id", "group", "0", now, now, "sent", 1, "id", "{}", "{}")])


def measured(run: Run) -> dict[str, float]:
    _warm_up()
    wall, cpu = time.perf_counter(), time.process_time()
    marks: list[tuple[int, float, float]] = []

    def deleted(messages: int) -> None:
        marks.append((messages, time.perf_counter() - wall, time.process_time() - cpu))

    run(deleted)
    return {
        "messages": sum(messages for messages, _, _ in marks),
        "seconds": max(seconds for _, seconds, _ in marks),
        "cpu_seconds": max(seconds for _, _, seconds in marks),
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def main(kind: str, queue: str, bucket: str, receivers: int, most: int) -> None:
    made: Mapping[str, Callable[[], Run]] = {
        "drain": lambda: landed(queue, bucket, receivers, most),
        "notified": lambda: landed(queue, bucket, receivers, most, (Sns(),)),
        "bare": lambda: bare(queue, receivers),
        "sensor": lambda: sensor(queue, bucket),
        "single": lambda: single(queue, bucket),
    }
    sys.stdout.write(json.dumps(measured(made[kind]())) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))

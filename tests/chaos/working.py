"""Work in a process of its own, which a test may kill: ``python working.py WORK BUCKET TARGET``.

``drain``: it drains flight events from the queue of that URL, a small flush at a time, until that is empty.
``die``: it drains that queue once, as the ingest does, and dies of a message that says ``poison``.
``read``: it reads the stream of that name until nothing comes. ``close``: it closes what was landed.
It writes a line when it begins.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Event
from typing import Any

from tests.draining import ALL_LANDED, drain, read_shards, workspace_of
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.declaration.loading import load_pipeline
from sluice.declaration.sources import Stream
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Limits
from sluice.records.record import Record
from sluice.sources.queue.connector import FifoQueueConnector
from sluice.sources.queue.messages import Message
from sluice.sources.stream.shards import KinesisStream

MOST = 100
STREAM = Stream("events", event_id="id", event_time="event_time")


def main(work: str, bucket: str, target: str) -> None:
    pipeline, aws = load_pipeline("flights"), Aws()
    source, lake = pipeline.event_sources[0], Lake(aws.client("s3"), bucket, "flights")
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    if work == "drain":
        while not drain(aws.client("sqs"), target, lake, source, Limits(messages=MOST)).empty:
            pass
    elif work == "read":
        while _read_round(aws.client("kinesis"), target, lake):
            pass
    elif work == "die":
        workspace = workspace_of(lake, pipeline, **{f"queues/{source.name}": target})
        Mortal(workspace, source).drain("lane 0", Limits(), lambda _: None, Event())
    else:
        close_source(lake, pipeline, source, ALL_LANDED)


class Mortal(FifoQueueConnector):
    """Reading a poison kills the process, as running out of memory does."""

    @override
    def read(self, message: Message) -> list[Record]:
        if "poison" in message["Body"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(message)


def _read_round(kinesis: Any, stream: str, lake: Lake) -> int:
    """Read a small window of each shard that may be read; return how many records were read and shards ended."""
    reads = read_shards(KinesisStream(kinesis, stream), lake, STREAM, Limits(messages=MOST))
    return sum(read.messages + read.checkpoint.ended for read in reads)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])

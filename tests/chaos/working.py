"""Work in a process of its own, that others may kill: ``python working.py drain|close BUCKET QUEUE_URL``.

It drains flight events, a small flush at a time, until the queue is empty, or closes what was drained. It writes a
line when it begins.
"""

from __future__ import annotations

import sys

from sluice.aws import Aws
from sluice.lake import Lake
from sluice.landing.closing import close_source
from sluice.landing.queue import Limits, drain
from sluice.pipeline import load_pipeline

LIMITS = Limits(messages=100)


def main(work: str, bucket: str, queue: str) -> None:
    pipeline, aws = load_pipeline("flights"), Aws()
    source, lake = pipeline.queues[0], Lake(aws.client("s3"), bucket, "flights")
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    if work == "close":
        close_source(lake, source, drained_empty=True)
    else:
        while not drain(aws.client("sqs"), queue, lake, source, pipeline.every, LIMITS).empty:
            pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])

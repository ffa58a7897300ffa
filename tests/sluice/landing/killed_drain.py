"""A drain that kills itself: ``python killed_drain.py QUEUE_URL BUCKET MOMENT COUNT``.

It drains flight events, a small flush at a time, until the moment has come for the COUNT-th time. The moment ``never``
does not come: then somebody else may kill it, after it has written a line.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import boto3

from sluice.lake import Lake
from sluice.landing.queue import Limits, drain
from sluice.pipeline import load_pipeline

MOMENTS: dict[str, tuple[str, Callable[..., bool]]] = {
    "received": ("after-call.sqs.ReceiveMessage", lambda parsed, **_: bool(parsed.get("Messages"))),
    "putting": ("before-call.s3.PutObject", lambda params, **_: "/part-" in params["url_path"]),
    "put": ("after-call.s3.PutObject", lambda **_: True),
    "recording": ("before-call.s3.PutObject", lambda params, **_: "_manifest" in params["url_path"]),
    "deleting": ("before-call.sqs.DeleteMessageBatch", lambda **_: True),
    "deleted": ("after-call.sqs.DeleteMessageBatch", lambda **_: True),
}


def main(queue: str, bucket: str, moment: str, nth: int) -> None:
    pipeline = load_pipeline("flights")
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    if moment in MOMENTS:
        event, is_it = MOMENTS[moment]
        times = count(1)

        def kill(**about: Any) -> None:
            if is_it(**about) and next(times) == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        (s3 if ".s3." in event else sqs).meta.events.register(event, kill)
    sys.stdout.write("draining\n")
    sys.stdout.flush()
    while not drain(
        sqs, queue, Lake(s3, bucket, "flights"), pipeline.queues[0], pipeline.every, Limits(messages=100)
    ).empty:
        pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

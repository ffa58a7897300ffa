"""A reader by fan-out that is killed at a boundary: ``python dying_reader.py BOUNDARY BUCKET STREAM CONSUMER``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.sluice.sources.stream.streams import Trial

from sluice.aws.clients import Aws
from sluice.lake.store import Lake
from sluice.landing.parts import Parts
from sluice.sources.stream import read


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def landed_then_die(land: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: die(land(*given))


def after_two_flushes(advance: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter((advance, advance, die))
    return lambda *given: next(calls)(*given)


def kill_at(boundary: str) -> None:
    if boundary == "received":
        Parts.land = die
    elif boundary == "landed":
        Parts.land = landed_then_die(Parts.land)
    else:
        read.advance = after_two_flushes(read.advance)


BOUNDARIES = ("received", "landed", "between flushes")


def main(boundary: str, bucket: str, stream: str, consumer: str) -> None:
    read.FLUSH_MESSAGES = 100
    kill_at(boundary)
    aws = Aws()
    Trial(aws.client("kinesis"), stream, Lake(aws.client("s3"), bucket, "toy"), consumer=consumer).read_all()


if __name__ == "__main__":
    main(*sys.argv[1:])

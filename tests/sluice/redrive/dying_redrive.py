"""A redrive that is killed at one of its boundaries: ``python dying_redrive.py BOUNDARY SETTINGS``."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import boto3
from tests.sluice.toy import EVENTS, TOY

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.lake.store import Lake
from sluice.redrive.held import Choice
from sluice.redrive.ledger import Ledger
from sluice.redrive.sending import send_back
from sluice.sources.queue import dead_letters
from sluice.sources.queue.dead_letters import DeadLetterQueue
from sluice.workspace import Workspace


def die_before(owner: Any, name: str) -> None:
    _replace(owner, name, lambda _: os.kill(os.getpid(), signal.SIGKILL))


def die_after(owner: Any, name: str) -> None:
    def die(call: Callable[[], Any]) -> None:
        call()
        os.kill(os.getpid(), signal.SIGKILL)

    _replace(owner, name, die)


def _replace(owner: Any, name: str, body: Callable[[Callable[[], Any]], None]) -> None:
    real = getattr(owner, name)
    setattr(owner, name, lambda *given, **named: body(lambda: real(*given, **named)))


BOUNDARIES = {
    "announced": lambda: die_after(Ledger, "intend"),
    "sent": lambda: die_before(Ledger, "confirm"),
    "confirmed": lambda: die_before(DeadLetterQueue, "delete"),
    "deleted": lambda: die_after(DeadLetterQueue, "delete"),
}


def main(boundary: str, settings: str) -> None:
    dead_letters.HIDDEN_SECONDS = 1  # so that the messages of the killed redrive are soon visible again
    BOUNDARIES[boundary]()
    resources, aws = Resources(**json.loads(settings)), Aws(boto3.Session())
    workspace = Workspace(TOY, resources, Lake(aws.client("s3"), resources.bucket, TOY.name), aws)
    send_back(workspace, EVENTS, Choice())


if __name__ == "__main__":
    main(*sys.argv[1:])

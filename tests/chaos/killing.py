"""Start work in separate processes, and name the moments at which they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.chaos import working
from tests.chaos.faults import Fault, Kill
from tests.chaos.proxy import Proxy
from tests.conftest import Cloud

import sluice

KILLED = -signal.SIGKILL
_INCLUDE = Path(sluice.__file__).parents[1]  # the library that the tests themselves have
_ROOT = Path(__file__).parents[2]

# A call is about to happen, or has happened and nothing else was done since.
_BEFORE, _AFTER = Kill(happened=False), Kill(happened=True)
_LANDING: dict[str, tuple[str, Fault]] = {
    "putting": ("s3:PutObject */part-*", _BEFORE),
    "put": ("s3:PutObject */part-*", _AFTER),
    "recording": ("s3:PutObject *_manifest.json", _BEFORE),
    "recorded": ("s3:PutObject *_manifest.json", _AFTER),
}
DRAINING = {
    "received": ("sqs:ReceiveMessage *", _AFTER),
    **_LANDING,
    "deleting": ("sqs:DeleteMessageBatch *", _BEFORE),
    "deleted": ("sqs:DeleteMessageBatch *", _AFTER),
}
READING = {
    "read": ("kinesis:GetRecords *", _AFTER),
    **_LANDING,
    "advancing": ("s3:PutObject */checkpoints/*", _BEFORE),
    "advanced": ("s3:PutObject */checkpoints/*", _AFTER),
}
CLOSING = {moment: _LANDING[moment] for moment in ("recording", "recorded")}
MOMENTS = {"drain": DRAINING, "read": READING, "close": CLOSING}


class Worked(Protocol):
    """A trial as its work needs it: ``target`` is the queue's URL or the stream's name."""

    @property
    def cloud(self) -> Cloud: ...
    @property
    def bucket(self) -> str: ...
    @property
    def target(self) -> str: ...


Start = Callable[..., subprocess.Popen[str]]
KillAt = Callable[..., int]


def begin(trial: Worked, work: str, proxy: Proxy | None) -> subprocess.Popen[str]:
    """Start work in a process of its own, behind a proxy if there is one."""
    return subprocess.Popen(
        [sys.executable, working.__file__, work, trial.bucket, trial.target],
        env={
            **os.environ,
            **trial.cloud.environment,
            "AWS_ENDPOINT_URL": proxy.url if proxy else trial.cloud.endpoint_url,
            "PYTHONPATH": f"{_INCLUDE}:{_ROOT}",
        },
        stdout=subprocess.PIPE,
        text=True,
    )

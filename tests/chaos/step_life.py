"""A worker that has a step run elsewhere, in a process of its own: ``python step_life.py PIPELINE STEP``.

For each line of standard input, which are the ranges of partitions, it forks a child that starts the step and waits for
its result, as the task of Airflow and its trigger do. It prints how the child ended: ``done``, ``killed``, or why not.
"""

from __future__ import annotations

import sys
import time

import pyarrow.parquet  # noqa: F401  imported once, not in each child
from botocore.exceptions import BotoCoreError, ClientError
from tests.chaos.forking import serve

import sluice.steps.runner  # noqa: F401
from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.compute.contract import runtime_of
from sluice.errors import SluiceError
from sluice.workspace import Workspace

_LONGEST_SECONDS = 120
_LOOK_SECONDS = 0.5


def work(pipeline: str, step: str, ranges: str) -> str:
    """Start the step, and wait for its result; return how that ended."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    try:
        workspace = Workspace.open(Aws(), pipeline)
        runtime = runtime_of(workspace, workspace.pipeline.step(step))
        started = runtime.start(ranges)
        result = started.result
        while result is None:
            assert time.monotonic() < deadline, started.what
            time.sleep(_LOOK_SECONDS)
            result = runtime.look(started.reference)
    except (SluiceError, BotoCoreError, ClientError) as error:
        return f"failed: {explain(error)}"
    return "done"


if __name__ == "__main__":
    name, of_step = sys.argv[1:]
    serve(lambda ranges: work(name, of_step, ranges))

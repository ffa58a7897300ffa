"""One measured range run in processes of its own: ``python -m … PIPELINE BUCKET RANGE [FOLDER OF THE PIPELINE]``.

It lands the drops, and runs the steps of the pipeline, one after another, each in the chunks of the transform DAG, two
at a time. Airflow's own time is no part of it, nor is the start of a process, with its imports and clients. Prints as
JSON: seconds, the peak resident memory of a process in KiB, and how many partitions of each step have changed.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from functools import cache, partial
from multiprocessing.synchronize import Barrier

from tests.calendars import utc_ranges

import pipelines
from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.sources.ingest import land_partitions
from sluice.steps.chunks import chunks_of_run
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

_CORES = 2
_LONGEST_START = 60  # seconds


@cache
def account() -> Aws:
    """Return the clients of a process: making one takes as long as a call over many partitions."""
    return Aws()


def opened(name: str, bucket: str, *folders: str) -> Workspace:
    pipelines.__path__[:] = [*dict.fromkeys([*pipelines.__path__, *folders])]
    aws = account()
    lake = Lake(aws.client("s3"), bucket, name)
    return Workspace(load_pipeline(name), Resources(name, bucket, "", "", "", {}), lake, aws)


def start(ready: Barrier, *where: str) -> None:
    """Load what a process loads once."""
    opened(*where)
    ready.wait(_LONGEST_START)


def land(where: Sequence[str], ranges: str) -> int:
    return land_partitions(opened(*where), ranges)


def run(where: Sequence[str], step: str, ranges: str) -> int:
    changed: int = run_step(opened(*where), step, ranges)["changed"]
    return changed


def main(name: str, bucket: str, ranges: str, *folders: str) -> None:
    where = (name, bucket, *folders)
    workspace, changed, context = opened(*where), dict[str, int](), multiprocessing.get_context("spawn")
    ready = context.Barrier(_CORES + 1)
    with context.Pool(_CORES, start, (ready, *where)) as pool:
        ready.wait(_LONGEST_START)
        begun = time.perf_counter()
        chunks = chunks_of_run(workspace, utc_ranges(ranges))
        pool.map(partial(land, where), chunks, chunksize=1)
        for step in workspace.pipeline.steps:
            changed[step.name] = sum(pool.map(partial(run, where, step.name), chunks, chunksize=1))
        seconds = time.perf_counter() - begun
        pool.close()
        pool.join()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_kib": peak, "changed": changed}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

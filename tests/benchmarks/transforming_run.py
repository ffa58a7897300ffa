"""One measured range run in processes of its own: ``python -m … BUCKET RANGE``.

It lands the drops, and runs the steps of the flights one after another, each in the chunks of the transform DAG,
two at a time. Airflow's own time is no part of it. Prints as JSON: seconds, the peak resident memory of a process in
KiB, and how many partitions of each step have changed.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from functools import partial
from multiprocessing.synchronize import Barrier

from tests.draining import workspace_of

from sluice.aws.clients import Aws
from sluice.declaration.loading import load_pipeline
from sluice.lake.partitions import parse_ranges
from sluice.lake.store import Lake
from sluice.sources.ingest import land_partitions
from sluice.steps.chunks import chunks_of_run
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

_CORES = 2
_LONGEST_START = 60  # seconds


def opened(bucket: str) -> Workspace:
    return workspace_of(Lake(Aws().client("s3"), bucket, "flights"), load_pipeline("flights"))


def start(ready: Barrier, bucket: str) -> None:
    """Load what a process loads once."""
    opened(bucket)
    ready.wait(_LONGEST_START)


def run(bucket: str, step: str, ranges: str) -> int:
    changed: int = run_step(opened(bucket), step, ranges)["changed"]
    return changed


def main(bucket: str, ranges: str) -> None:
    workspace, changed, context = opened(bucket), dict[str, int](), multiprocessing.get_context("spawn")
    ready = context.Barrier(_CORES + 1)
    with context.Pool(_CORES, start, (ready, bucket)) as pool:
        ready.wait(_LONGEST_START)
        begun = time.perf_counter()
        chunks = chunks_of_run(workspace, parse_ranges(ranges))
        for chunk in chunks:
            land_partitions(workspace, chunk)
        for step in workspace.pipeline.steps:
            changed[step.name] = sum(pool.map(partial(run, bucket, step.name), chunks, chunksize=1))
        seconds = time.perf_counter() - begun
        pool.close()
        pool.join()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_kib": peak, "changed": changed}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

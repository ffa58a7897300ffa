"""What a look of a wait costs, and how old the last look gets where one triggerer has many waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.calendars import utc
from tests.conftest import Cloud
from tests.dags.airflow_home import aws_connection
from tests.sluice.lake_contents import put_raw

from localcloud.testing import training
from sluice.declaration.loading import load_pipeline
from sluice.lake.partitions import between
from sluice.provisioning.provision import provision
from sluice.sources.due import record_started
from sluice.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
_PIPELINE = "flights"
_DAYS = list(between(utc("dt=2013-01-01"), utc("dt=2013-01-14")))
_ROWS = 200_000  # a round takes some time, so that the job's log has a line now and then
_RUN_SECONDS = 300


@dataclass(frozen=True)
class Bench:
    """A cloud with a pipeline whose lake has two weeks, all transformed, and a training job that runs."""

    cloud: Cloud
    job: str

    def look_cpu_ms(self) -> Mapping[str, float]:
        """Return the CPU milliseconds of one look, by kind."""
        return self._run("cpu")

    def look_age(self) -> Mapping[str, float]:
        """Return two figures of 200 waits in one triggerer.

        ``ratio`` is how old the last look of a wait became at most, divided by the interval of the looks;
        ``blocked_seconds`` the longest time in which the triggerer's event loop did nothing else.
        """
        return self._run("age")

    def _run(self, what: str) -> Mapping[str, float]:
        """Return the figures of one measured run in its own process."""
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as home:
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.waiting_run", what, _PIPELINE, self.job],
                env={
                    **os.environ,
                    **self.cloud.environment,
                    "AIRFLOW_HOME": home,
                    "AIRFLOW_CONN_AWS_DEFAULT": aws_connection(
                        self.cloud.endpoint_url, self.cloud.sagemaker_endpoint_url
                    ),
                    "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in ("", "include", "plugins")),
                },
                capture_output=True,
                text=True,
                timeout=_RUN_SECONDS,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{what} failed: {done.stderr}")
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures


@contextmanager
def bench(cloud: Cloud) -> Iterator[Bench]:
    """Fill the lake, and run the job for as long as the context lasts."""
    pipeline = load_pipeline(_PIPELINE)
    provision(cloud, pipeline)
    workspace = Workspace.open(cloud, _PIPELINE)
    for day in _DAYS:
        put_raw(workspace.lake, pipeline.event_sources[0], day.start.date().isoformat())
        for name in ("part.csv", "_SUCCESS"):
            workspace.lake.put(f"drops/weather/{day.key}/{name}", b"")
    record_started(workspace, _DAYS, "run")
    data = training.put_data(cloud.client("s3"), "bench-waiting")
    cloud.client("s3").put_object(
        Bucket=data.bucket, Key="data/train/part-0.csv", Body=training.csv(training.rows(1, _ROWS))
    )
    request = training.request("bench-waiting", data, {**training.ENDLESS, "max_depth": "6"})
    cloud.client("sagemaker").create_training_job(**request)
    try:
        training.trains(cloud, "bench-waiting")
        yield Bench(cloud, "bench-waiting")
    finally:
        cloud.client("sagemaker").stop_training_job(TrainingJobName="bench-waiting")

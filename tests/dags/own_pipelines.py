"""Pipelines of the tests' own beside the shipped ones, in an Airflow that has both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, airflow_environment
from tests.draining import send

from sluice.aws.resources import Resources, find
from sluice.lake.store import Lake
from sluice.sending.lanes import Event

_PIPELINES = Path(__file__).parent / "pipelines"


@dataclass(frozen=True)
class World:
    """The cloud, and an Airflow that has the pipelines of this test beside the shipped ones."""

    cloud: Cloud
    airflow: AirflowHome

    def resources(self, pipeline: str) -> Resources:
        return find(self.cloud, pipeline)

    def lake(self, pipeline: str) -> Lake:
        return Lake(self.cloud.client("s3"), self.resources(pipeline).bucket, pipeline)

    def stored(self, pipeline: str, key: str) -> Any:
        return json.loads(self.lake(pipeline).get(f"{pipeline}/{key}"))

    def sluice(self, *arguments: str, given: str = "") -> str:
        """Run the command line, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "sluice", *arguments],
            env={**os.environ, **self.airflow.environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, pipeline: str, events: Sequence[Event]) -> None:
        """Send the events, and run the DAGs over all of their days."""
        (queue,) = [url for name, url in self.resources(pipeline).of_sources.items() if name.startswith("queues/")]
        send(self.cloud.client("sqs"), queue, events)
        first, last = (moment(event.event_time for event in events).date().isoformat() for moment in (min, max))
        days = {"from": first, "to": last}
        self.airflow.dags_test(f"{pipeline}_ingest_queue", last, wait_seconds=2, settling_seconds=0).succeeded()
        self.airflow.dags_test(f"{pipeline}_transform", last, wait_seconds=60, **days).succeeded()


@contextmanager
def world_of(airflow: AirflowHome, cloud: Cloud, folder: Path, names: Sequence[str]) -> Iterator[World]:
    """Provision pipelines of ``tests/dags/pipelines``.

    Args:
        airflow: The Airflow whose database is used.
        cloud: Where they are provisioned.
        folder: An empty folder, for the package of all pipelines.
        names: The names of the pipelines.
    """
    (folder / "pipelines").mkdir()
    for shipped in [*(ROOT / "include" / "pipelines").iterdir(), *_PIPELINES.iterdir()]:
        if not shipped.name.startswith("__pycache__"):
            (folder / "pipelines" / shipped.name).symlink_to(shipped)
    environment = {**airflow_environment(cloud, airflow.folder), "PYTHONPATH": f"{folder}:{ROOT / 'include'}"}
    world = World(cloud, AirflowHome(airflow.folder, environment))
    try:
        for name in names:
            world.sluice("provision", name)
        yield world
    finally:
        world.airflow.close()

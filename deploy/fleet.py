"""Airflow on Celery workers, in a checkout of its own, with some days of flights to transform."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.checkout import CELERY, Checkout, make_checkout

from sluice.aws.clients import Aws
from sluice.dataset.snapshot import make_snapshot
from sluice.lake.partitions import Calendar, Partition, between, format_ranges
from sluice.sources.completeness import incomplete
from sluice.sources.ingest import land_partitions
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

PIPELINE = "flights"
TRANSFORM = f"{PIPELINE}_transform"

_INGEST = f"{PIPELINE}_ingest_queue"
_FIRST = Partition.parse("dt=2013-01-01", Calendar("day"))
_LONGEST_SENDING = 1800  # seconds
_LONGEST_RUN = 1800
_SECONDS_BETWEEN_LOOKS = 0.5


class FleetError(Exception):
    """A run failed or did not end. The message is one line: what, where, and the next action."""


@dataclass(frozen=True)
class Outcome:
    """What the transform has made.

    Attributes:
        features: The ETag of each object of the last step, by key.
        fingerprint: That of the snapshot which training would use.
    """

    features: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True)
class Run:
    """A transform run that has ended.

    Attributes:
        state: ``success`` or ``failed``.
        seconds: From its start to its end.
        tasks: Its task instances, as Airflow's REST API returns them.
    """

    state: str
    seconds: float
    tasks: tuple[Mapping[str, Any], ...]

    @property
    def hosts(self) -> Counter[str]:
        """How many tasks each host ran."""
        return Counter(task["hostname"] for task in self.tasks if task["hostname"])

    @property
    def task_seconds(self) -> float:
        """The sum of the durations of its tasks."""
        return sum(task["duration"] or 0 for task in self.tasks)


class Fleet:
    """Airflow on Celery workers, in a checkout of its own, with some days of flights.

    Args:
        checkout: The checkout.
        days: The first and the last day, and those between.
    """

    def __init__(self, checkout: Checkout, days: list[Partition]) -> None:
        self.checkout, self.days = checkout, days

    @cached_property
    def workspace(self) -> Workspace:
        """The pipeline in the embedded cloud of the checkout."""
        import boto3

        settings = self.checkout.settings
        session = boto3.Session(
            settings["AWS_ACCESS_KEY_ID"],
            settings["AWS_SECRET_ACCESS_KEY"],
            region_name=settings["AWS_DEFAULT_REGION"],
        )
        return Workspace.open(Aws(session, lambda _: settings["AWS_ENDPOINT_URL"]), PIPELINE)

    def up(self, workers: int) -> None:
        """Start what doesn't run yet.

        Args:
            workers: How many workers run afterwards, if no more did.

        Raises:
            FleetError: it can't be started.
        """
        status, output = self.checkout.run("up", WORKERS=str(workers))
        if status:
            raise FleetError(f"Airflow can't be started in {self.checkout.folder}: {output.strip().splitlines()[-1]}")

    def control(self, *arguments: str) -> str:
        """Tell supervisord something, as `supervisorctl` does; return its answer.

        Args:
            arguments: Such as ``restart redis``.
        """
        return self.checkout.program("supervisorctl", "-c", "deploy/supervisord.conf", *arguments).stdout

    def pid(self, program: str) -> int:
        """Return the process id of a program of supervisord.

        Args:
            program: Its name, such as ``worker:worker-1``.
        """
        return int(self.control("pid", program))

    def land(self) -> None:
        """Send the days, and let Airflow land and close them.

        Raises:
            FleetError: they were not sent, or are not complete in time.
        """
        sending = ("-m", "pipelines.flights.producer", "--days", str(len(self.days)))
        done = self.checkout.program("python", *sending, seconds=_LONGEST_SENDING)
        if done.returncode:
            raise FleetError(f"the flights can't be sent: {done.stderr.strip()}")
        dag_ids = {_INGEST, TRANSFORM}
        self.wait_until(lambda: dag_ids <= self._dags(), "Airflow to know the DAGs")
        for dag_id in dag_ids:
            self.checkout.call(f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False}, method="PATCH")
        self.wait_until(lambda: not incomplete(self.workspace, self.days), "the days to be complete")

    def on_one_machine(self) -> Outcome:
        """Transform the days in this process, and return what that made."""
        ranges = format_ranges(self.days)
        land_partitions(self.workspace, ranges)
        for step in self.workspace.pipeline.steps:
            run_step(self.workspace, step.name, ranges)
        return self.outcome()

    def outcome(self) -> Outcome:
        """Return what the last transform has made."""
        lake, last = self.workspace.lake, self.workspace.pipeline.steps[-1].name
        objects = {key: etag for key, _, etag in lake.objects(lake.layout.dataset(last)) if key.endswith(".parquet")}
        first, final = (each.start.date().isoformat() for each in (self.days[0], self.days[-1]))
        return Outcome(objects, make_snapshot(self.workspace, first, final).fingerprint)

    def forget(self) -> None:
        """Delete what the steps have made, so that the next run makes it again."""
        lake = self.workspace.lake
        for step in self.workspace.pipeline.steps:
            for key, _, _ in lake.objects(lake.layout.dataset(step.name)):
                lake.s3.delete_object(Bucket=lake.bucket, Key=key)

    def begin(self) -> str:
        """Start a transform run over all days; return its name.

        The run has no logical date, so each call makes another one.
        """
        first, last = (each.start.date().isoformat() for each in (self.days[0], self.days[-1]))
        body = {"logical_date": None, "conf": {"from": first, "to": last}}
        return str(self.checkout.call(f"dags/{TRANSFORM}/dagRuns", body)["dag_run_id"])

    def tasks(self, run_id: str) -> tuple[Mapping[str, Any], ...]:
        """Return the task instances of a transform run.

        Args:
            run_id: Its name.
        """
        path = f"dags/{TRANSFORM}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=1000"
        return tuple(self.checkout.call(path)["task_instances"])

    def ended(self, run_id: str) -> Run:
        """Return a transform run, once it has ended.

        Args:
            run_id: Its name.

        Raises:
            FleetError: it does not end in time.
        """
        begun, state = time.monotonic(), ""

        def over() -> bool:
            nonlocal state
            try:
                state = self.checkout.call(f"dags/{TRANSFORM}/dagRuns/{quote(run_id, safe='')}")["state"]
            except OSError:
                return False  # the API server is away
            return state in ("success", "failed")

        self.wait_until(over, f"the end of {run_id}")
        return Run(state, time.monotonic() - begun, self.tasks(run_id))

    def transform(self) -> Run:
        """Transform the days on the workers.

        Raises:
            FleetError: the run failed, or does not end in time.
        """
        run = self.ended(self.begin())
        if run.state != "success":
            failed = sorted({task["task_id"] for task in run.tasks if task["state"] == "failed"})
            raise FleetError(
                f"{', '.join(failed)} of {TRANSFORM} failed; see {self.checkout.folder}/.sluice/airflow/logs"
            )
        return run

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition.

        Args:
            condition: Returns whether the wait is over.
            what: What is waited for; for the message.

        Raises:
            FleetError: it takes too long.
        """
        deadline = time.monotonic() + _LONGEST_RUN
        while not condition():
            if time.monotonic() > deadline:
                raise FleetError(f"waited {_LONGEST_RUN} s for {what}; see the logs in {self._logs}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    @property
    def _logs(self) -> Path:
        return self.checkout.folder / ".sluice" / "airflow" / "logs"

    def _dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self.checkout.call("dags?limit=1000&exclude_stale=true")["dags"]}


@contextmanager
def running_fleet(folder: Path, days: int, workers: int, **settings: str) -> Iterator[Fleet]:
    """Run a fleet as long as the context lasts. Its DAGs are paused.

    Args:
        folder: The folder of the checkout, which is made. Its path is short, because Unix sockets are in it.
        days: How many days of flights it has, from the first of 2013.
        workers: How many workers run.
        settings: Settings that differ from .env.example and deploy/celery.env.

    Raises:
        FleetError: it can't be started.
    """
    paused = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    checkout = make_checkout(folder, more=CELERY.read_text(), settings={**paused, **settings})
    fleet = Fleet(checkout, list(between(_FIRST, _FIRST.shift(days - 1))))
    try:
        fleet.up(workers)
        yield fleet
    finally:
        checkout.run("down")

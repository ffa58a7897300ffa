"""Runs real flights from a queue to a live model: ``python -m demo``.

It runs the DAGs with ``airflow dags test`` against the embedded cloud. A second run lands and trains nothing, because
nothing has changed.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date, timedelta

from botocore.exceptions import BotoCoreError, ClientError
from deploy.cloud import CloudFailed
from deploy.ports import PortTaken
from rich.console import Console

from demo.laptop import Laptop, StepFailed
from demo.progress import Progress
from demo.report import Baseline, make_report, show
from sluice.aws.clients import Aws
from sluice.errors import SluiceError
from sluice.workspace import Workspace

PIPELINE = "flights"
_FIRST_DAY = date(2013, 1, 1)
_LONGEST_HIDDEN = 360  # seconds; the queue hides a message that was received for five minutes
_FEWEST, _MOST = 3, 365  # training, validation and test need a day each; the data covers one year


def main() -> int:
    """Run the demo over as many days as the variable ``DAYS`` sets.

    Returns:
        The exit status: 0, 1 after an error, 130 after an interruption.
    """
    console = Console()
    try:
        days = _chosen_days(os.environ.get("DAYS", "14"))
        run(console, days)
    except (SluiceError, StepFailed, PortTaken, CloudFailed) as error:
        return _failed(console, str(error))
    except (BotoCoreError, ClientError) as error:
        return _failed(console, f"the embedded cloud failed: {error}; see .sluice/cloud/logs")
    except KeyboardInterrupt:
        console.print("demo: interrupted; `make demo` continues where this stopped", style="yellow")
        return 130
    return 0


def _failed(console: Console, reason: str) -> int:
    console.print(f"demo: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


def _chosen_days(text: str) -> list[date]:
    """Return as many days as ``text`` sets, from the first of the year on."""
    if not text.isdecimal() or not _FEWEST <= int(text) <= _MOST:
        raise SluiceError(f"DAYS={text} is not usable: give a whole number from {_FEWEST} to {_MOST}, such as DAYS=14")
    return [_FIRST_DAY + timedelta(days=n) for n in range(int(text))]


def run(console: Console, days: list[date]) -> None:
    """Ingest, transform, train and report. Stop the embedded cloud afterwards, unless it ran before.

    Args:
        console: Where progress and report are printed.
        days: The UTC days to run, one after another.

    Raises:
        StepFailed: a command failed.
        PortTaken: another program listens on a port of the embedded cloud.
        CloudFailed: the embedded cloud did not start or stop.
    """
    started = time.monotonic()
    with Laptop(console) as laptop:
        laptop.airflow_database()
        laptop.sluice("provision", "provision", PIPELINE)
        workspace = Workspace.open(Aws(), PIPELINE)
        baseline = Baseline.take(workspace)
        laptop.python("send", "pipelines.flights.producer", "--days", str(len(days)))
        range_ = {"from": days[0].isoformat(), "to": days[-1].isoformat()}
        progress = Progress(workspace, days)
        _ingest(laptop, days[-1], progress)
        laptop.dag(f"{PIPELINE}_transform", days[-1], {**range_, "wait_seconds": 60}, progress.transform)
        laptop.dag(f"{PIPELINE}_train", days[-1], {**range_, "poll_seconds": 1}, progress.train)
        report = make_report(workspace, days, baseline, laptop.folder)
        report["wall_seconds"] = round(time.monotonic() - started, 1)
    show(console, report, laptop.folder / "report.json")


def _ingest(laptop: Laptop, day: date, progress: Progress) -> None:
    """Land all events, also those that an earlier demo held when it was killed: they are hidden for a while."""
    last = time.monotonic() + _LONGEST_HIDDEN
    while True:
        # The embedded cloud counts messages exactly, so its counters need no time to settle.
        params = {"wait_seconds": 2, "settling_seconds": 0}
        laptop.dag(f"{PIPELINE}_ingest_queue", day, params, progress.ingest)
        if not progress.to_land() or time.monotonic() > last:
            return
        laptop.console.print(f"waiting until {progress.to_land():,} messages come back from a run that was killed")
        while progress.all_hidden() and time.monotonic() < last:
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())

"""Runs flights on Celery workers and compares with one machine: `make scale`.

It works in a copy of the checkout with a lake and ports of its own, and stops all of it in the end.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

from deploy.checkout import ROOT
from deploy.fleet import FleetError, running_fleet
from deploy.workers import WorkersError, programs, require_redis

_MOST_DAYS = 365
_FOLDER = ROOT / ".sluice" / "scale"


def measure(days: int, most_workers: int) -> bool:
    """Transform the days on one machine, then with 1, 2, 4… workers, and print what each took.

    Args:
        days: How many days of flights.
        most_workers: The most workers.

    Returns:
        Whether all made the same.

    Raises:
        FleetError: a run failed or did not end.
        WorkersError: the workers can't run here.
    """
    programs(most_workers)
    require_redis({"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"})
    shutil.rmtree(_FOLDER, ignore_errors=True)
    same = True
    with running_fleet(_FOLDER, days, 1) as fleet:
        _say(f"landing {days} days of flights")
        fleet.land()
        begun = time.monotonic()
        expected = fleet.on_one_machine()
        _say(f"one process: {time.monotonic() - begun:.1f} s, {len(expected.features)} partitions of features")
        for workers in (count for count in (1, 2, 4, 8) if count <= most_workers):
            fleet.up(workers)
            fleet.forget()
            run = fleet.transform()
            equal = fleet.outcome() == expected
            same = same and equal
            hosts = ", ".join(f"{host} {count}" for host, count in sorted(run.hosts.items()))
            _say(
                f"{workers} workers: {run.seconds:.1f} s, {len(run.tasks)} tasks of {run.task_seconds:.1f} s together "
                f"({hosts}); {'the same objects and snapshot' if equal else 'NOT what one machine made'}"
            )
    return same


def main() -> int:
    """Measure as many days and workers as the variables ``DAYS`` and ``WORKERS`` set.

    Returns:
        The exit status: 0, 1 after an error or if the results differ, 130 after an interruption.
    """
    days, workers = os.environ.get("DAYS", "60"), os.environ.get("WORKERS", "2")
    if not days.isdecimal() or not workers.isdecimal() or not 1 <= int(days) <= _MOST_DAYS:
        _say(f"make scale: DAYS={days} WORKERS={workers} is not usable: give numbers, and at most {_MOST_DAYS} days")
        return 1
    try:
        return 0 if measure(int(days), int(workers)) else 1
    except (FleetError, WorkersError) as error:
        _say(f"make scale: {error}")
        return 1
    except KeyboardInterrupt:
        _say("make scale: interrupted")
        return 130


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

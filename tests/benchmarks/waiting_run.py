"""One measured run of waits in a process of its own: ``python -m … cpu PIPELINE JOB``, or ``… age …``.

``cpu`` prints the CPU milliseconds of this process for one look of each kind, as JSON. ``age`` runs many waits at once
as Airflow's triggerer does, and prints as JSON how old the oldest look became, in intervals, and the longest time in
seconds for which the event loop was blocked. ``JOB`` is a training job that runs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner

from sluice_airflow.probes import Probe, Waiting
from sluice_airflow.triggers import ProbeTrigger

WAITS = 200
_ROUNDS, _LOOKS = 5, 40
_INTERVAL_SECONDS = 10.0
_SECONDS = 45.0  # the first of them for imports, as after a restart of the triggerer
_WATCH_SECONDS = 0.1


def cpu_ms(pipeline: str, job: str) -> Mapping[str, float]:
    """Return the CPU milliseconds of a look of each kind: the least of several rounds, as others only add to it."""
    kinds: Mapping[str, Mapping[str, Any]] = {
        "backlog": {"source": "events"},
        "complete_partitions": {"partitions": "dt=2013-01-31"},
        "due_partitions": {},
        "ended_training_job": {"job_name": job},
        "ended_scoring": {"job_name": "no-job"},
        "settled_endpoint": {},
    }
    return {kind: _cpu_ms(Probe(kind, pipeline, **arguments)) for kind, arguments in kinds.items()}


def _cpu_ms(probe: Probe) -> float:
    probe()  # makes the clients
    return min(_round(probe) for _ in range(_ROUNDS))


def _round(probe: Probe) -> float:
    begun = time.process_time()
    for _ in range(_LOOKS):
        probe()
    return (time.process_time() - begun) * 1000 / _LOOKS


class Ages:
    """Records when each wait looked, by a probe that does so and then looks."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self._fresh: dict[int, float] = {}
        self._oldest = 0.0

    def record(self) -> None:
        """Make every probe of this process record its looks."""
        look = Probe.__call__

        def recorded(probe: Probe) -> Any:
            started = time.monotonic()
            found = look(probe)
            if not isinstance(found, Waiting):
                raise RuntimeError(f"a wait ended with {found!r}: the run measures nothing")
            self._oldest = max(self._oldest, time.monotonic() - self._fresh.get(id(probe), self.begun))
            self._fresh[id(probe)] = started
            return found

        Probe.__call__ = recorded  # type: ignore[method-assign]

    def oldest(self) -> float:
        """Return the greatest age in seconds that a wait's last look had, until now."""
        if len(self._fresh) != WAITS:
            raise RuntimeError(f"{len(self._fresh)} of {WAITS} waits have looked: the run measures nothing")
        return max(self._oldest, time.monotonic() - min(self._fresh.values()))


async def age(pipeline: str, job: str) -> Mapping[str, float]:
    """Run the waits in Airflow's runner of triggers; half of them wait for the job, half for jobs that don't exist."""
    ages, runner = Ages(), TriggerRunner()
    ages.record()
    blocked = asyncio.create_task(_longest_block())
    waits = []
    for number in range(WAITS):
        runner.triggers[number] = {"name": f"wait {number}", "events": 0}  # type: ignore[typeddict-item]
        trigger = _wait(pipeline, job if number % 2 else f"no-job-{number}")
        waits.append(asyncio.create_task(runner.run_trigger(number, trigger)))
    ended, _ = await asyncio.wait(waits, timeout=_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if ended:
        raise RuntimeError(f"a wait has ended, so the run measures nothing: {ended}")
    ratio = ages.oldest() / _INTERVAL_SECONDS
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return {"ratio": ratio, "blocked_seconds": await blocked}


def _wait(pipeline: str, job: str) -> ProbeTrigger:
    return ProbeTrigger(
        probe="ended_training_job",
        arguments={"pipeline": pipeline, "job_name": job},
        poll_seconds=_INTERVAL_SECONDS,
        deadline=time.time() + 3600,
    )


async def _longest_block() -> float:
    """Return by how many seconds the event loop was late at most, in the time of the run."""
    longest, end = 0.0, time.monotonic() + _SECONDS
    while time.monotonic() < end:
        begun = time.monotonic()
        await asyncio.sleep(_WATCH_SECONDS)
        longest = max(longest, time.monotonic() - begun - _WATCH_SECONDS)
    return longest


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    found = cpu_ms(*arguments) if what == "cpu" else asyncio.run(age(*arguments))
    sys.stdout.write(json.dumps(found) + "\n")

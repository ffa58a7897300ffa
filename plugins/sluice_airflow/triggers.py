"""Triggers that poll AWS without a worker slot (P9)."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line

_PATH = "sluice_airflow.triggers"

# asyncio's own threads are few on a small machine. If probes of a service that hangs held them all, a trigger could not
# even stop its job. There are as many of these as a client has connections.
_PROBING = ThreadPoolExecutor(32, "sluice-probe")


class ProbeTrigger(BaseTrigger):
    """Calls a function of :mod:`sluice_airflow.probes` until it returns something, an error or the deadline.

    Args:
        probe: The function's name.
        arguments: The pipeline's name, as ``pipeline``, and the function's other arguments.
        poll_seconds: Seconds between two probes.
        deadline: Seconds since the epoch (UTC) after which the trigger times out.
        carried: What the waiting task needs when it resumes. It is in the event, because ``airflow dags test`` drops
            the keyword arguments of a deferral.
        waiting_for: What the log has named already; the log names it again when it changes, and every ten minutes.
        begun: Seconds since the epoch (UTC) at which the wait began; None: now.

    Its event is ``{"found": …}``, ``{"timed_out": True, "waiting_for": …}`` or ``{"error": one line}``, and
    ``"carried"``. The task has probed before it deferred, so the first probe comes after ``poll_seconds``, or up to
    half of it earlier: so a triggerer that restarts does not make the probes of all its waits at once. After a
    transient failure (throttling, an expired token, an unavailable service) it probes again until the deadline: a wait
    of days outlives an outage of minutes. Any other failure ends it at once, and the event has ``"refused"`` as well.
    """

    _SILENT_SECONDS: ClassVar[float] = 600

    def __init__(
        self,
        probe: str,
        arguments: dict[str, Any],
        poll_seconds: float,
        deadline: float,
        carried: dict[str, Any] | None = None,
        waiting_for: str = "",
        begun: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.probe = probe
        self.arguments = arguments
        self.poll_seconds = poll_seconds
        self.deadline = deadline
        self.carried = carried or {}
        self.waiting_for = waiting_for
        self.begun = time.time() if begun is None else begun
        self._said_at = self.begun

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "probe": self.probe,
            "arguments": self.arguments,
            "poll_seconds": self.poll_seconds,
            "deadline": self.deadline,
            "carried": self.carried,
            "waiting_for": self.waiting_for,
            "begun": self.begun,
        }
        return f"{_PATH}.{type(self).__name__}", arguments

    @override
    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent({**await self._outcome(), "carried": self.carried})

    async def _outcome(self) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        from sluice.aws.failures import is_transient
        from sluice.errors import SluiceError
        from sluice_airflow.probes import Probe, Waiting

        probe = Probe(self.probe, **self.arguments)
        pause = self._first_pause()
        while True:
            await asyncio.sleep(min(pause, max(0, self.deadline - time.time())))
            pause = self.poll_seconds
            try:
                found = await asyncio.get_running_loop().run_in_executor(_PROBING, probe)  # a probe blocks
                if not isinstance(found, Waiting):
                    return {"found": found}
                not_found: dict[str, Any] = {"timed_out": True, "waiting_for": found.what}
                self._say(found.what)
            except (SluiceError, BotoCoreError, ClientError) as error:
                not_found = {"error": one_line(error)}
                if not is_transient(error):
                    return {**not_found, "refused": True}
                self.log.warning("%s; probing again in %s s", not_found["error"], self.poll_seconds)
            except Exception as error:  # a trigger that raises would fail its task without the message
                self.log.exception("the probe %s failed", self.probe)
                return {"error": one_line(error), "refused": True}
            if time.time() >= self.deadline:
                return not_found

    def _say(self, waiting_for: str) -> None:
        """Name what is waited for in the log, and how long the wait has lasted, if it changes or after ten minutes."""
        now = time.time()
        if waiting_for == self.waiting_for and now - self._said_at < self._SILENT_SECONDS:
            return
        self.waiting_for, self._said_at = waiting_for, now
        self.log.info("waiting for %s; %s so far", waiting_for, timedelta(seconds=round(now - self.begun)))

    def _first_pause(self) -> float:
        """Return the seconds before the first probe. They follow from the wait's arguments and its deadline."""
        digest = zlib.crc32(json.dumps(self.serialize()).encode())
        return self.poll_seconds * (0.5 + digest / 2**33)


class StoppingTrigger(ProbeTrigger):
    """Also stops what it waits for if a user clears, fails or marks the task, but not if the triggerer restarts."""

    _PATIENCE_SECONDS: ClassVar[float] = 60  # what is not stopped continues to cost money

    @staticmethod
    def stop(pipeline: str, arguments: Mapping[str, Any]) -> None:
        """Stop what the trigger waits for. A subclass overrides it.

        Args:
            pipeline: The name of the pipeline.
            arguments: The other arguments of the probe.
        """
        raise TypeError("a trigger that stops what it waits for must override stop()")

    @override
    async def on_kill(self) -> None:
        from sluice.aws.failures import patiently

        def stop() -> None:
            self.stop(self.arguments["pipeline"], self.arguments)

        await asyncio.to_thread(patiently, stop, self._PATIENCE_SECONDS)


class TrainingJobTrigger(StoppingTrigger):
    """Waits for a training job or a tuning job."""

    @staticmethod
    @override
    def stop(pipeline: str, arguments: Mapping[str, Any]) -> None:
        from sluice.training.kinds import kind_of

        workspace, job_name = open_workspace(pipeline), arguments["job_name"]
        kind_of(workspace.pipeline, job_name).stop(workspace, job_name)


class ScoringTrigger(StoppingTrigger):
    """Waits for a transform job that scores."""

    @staticmethod
    @override
    def stop(pipeline: str, arguments: Mapping[str, Any]) -> None:
        from sluice.evaluation.transforms import stop_scoring

        stop_scoring(open_workspace(pipeline), arguments["job_name"])


class StepTrigger(StoppingTrigger):
    """Waits for a step that runs on Lambda or Fargate."""

    @staticmethod
    @override
    def stop(pipeline: str, arguments: Mapping[str, Any]) -> None:
        from sluice.compute.contract import runtime_of

        workspace = open_workspace(pipeline)
        runtime_of(workspace, workspace.pipeline.step(arguments["step"])).cancel(arguments["reference"])


class MachineTrigger(StoppingTrigger):
    """Waits for a training that Step Functions runs."""

    @staticmethod
    @override
    def stop(pipeline: str, arguments: Mapping[str, Any]) -> None:
        from sluice.orchestration.executions import stop_execution

        stop_execution(open_workspace(pipeline), arguments["execution"])

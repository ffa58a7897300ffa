"""Runs training jobs: a thread each, which queues for cores and looks after one child process."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.sagemaker import job_status
from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.cores import Cores
from localcloud.sagemaker.job_attempt import KIND, Attempt, ClosedError, FailedError, Services
from localcloud.sagemaker.store import Document

_CLOSE_SECONDS = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """A job that is queued or runs."""

    thread: threading.Thread
    stopped: threading.Event


class JobRunner:
    """Starts, watches and stops training jobs.

    A job gets the cores that its ``nthread`` asks for, else all of them, in the order of submission.
    """

    def __init__(self, services: Services, folder: Path, cores: Cores) -> None:
        self._services = services
        self._folder = folder
        self._cores = cores
        self._jobs: dict[str, _Job] = {}
        self._jobs_lock = threading.Lock()
        self._closing = threading.Event()

    def submit(self, name: str) -> None:
        """Queue the job of this name, which is in the store as Starting."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._run, args=(name, stopped), name=f"job-{name}", daemon=True)
        with self._jobs_lock:
            self._jobs[name] = _Job(thread, stopped)
        thread.start()

    def stop(self, name: str) -> None:
        """Ask the job to stop; it is Stopping in the store already."""
        with self._jobs_lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stopped.set()
            self._cores.wake()

    def discard(self, name: str) -> None:
        """Remove what a job of an earlier life of the stand-in has left, but for its log."""
        Layout(self._folder / name).clear()

    def close(self) -> None:
        """End all processes at once; their jobs stay as they are in the store."""
        self._closing.set()
        with self._jobs_lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stopped.set()
        self._cores.wake()
        for job in jobs:
            job.thread.join(_CLOSE_SECONDS)

    def _run(self, name: str, stopped: threading.Event) -> None:
        try:
            self._finish(name, self._outcome(name, stopped))
        except ClosedError:
            logger.info("training job %s: interrupted by the end of the stand-in", name)
        finally:
            with self._jobs_lock:
                del self._jobs[name]

    def _outcome(self, name: str, stopped: threading.Event) -> Callable[[Document, float], None]:
        """Run the job; how its document ends."""
        job = self._services.store.get(KIND, name)
        try:
            with self._cores.taken(_wanted(job, self._cores.total), stopped) as granted:
                if self._closing.is_set():
                    raise ClosedError
                secondary = self._attempt(job, stopped) if granted else "Stopped"
            return lambda document, now: job_status.enter(document, secondary, now)
        except FailedError as error:
            reason = str(error)
        except ClosedError:
            raise
        except Exception as error:
            logger.exception("training job %s", name)
            reason = f"InternalServerError: the stand-in failed: {error}"
        return lambda document, now: job_status.fail(document, reason, now)

    def _attempt(self, job: Document, stopped: threading.Event) -> str:
        folder = self._folder / job["TrainingJobName"]
        shutil.rmtree(folder, ignore_errors=True)
        layout = Layout(folder)
        try:
            return Attempt(
                self._services, job, layout, stopped=stopped, closing=self._closing, cores=self._cores.total
            ).run()
        finally:
            layout.clear()

    def _finish(self, name: str, end: Callable[[Document, float], None]) -> None:
        self._services.store.update(KIND, name, lambda document: end(document, time.time()))


def _wanted(job: Document, most: int) -> int:
    asked = job["HyperParameters"].get("nthread", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else most

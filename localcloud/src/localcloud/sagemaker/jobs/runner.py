"""Runs jobs: a thread each, which queues for cores and looks after one child process."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from localcloud.sagemaker.api.errors import cause
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.data.s3 import Objects
from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.cores import Cores

_CLOSE_SECONDS = 15.0

logger = logging.getLogger(__name__)


class ClosedError(Exception):
    """The stand-in ends; the job's fate is told when it starts again."""


class FailedError(Exception):
    """The job failed; the message is its FailureReason."""


class StoppedError(Exception):
    """The job ends before its time, and not for a failure: ``outcome`` is the status that it ends with."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True)
class Signals:
    """What a job that runs has to look at now and then."""

    stopped: threading.Event
    closing: threading.Event

    def check(self) -> None:
        """Raise ClosedError if the stand-in ends, StoppedError if the job is to stop."""
        if self.closing.is_set():
            raise ClosedError
        if self.stopped.is_set():
            raise StoppedError("Stopped")


@dataclass(frozen=True)
class Services:
    """What jobs read and write: their documents, S3 and CloudWatch Logs."""

    store: Store
    objects: Objects
    logs: Any


class JobKind(Protocol):
    """What is particular to training jobs, or to transform jobs."""

    name: str
    """The kind that the store knows the jobs by."""
    status_member: str
    """The member of a document that says Stopping when the job is to stop."""

    def cores(self, job: Document, total: int) -> int:
        """How many of the machine's cores the job is to have."""
        ...

    def run(self, job: Document, layout: Layout, signals: Signals, cores: int) -> str:
        """Run the job, in a folder that holds nothing yet, on the cores that it has; how it ended.

        Raises:
            FailedError: with its reason.
            StoppedError: it was asked to stop.
            ClosedError: the stand-in ends.
        """
        ...

    def end(self, job: Document, outcome: str, now: float) -> None:
        """Let the document say how the job ended."""
        ...

    def fail(self, job: Document, reason: str, now: float) -> None:
        """Let the document say that the job failed, and why."""
        ...


@dataclass(frozen=True)
class _Job:
    """A job that is queued or runs."""

    thread: threading.Thread
    stopped: threading.Event


class JobRunner:
    """Starts, watches and stops the jobs of a kind, which get their cores in the order of submission."""

    def __init__(self, store: Store, kind: JobKind, folder: Path, cores: Cores) -> None:
        self._store = store
        self._kind = kind
        self._folder = folder
        self._cores = cores
        self._jobs: dict[str, _Job] = {}
        self._jobs_lock = threading.Lock()
        self._closing = threading.Event()

    def submit(self, name: str) -> None:
        """Queue the job of this name, which is in the store."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._run, args=(name, stopped), name=f"job-{name}", daemon=True)
        with self._jobs_lock:
            self._jobs[name] = _Job(thread, stopped)
        thread.start()

    def stop(self, name: str) -> None:
        """Ask the job to stop; the store says so already."""
        with self._jobs_lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stopped.set()
            self._cores.wake()

    def discard(self, name: str) -> None:
        """Remove what a job of an earlier life of the stand-in has left, but for its log."""
        Layout(self._folder / name).clear()

    def forget(self, name: str) -> None:
        """Remove all that a job which is over has left."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

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
            self._finish(name, self._outcome(name, Signals(stopped, self._closing)))
        except ClosedError:
            logger.info("%s %s: interrupted by the end of the stand-in", self._kind.name, name)
        finally:
            with self._jobs_lock:
                del self._jobs[name]

    def _outcome(self, name: str, signals: Signals) -> Callable[[Document, float], None]:
        """Run the job; how its document ends."""
        job = self._store.get(self._kind.name, name)
        if job[self._kind.status_member] == "Stopping":
            signals.stopped.set()  # it was asked to stop before it was submitted
        wanted = min(self._kind.cores(job, self._cores.total), self._cores.total)
        try:
            with self._cores.taken(wanted, signals.stopped) as granted:
                if self._closing.is_set():
                    raise ClosedError
                outcome = self._attempt(job, name, signals, wanted) if granted else "Stopped"
            return lambda document, now: self._kind.end(document, outcome, now)
        except FailedError as error:
            reason = str(error)
        except ClosedError:
            raise
        except Exception as error:
            logger.exception("%s %s", self._kind.name, name)
            reason = f"InternalServerError: the stand-in failed: {cause(error)}"
        return lambda document, now: self._kind.fail(document, reason, now)

    def _attempt(self, job: Document, name: str, signals: Signals, cores: int) -> str:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        layout = Layout(folder)
        try:
            return self._kind.run(job, layout, signals, cores)
        except StoppedError as stop:
            return stop.outcome
        finally:
            layout.clear()

    def _finish(self, name: str, end: Callable[[Document, float], None]) -> None:
        self._store.update(self._kind.name, name, lambda document: end(document, time.time()))

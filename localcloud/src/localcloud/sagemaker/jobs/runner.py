"""Runs jobs: each has a thread, which queues for cores and watches one child process."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

from localcloud.sagemaker.api.store import D, DocumentKind, Store
from localcloud.sagemaker.data.s3 import Objects
from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.cores import Cores
from localcloud.service_model.errors import cause

_CLOSE_SECONDS = 15.0

logger = logging.getLogger(__name__)


class ClosedError(Exception):
    """The stand-in ends; the job gets its final status at the next start."""


class FailedError(Exception):
    """The job failed; the message is its FailureReason."""


class StoppedError(Exception):
    """The job ends early, and not for a failure: ``outcome`` is the status that it ends with."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True)
class Signals:
    """What a running job checks from time to time.

    Attributes:
        stopped: Set if the job has to stop.
        closing: Set if the stand-in ends.
    """

    stopped: threading.Event
    closing: threading.Event

    def check(self) -> None:
        """Raise ClosedError if the stand-in ends, StoppedError if the job has to stop."""
        if self.closing.is_set():
            raise ClosedError
        if self.stopped.is_set():
            raise StoppedError("Stopped")


@dataclass(frozen=True)
class Services:
    """What jobs read and write: their documents, S3, and CloudWatch Logs by a boto3 client."""

    store: Store
    objects: Objects
    logs: Any


class JobKind(Protocol[D]):
    """What is particular to training jobs, or to transform jobs. Documents of jobs are changed in place.

    Attributes:
        name: The kind of the documents in the store.
        status_member: The member of a document that is Stopping if the job has to stop.
    """

    name: DocumentKind[D]
    status_member: str

    def cores(self, job: D, total: int) -> int:
        """Return how many of the machine's ``total`` cores the job needs."""
        ...

    def run(self, job: D, layout: Layout, signals: Signals, cores: int) -> str:
        """Run the job to its end, and return the status that it ends with.

        Args:
            job: The job's document.
            layout: The layout of a folder that doesn't exist yet.
            signals: What to check while the job runs.
            cores: How many cores the job has.

        Raises:
            FailedError: The job failed; the message is the reason.
            StoppedError: The job was stopped.
            ClosedError: The stand-in ends.
        """
        ...

    def end(self, job: D, outcome: str, now: float) -> None:
        """Record in the document that the job ended as ``outcome`` at ``now``, in seconds since the epoch."""
        ...

    def fail(self, job: D, reason: str, now: float) -> None:
        """Record in the document that the job failed, with the reason, at ``now``, in seconds since the epoch."""
        ...


@dataclass(frozen=True)
class _Job:
    """A job that is queued or runs."""

    thread: threading.Thread
    stopped: threading.Event


class JobRunner(Generic[D]):
    """Starts, watches and stops the jobs of a kind, which get their cores in the order of submission.

    Args:
        store: Where the jobs' documents are.
        kind: How a job is run.
        folder: Has a folder for each job, by name.
        cores: Shared with other runners.

    Attributes:
        ended: Is notified when a job has ended.
    """

    def __init__(self, store: Store, kind: JobKind[D], folder: Path, cores: Cores) -> None:
        self._store = store
        self._kind = kind
        self._folder = folder
        self._cores = cores
        self._jobs: dict[str, _Job] = {}
        self._jobs_lock = threading.Lock()
        self._closing = threading.Event()
        self.ended = threading.Condition()

    def submit(self, name: str) -> None:
        """Queue the job of this name, which is already in the store."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._run, args=(name, stopped), name=f"job-{name}", daemon=True)
        with self._jobs_lock:
            self._jobs[name] = _Job(thread, stopped)
        thread.start()

    def stop(self, name: str) -> None:
        """Stop the job, whose document is already Stopping."""
        with self._jobs_lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stopped.set()
            self._cores.wake()

    def discard(self, name: str) -> None:
        """Remove the files of a job that an earlier process of the stand-in ran, but for its log."""
        Layout(self._folder / name).clear()

    def forget(self, name: str) -> None:
        """Remove all files of a job that is over."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def close(self) -> None:
        """End all processes at once; the documents of their jobs stay as they are."""
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
            with self.ended:
                self.ended.notify_all()

    def _outcome(self, name: str, signals: Signals) -> Callable[[D, float], None]:
        """Run the job, and return what changes its document at the end."""
        job = self._store.get(self._kind.name, name)
        if job[self._kind.status_member] == "Stopping":
            signals.stopped.set()  # it was stopped before it was submitted
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

    def _attempt(self, job: D, name: str, signals: Signals, cores: int) -> str:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        layout = Layout(folder)
        try:
            return self._kind.run(job, layout, signals, cores)
        except StoppedError as stop:
            return stop.outcome
        finally:
            layout.clear()

    def _finish(self, name: str, end: Callable[[D, float], None]) -> None:
        self._store.update(self._kind.name, name, lambda document: end(document, time.time()))

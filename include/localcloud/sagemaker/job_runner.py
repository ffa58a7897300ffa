"""Runs training jobs: one thread a job, which queues for cores and looks after one child process.

Download the channels, run the algorithm's process with the ``/opt/ml`` layout in the job's own folder, read
the metrics from its log, upload the model; stop it when asked or when its time is over.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from localcloud.sagemaker import archives, job_status
from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.cores import Cores
from localcloud.sagemaker.job_log import JobLog
from localcloud.sagemaker.metrics import FinalMetrics
from localcloud.sagemaker.s3 import Location, MissingObjectsError, Objects
from localcloud.sagemaker.store import Document, Store

KIND = "training-job"

_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_SHUTDOWN_SECONDS = 10.0

logger = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The job was asked to stop, or its time is over: ``secondary`` says which."""

    def __init__(self, secondary: str) -> None:
        super().__init__(secondary)
        self.secondary = secondary


class _ClosedError(Exception):
    """The stand-in ends."""


class _FailedError(Exception):
    """The job failed; the message is its FailureReason."""


class _Job:
    """A job that is queued or runs."""

    def __init__(self, run: Callable[[threading.Event], None], name: str) -> None:
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=run, args=(self.stopped,), name=f"job-{name}", daemon=True)


class JobRunner:
    """Starts, watches and stops the processes of training jobs."""

    def __init__(self, store: Store, objects: Objects, folder: Path, cores: Cores) -> None:
        self._store = store
        self._objects = objects
        self._folder = folder
        self._cores = cores
        self._jobs: dict[str, _Job] = {}
        self._jobs_lock = threading.Lock()
        self._closing = threading.Event()

    def submit(self, name: str) -> None:
        """Queue the job of this name, which is in the store as Starting."""
        job = _Job(lambda stopped: self._run(name, stopped), name)
        with self._jobs_lock:
            self._jobs[name] = job
        job.thread.start()

    def stop(self, name: str) -> None:
        """Ask the job to stop; it is Stopping in the store already."""
        with self._jobs_lock:
            job = self._jobs.get(name)
        if job is not None:
            job.stopped.set()
            self._cores.wake()

    def close(self) -> None:
        """End all processes at once; their jobs stay as they are in the store, for `TrainingJobs.recover`."""
        self._closing.set()
        with self._jobs_lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stopped.set()
        self._cores.wake()
        for job in jobs:
            job.thread.join(_SHUTDOWN_SECONDS)

    def _run(self, name: str, stopped: threading.Event) -> None:
        request = self._store.get(KIND, name)
        try:
            with self._cores.taken(_threads(request, self._cores.total), stopped) as granted:
                outcome = self._outcome(request, stopped) if granted else "Stopped"
            self._finish(name, lambda job, now: job_status.enter(job, outcome, now))
        except _ClosedError:
            logger.info("training job %s: interrupted by the end of the stand-in", name)
        except _FailedError as error:
            reason = str(error)
            self._finish(name, lambda job, now: job_status.fail(job, reason, now))
        except Exception as error:
            logger.exception("training job %s", name)
            reason = f"InternalServerError: the stand-in failed: {error}"
            self._finish(name, lambda job, now: job_status.fail(job, reason, now))
        finally:
            with self._jobs_lock:
                del self._jobs[name]

    def _finish(self, name: str, change: Callable[[Document, float], None]) -> None:
        if not self._closing.is_set():
            self._store.update(KIND, name, lambda job: change(job, time.time()))

    def discard(self, name: str) -> None:
        """Remove what a job of an earlier life of the stand-in has left, but for its log."""
        _clear(Layout(self._folder / name))

    def _outcome(self, request: Document, stopped: threading.Event) -> str:
        """Run the job to its end; the final secondary status."""
        name = request["TrainingJobName"]
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        layout = Layout(folder)
        layout.prepare(request)
        attempt = _Attempt(self._store, self._objects, request, layout, stopped, self._closing, self._cores.total)
        try:
            return attempt.run()
        finally:
            _clear(layout)


class _Attempt:
    """One run of one job, from its download to its upload."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        request: Document,
        layout: Layout,
        stopped: threading.Event,
        closing: threading.Event,
        cores: int,
    ) -> None:
        self._store = store
        self._objects = objects
        self._request = request
        self._layout = layout
        self._stopped = stopped
        self._closing = closing
        self._cores = cores
        self._deadline = time.monotonic() + request["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)

    def run(self) -> str:
        algorithm = catalog.by_image(self._request["AlgorithmSpecification"]["TrainingImage"])
        if algorithm is None:
            raise _FailedError(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions "
                f"are incorrect. This stand-in knows the repositories {', '.join(catalog.repositories())}."
            )
        outcome = "Completed"
        try:
            self._enter("Downloading")
            self._download()
            self._enter("Training")
            self._train(algorithm)
        except _StoppedError as stop:
            outcome = stop.secondary
        self._upload(keep=outcome != "Completed")
        return outcome

    def _enter(self, secondary: str) -> None:
        self._check()
        self._store.update(
            KIND, self._request["TrainingJobName"], lambda job: job_status.enter(job, secondary, time.time())
        )

    def _check(self) -> None:
        if self._closing.is_set():
            raise _ClosedError
        if self._stopped.is_set():
            raise _StoppedError("Stopped")
        if time.monotonic() > self._deadline:
            raise _StoppedError("MaxRuntimeExceeded")

    def _download(self) -> None:
        piped = {name for name, channel in self._layout.channels().items() if channel["TrainingInputMode"] == "Pipe"}
        for channel in self._request.get("InputDataConfig", []):
            folder = self._layout.channel(channel["ChannelName"])
            folder.mkdir()
            if channel["ChannelName"] not in piped:
                self._download_prefix(Location.of(channel["DataSource"]["S3DataSource"]["S3Uri"]), folder)

    def _download_prefix(self, prefix: Location, folder: Path) -> None:
        try:
            for key in self._objects.keys(prefix):
                self._check()
                target = (folder / _name_below(prefix.key, key)).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise _FailedError(f"ClientError: Data download failed: the key {key} leaves its channel.")
                self._objects.download(Location(prefix.bucket, key), target)
        except MissingObjectsError as error:
            raise _FailedError(f"ClientError: Data download failed: {error}") from error

    def _train(self, algorithm: catalog.Algorithm) -> None:
        metrics = FinalMetrics(algorithm.metrics)
        with JobLog(self._layout.root / "log") as log:
            child = subprocess.Popen(  # noqa: S603 our own module
                [sys.executable, "-m", algorithm.training_module, str(self._layout.root)],
                cwd=self._layout.root,
                env=_environment(self._request, self._layout, self._cores),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            reader = threading.Thread(target=log.copy, args=(child.stdout, metrics), daemon=True)
            reader.start()
            try:
                code = self._wait(child)
            finally:
                if child.stdin is not None:
                    child.stdin.close()
                reader.join(_SHUTDOWN_SECONDS)
                self._store.update(KIND, self._request["TrainingJobName"], lambda job: _keep_metrics(job, metrics))
        if code != 0:
            raise _FailedError(self._failure(code))

    def _wait(self, child: subprocess.Popen[str]) -> int:
        try:
            while True:
                try:
                    return child.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    self._check()
        except _StoppedError:
            child.terminate()
            try:
                child.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                logger.warning("%s: killed after its grace", self._request["TrainingJobName"])
            raise
        finally:
            _kill_session(child)

    def _failure(self, code: int) -> str:
        if self._layout.failure.exists():
            return self._layout.failure.read_text(errors="replace")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"AlgorithmError: the training process ended with {how} and left no reason; see its log."

    def _upload(self, *, keep: bool) -> None:
        """Upload what there is; of a job that didn't complete (``keep``), a model only if one was saved."""
        if not keep:
            self._store.update(
                KIND,
                self._request["TrainingJobName"],
                lambda job: job_status.enter(job, "Uploading", time.time()),
            )
        output = Location.of(self._request["ModelArtifacts"]["S3ModelArtifacts"])
        if any(self._layout.model.iterdir()) or not keep:
            self._upload_archive(self._layout.model, output)
        if any(self._layout.output_data.iterdir()):
            self._upload_archive(
                self._layout.output_data, Location(output.bucket, output.key.replace("model.tar.gz", "output.tar.gz"))
            )

    def _upload_archive(self, folder: Path, to: Location) -> None:
        archive = self._layout.temporary / to.key.rpartition("/")[2]
        archives.pack(folder, archive)
        try:
            self._objects.upload(archive, to)
        except MissingObjectsError as error:
            raise _FailedError(f"ClientError: Data upload failed: {error}") from error


def _clear(layout: Layout) -> None:
    shutil.rmtree(layout.opt_ml, ignore_errors=True)
    shutil.rmtree(layout.temporary, ignore_errors=True)


def _keep_metrics(job: Document, metrics: FinalMetrics) -> None:
    job["FinalMetricDataList"] = metrics.as_answer()


def _name_below(prefix: str, key: str) -> str:
    """The file's name in the channel: a prefix that names one object gives that object's own name."""
    folder = prefix if prefix.endswith("/") or not prefix else prefix.rpartition("/")[0] + "/"
    if not prefix.endswith("/") and key.startswith(prefix + "/"):
        folder = prefix + "/"
    return key.removeprefix(folder).lstrip("/")


def _threads(request: Document, cores: int) -> int:
    """The cores that a job asks for: its nthread, else all of them."""
    asked = request["HyperParameters"].get("nthread", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else cores


def _environment(request: Document, layout: Layout, cores: int) -> Mapping[str, str]:
    """A container's: nothing of the stand-in's own but where Python is."""
    package_parent = Path(__file__).resolve().parents[2]
    defaults: dict[str, Any] = {} if "nthread" in request["HyperParameters"] else {"OMP_NUM_THREADS": str(cores)}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(package_parent),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        "HOME": str(layout.root),
        "TMPDIR": str(layout.temporary),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": request["TrainingJobArn"],
        **defaults,
        **request.get("Environment", {}),
    }


def _kill_session(child: subprocess.Popen[str]) -> None:
    """Whatever is left of the child and of what it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait(_SHUTDOWN_SECONDS)

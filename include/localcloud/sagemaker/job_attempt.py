"""One run of one training job: download the channels, train, upload the model."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.sagemaker import archives, job_status, training_process
from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.job_log import JobLog
from localcloud.sagemaker.metrics import FinalMetrics
from localcloud.sagemaker.s3 import Location, MissingObjectsError, Objects
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.training_process import StoppedError

KIND = "training-job"

_DAY_SECONDS = 86_400


class ClosedError(Exception):
    """The stand-in ends; the job's fate is told when it starts again."""


class FailedError(Exception):
    """The job failed; the message is its FailureReason."""


@dataclass(frozen=True)
class Services:
    """What jobs read and write: their documents, S3 and CloudWatch Logs."""

    store: Store
    objects: Objects
    logs: Any


class Attempt:
    """A job that has its cores.

    Args:
        job: the job's document.
        layout: of a folder that holds nothing yet.
        stopped: set when the job is asked to stop.
        closing: set when the stand-in ends.
        cores: how many threads the job may use.
    """

    def __init__(
        self,
        services: Services,
        job: Document,
        layout: Layout,
        *,
        stopped: threading.Event,
        closing: threading.Event,
        cores: int,
    ) -> None:
        self._services = services
        self._job = job
        self._name: str = job["TrainingJobName"]
        self._layout = layout
        self._stopped = stopped
        self._closing = closing
        self._cores = cores
        self._deadline = time.monotonic() + job["StoppingCondition"].get("MaxRuntimeInSeconds", _DAY_SECONDS)

    def run(self) -> str:
        """Run the job to its end; the secondary status that it ends with.

        Raises:
            FailedError: with its reason.
            ClosedError: the stand-in ends.
        """
        algorithm = catalog.by_image(self._job["AlgorithmSpecification"]["TrainingImage"])
        if algorithm is None:
            raise FailedError(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions "
                f"are incorrect. This stand-in knows the repositories {', '.join(catalog.repositories())}."
            )
        self._layout.prepare(self._job)
        try:
            self._enter("Downloading")
            self._download()
            self._enter("Training")
            self._train(algorithm)
            self._enter("Uploading")
        except StoppedError as stop:
            # A model is kept if the algorithm has saved one on SIGTERM.
            if any(self._layout.model.iterdir()):
                self._upload()
            return stop.secondary
        self._upload()
        return "Completed"

    def _enter(self, secondary: str) -> None:
        self._check()
        self._services.store.update(KIND, self._name, lambda job: job_status.enter(job, secondary, time.time()))

    def _check(self) -> None:
        if self._closing.is_set():
            raise ClosedError
        if self._stopped.is_set():
            raise StoppedError("Stopped")
        if time.monotonic() > self._deadline:
            raise StoppedError("MaxRuntimeExceeded")

    def _download(self) -> None:
        channels = self._layout.channels()
        for channel in self._job.get("InputDataConfig", []):
            name = channel["ChannelName"]
            self._layout.channel(name).mkdir()
            if channels[name]["TrainingInputMode"] != "Pipe":
                prefix = Location.of(channel["DataSource"]["S3DataSource"]["S3Uri"])
                self._download_prefix(prefix, self._layout.channel(name))

    def _download_prefix(self, prefix: Location, folder: Path) -> None:
        try:
            for key in self._services.objects.keys(prefix):
                self._check()
                target = (folder / name_below(prefix.key, key)).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise FailedError(f"ClientError: Data download failed: the key {key} leaves its channel.")
                self._services.objects.download(Location(prefix.bucket, key), target)
        except MissingObjectsError as error:
            raise FailedError(f"ClientError: Data download failed: {error}") from error

    def _train(self, algorithm: catalog.Algorithm) -> None:
        metrics = FinalMetrics(algorithm.metrics)
        stream = f"{self._name}/algo-1-{int(self._job['CreationTime'])}"
        try:
            with JobLog(self._layout.root / "log", self._services.logs, stream) as log:
                code = training_process.run(
                    algorithm.training_module,
                    self._layout,
                    training_process.environment(self._job, self._layout, self._cores),
                    log,
                    metrics,
                    self._check,
                )
        finally:
            self._keep(metrics)
        if code != 0:
            raise FailedError(self._reason(code))

    def _keep(self, metrics: FinalMetrics) -> None:
        def keep(job: Document) -> None:
            job["FinalMetricDataList"] = metrics.as_answer()

        self._services.store.update(KIND, self._name, keep)

    def _reason(self, code: int) -> str:
        if self._layout.failure.exists():
            return self._layout.failure.read_text(errors="replace")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"AlgorithmError: the training process ended with {how} and left no reason; see its log."

    def _upload(self) -> None:
        model = Location.of(self._job["ModelArtifacts"]["S3ModelArtifacts"])
        self._upload_archive(self._layout.model, model)
        if any(self._layout.output_data.iterdir()):
            self._upload_archive(self._layout.output_data, model.sibling("output.tar.gz"))

    def _upload_archive(self, folder: Path, to: Location) -> None:
        archive = self._layout.temporary / to.name
        archives.pack(folder, archive)
        try:
            self._services.objects.upload(archive, to)
        except MissingObjectsError as error:
            raise FailedError(f"ClientError: Data upload failed: {error}") from error


def name_below(prefix: str, key: str) -> str:
    """The file's name in its channel.

    A prefix that ends within a name (``data/tr``) stands for its folder: the names below are kept whole.
    """
    if key.startswith(prefix.rstrip("/") + "/"):
        return key.removeprefix(prefix.rstrip("/") + "/")
    return key.removeprefix(prefix.rpartition("/")[0]).lstrip("/")

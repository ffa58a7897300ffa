"""One run of one training job: download the channels, train, upload the model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.data import archives
from localcloud.sagemaker.data.data_sources import ManifestError, inputs_of
from localcloud.sagemaker.data.s3 import Location, MissingObjectsError, UnsafeKeyError
from localcloud.sagemaker.jobs import process
from localcloud.sagemaker.jobs.container import ChannelConfiguration, Configuration, Layout
from localcloud.sagemaker.jobs.log import JobLog
from localcloud.sagemaker.jobs.metrics import FinalMetrics, MetricDefinition
from localcloud.sagemaker.jobs.runner import FailedError, Services, Signals, StoppedError
from localcloud.sagemaker.training import status
from localcloud.sagemaker.training.checkpoints import Checkpoints
from localcloud.sagemaker.training.documents import TRAINING_JOB, Channel, TrainingJob

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_GIB = 1024**3
_VOLUME_GB = 30  # of a job without VolumeSizeInGB


class TrainingKind:
    """The `JobKind` of training jobs. A job gets as many cores as its ``nthread``, else all of them."""

    name = TRAINING_JOB
    status_member = "TrainingJobStatus"
    end = staticmethod(status.enter)
    fail = staticmethod(status.fail)

    def __init__(self, services: Services) -> None:
        self._services = services

    def cores(self, job: TrainingJob, total: int) -> int:
        """Return the job's ``nthread``, else all cores."""
        threads = job["HyperParameters"].get("nthread", "")
        return int(threads) if threads.isdecimal() and int(threads) > 0 else total

    def run(self, job: TrainingJob, layout: Layout, signals: Signals, cores: int) -> str:
        """Run the job as `JobKind.run` describes."""
        return Attempt(self._services, job, layout, signals, cores).run()


class Attempt:
    """One run of a job that has its cores.

    Args:
        services: What the run reads and writes.
        job: The job's document.
        layout: The layout of a folder that doesn't exist yet.
        signals: What to check while the job runs.
        cores: How many threads the job may use.
    """

    def __init__(self, services: Services, job: TrainingJob, layout: Layout, signals: Signals, cores: int) -> None:
        self._services = services
        self._job = job
        self._name = job["TrainingJobName"]
        self._layout = layout
        self._signals = signals
        self._cores = cores
        self._volume_bytes = job["ResourceConfig"].get("VolumeSizeInGB", _VOLUME_GB) * _GIB
        self._checkpoints = (
            Checkpoints(services.objects, job["CheckpointConfig"]["S3Uri"], layout.checkpoints)
            if "CheckpointConfig" in job
            else None
        )
        self._deadline = time.monotonic() + job["StoppingCondition"]["MaxRuntimeInSeconds"]

    def run(self) -> str:
        """Run the job to its end, and return its last secondary status. Raises what `JobKind.run` does."""
        algorithm = catalog.by_image(self._job["AlgorithmSpecification"]["TrainingImage"])
        if algorithm is None:
            raise FailedError(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions "
                f"are incorrect. This stand-in knows the repositories {', '.join(catalog.repositories())}."
            )
        self._services.store.update(TRAINING_JOB, self._name, status.prepare)
        self._layout.prepare(_configuration(self._job))
        try:
            self._enter("Downloading")
            self._download()
            self._enter("Training")
            self._train(algorithm)
            self._enter("Uploading")
        except StoppedError:
            # A model that the algorithm saved on SIGTERM is kept.
            if any(self._layout.model.iterdir()):
                self._upload()
            raise
        self._upload()
        return "Completed"

    def _enter(self, secondary: str) -> None:
        self._check()
        self._record(secondary)

    def _record(self, secondary: str) -> None:
        self._services.store.update(TRAINING_JOB, self._name, lambda job: status.enter(job, secondary, time.time()))

    def _check(self) -> None:
        self._signals.check()
        if time.monotonic() > self._deadline:
            self._record("Stopping")
            raise StoppedError("MaxRuntimeExceeded")

    def _download(self) -> None:
        try:
            if self._checkpoints is not None:
                self._checkpoints.restore()
            self._download_channels()
        except (MissingObjectsError, ManifestError, UnsafeKeyError) as error:
            raise FailedError(f"ClientError: Data download failed: {error}") from error

    def _download_channels(self) -> None:
        channels, left = self._layout.channels(), self._volume_bytes
        for channel in self._job.get("InputDataConfig", []):
            name = channel["ChannelName"]
            folder = self._layout.channel(name)
            folder.mkdir()
            if channels[name]["TrainingInputMode"] == "Pipe":
                continue
            for found in inputs_of(self._services.objects, channel["DataSource"]["S3DataSource"]):
                self._check()
                left -= self._services.objects.download_below(found.location, folder, found.name).stat().st_size
                if left < 0:
                    raise FailedError(
                        "ClientError: Data download failed: No space left on device. Increase VolumeSizeInGB, which is "
                        f"{self._volume_bytes // _GIB}."
                    )

    def _train(self, algorithm: catalog.Algorithm) -> None:
        metrics = FinalMetrics(
            MetricDefinition(each["Name"], each["Regex"])
            for each in self._job["AlgorithmSpecification"]["MetricDefinitions"]
        )
        stream = f"{self._name}/algo-1-{int(self._job['CreationTime'])}"
        try:
            with JobLog(self._layout.root / "log", self._services.logs, _LOG_GROUP, stream) as log:
                self._warn(log)
                code = process.run(
                    algorithm.training_module,
                    self._layout,
                    self._environment(),
                    log,
                    metrics,
                    self._look,
                    process.Bounds.of(self._volume_bytes, self._cores),
                )
        finally:
            self._keep(metrics)
            self._copy_checkpoints()
        if code != 0:
            raise FailedError(process.reason(code, self._layout))

    def _environment(self) -> Mapping[str, str]:
        own = {
            "TRAINING_JOB_NAME": self._name,
            "TRAINING_JOB_ARN": self._job["TrainingJobArn"],
            **self._job.get("Environment", {}),
        }
        threads = None if "nthread" in self._job["HyperParameters"] else self._cores
        return process.environment(self._layout, own, threads)

    def _copy_checkpoints(self) -> None:
        try:
            if self._checkpoints is not None:
                self._checkpoints.copy()
        except MissingObjectsError as error:
            raise FailedError(f"ClientError: Checkpoints can't be uploaded: {error}") from error

    def _look(self) -> None:
        self._check()
        if self._checkpoints is not None:
            self._checkpoints.copy_now_and_then()

    def _warn(self, log: JobLog) -> None:
        count = self._job["ResourceConfig"].get("InstanceCount", 1)
        if count > 1:
            log.write(f"WARNING: {count} instances were asked for; this stand-in trains on ONE, with all of the data.")

    def _keep(self, metrics: FinalMetrics) -> None:
        def keep(job: TrainingJob) -> None:
            job["FinalMetricDataList"] = metrics.as_answer()

        self._services.store.update(TRAINING_JOB, self._name, keep)

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


def _configuration(job: TrainingJob) -> Configuration:
    mode = job["AlgorithmSpecification"]["TrainingInputMode"]
    return Configuration(
        hyperparameters=job["HyperParameters"],
        channels={channel["ChannelName"]: _channel(channel, mode) for channel in job.get("InputDataConfig", [])},
        instance_type=job["ResourceConfig"].get("InstanceType"),
        has_checkpoints="CheckpointConfig" in job,
    )


def _channel(channel: Channel, mode_of_job: str) -> ChannelConfiguration:
    mode = channel.get("InputMode", mode_of_job)
    source = channel["DataSource"]["S3DataSource"]
    described: ChannelConfiguration = {
        # The platform mounts fast files as plain files, so the container sees no difference.
        "TrainingInputMode": "File" if mode == "FastFile" else mode,
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        described["ContentType"] = channel["ContentType"]
    return described

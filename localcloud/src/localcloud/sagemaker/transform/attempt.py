"""One run of one transform job: download the model and the input, transform, upload the output."""

from __future__ import annotations

import json
import time

from localcloud.sagemaker.data import archives
from localcloud.sagemaker.data.data_sources import ManifestError, inputs_of
from localcloud.sagemaker.data.s3 import Location, MissingObjectsError, UnsafeKeyError
from localcloud.sagemaker.jobs import process
from localcloud.sagemaker.jobs.container import Configuration, Layout
from localcloud.sagemaker.jobs.log import JobLog
from localcloud.sagemaker.jobs.metrics import FinalMetrics
from localcloud.sagemaker.jobs.runner import FailedError, Services, Signals
from localcloud.sagemaker.transform.child import INPUT, PLAN
from localcloud.sagemaker.transform.documents import TRANSFORM_JOB, Plan, Settings, TransformJob

_LOG_GROUP = "/aws/sagemaker/TransformJobs"
_VOLUME_BYTES = 30 * 1024**3  # the disk of the service's instances


class TransformKind:
    """The `JobKind` of transform jobs. A job takes one core."""

    name = TRANSFORM_JOB
    status_member = "TransformJobStatus"

    def __init__(self, services: Services) -> None:
        self._services = services

    def cores(self, job: TransformJob, total: int) -> int:
        """Return 1."""
        return 1

    def run(self, job: TransformJob, layout: Layout, signals: Signals, cores: int) -> str:
        """Run the job as `JobKind.run` describes."""
        name = job["TransformJobName"]
        self._services.store.update(TRANSFORM_JOB, name, _start)
        layout.prepare(Configuration())
        (layout.config / PLAN).write_text(json.dumps(_plan(job)))
        try:
            self._download(job, layout, signals)
        except (MissingObjectsError, ManifestError, UnsafeKeyError, archives.UnsafeArchiveError) as error:
            raise FailedError(f"ClientError: Data download failed: {error}") from error
        try:
            self._transform(job, layout, signals, cores)
        finally:
            self._upload(job, layout)
        return "Completed"

    def end(self, job: TransformJob, outcome: str, now: float) -> None:
        """Change the document as `JobKind.end` describes."""
        job["TransformJobStatus"] = outcome
        job["TransformEndTime"] = job["LastModifiedTime"] = now

    def fail(self, job: TransformJob, reason: str, now: float) -> None:
        """Change the document as `JobKind.fail` describes; 1024 characters of the reason are kept."""
        self.end(job, "Failed", now)
        job["FailureReason"] = reason[:1024]

    def _download(self, job: TransformJob, layout: Layout, signals: Signals) -> None:
        objects, archive = self._services.objects, layout.temporary / "model.tar.gz"
        objects.download(Location.of(job["Served"]["ModelDataUrl"]), archive)
        archives.unpack(archive, layout.model)
        folder = layout.channel(INPUT)
        folder.mkdir()
        for found in inputs_of(objects, job["TransformInput"]["DataSource"]["S3DataSource"]):
            signals.check()
            objects.download_below(found.location, folder, found.name)
        if not any(folder.iterdir()):
            raise MissingObjectsError(f"no objects at {job['TransformInput']['DataSource']['S3DataSource']['S3Uri']}")

    def _transform(self, job: TransformJob, layout: Layout, signals: Signals, cores: int) -> None:
        stream = f"{job['TransformJobName']}/algo-1-{int(job['CreationTime'])}"
        with JobLog(layout.root / "log", self._services.logs, _LOG_GROUP, stream) as log:
            count = job["TransformResources"]["InstanceCount"]
            if count > 1:
                log.write(f"WARNING: {count} instances were asked for; this stand-in transforms on ONE.")
            code = process.run(
                "localcloud.sagemaker.transform.child",
                layout,
                process.environment(layout, {}, 1),
                log,
                FinalMetrics(()),
                signals.check,
                process.Bounds.of(_VOLUME_BYTES, cores),
            )
        if code != 0:
            raise FailedError(process.reason(code, layout))

    def _upload(self, job: TransformJob, layout: Layout) -> None:
        """Upload every file of the output; the process leaves no file that isn't whole."""
        to = Location.of(job["TransformOutput"]["S3OutputPath"])
        for path in sorted(layout.output_data.rglob("*.out")):
            try:
                self._services.objects.upload(path, to.child(*path.relative_to(layout.output_data).parts))
            except MissingObjectsError as error:
                raise FailedError(f"ClientError: Data upload failed: {error}") from error


def _start(job: TransformJob) -> None:
    job["TransformStartTime"] = time.time()


def _plan(job: TransformJob) -> Plan:
    return {
        "Image": job["Served"]["Image"],
        "TransformInput": job["TransformInput"],
        "TransformOutput": job["TransformOutput"],
        "DataProcessing": job.get("DataProcessing", {}),
        **_settings(job),
    }


def _settings(job: TransformJob) -> Settings:
    """Return the service's values for what the job leaves open, and the environment of its container."""
    strategy = job.get("BatchStrategy", "MultiRecord")
    megabytes, concurrent = job.get("MaxPayloadInMB", 6), job.get("MaxConcurrentTransforms") or 1
    environment = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if strategy == "MultiRecord" else "SINGLE_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(megabytes),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(concurrent),
    }
    return {
        "BatchStrategy": strategy,
        "MaxPayloadInMB": megabytes,
        "MaxConcurrentTransforms": concurrent,
        "Environment": environment | job["Served"].get("Environment", {}) | job.get("Environment", {}),
    }

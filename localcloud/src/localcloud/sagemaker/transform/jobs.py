"""CreateTransformJob, DescribeTransformJob, StopTransformJob and ListTransformJobs."""

from __future__ import annotations

import time

from localcloud.sagemaker.api.limits import require_quota
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.data_sources import is_supported
from localcloud.sagemaker.jobs.documents import JobDocuments, kind_of_jobs
from localcloud.sagemaker.jobs.runner import JobRunner
from localcloud.sagemaker.registry.models import Models
from localcloud.sagemaker.transform.associations import PathError
from localcloud.sagemaker.transform.child import association_of
from localcloud.sagemaker.transform.documents import (
    TRANSFORM_JOB,
    CreateTransformJob,
    Progress,
    StopTransformJob,
    TransformJob,
)
from localcloud.service_model.errors import validation_error

_KIND = kind_of_jobs(TRANSFORM_JOB, "TransformJob", "TransformEndTime", "FailureReason")
_MOST_MEGABYTES = 100  # of all payloads at one time (API reference, CreateTransformJob, MaxPayloadInMB)


class TransformJobs:
    """Batch transform jobs, as the control plane shows them."""

    def __init__(self, store: Store, tags: Tags, models: Models, runner: JobRunner[TransformJob]) -> None:
        self._jobs = JobDocuments(store, tags, _KIND, runner)
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTransformJob": self._create,
            "DescribeTransformJob": self._jobs.describe,
            "StopTransformJob": self._stop,
            "ListTransformJobs": self._jobs.list,
        }

    def recover(self) -> None:
        """End the jobs that ran when the stand-in last ended, as their processes are gone."""
        self._jobs.recover(_interrupt)

    def _create(self, request: CreateTransformJob) -> OpaqueAnswer:
        served = self._models.container(request["ModelName"])
        if "ModelDataUrl" not in served:
            raise validation_error(f"Model {request['ModelName']} has no ModelDataUrl; this stand-in serves no other.")
        _check(request)
        resources = request["TransformResources"]
        require_quota(resources["InstanceType"], "transform job usage", resources["InstanceCount"])
        name = request["TransformJobName"]
        progress = _start(time.time())
        job: TransformJob = {**request, **progress, "Served": served, "TransformJobArn": self._jobs.arn(name)}
        return self._jobs.create(name, job)

    def _stop(self, request: StopTransformJob) -> None:
        self._jobs.stop(request["TransformJobName"], _stop)


def _start(now: float) -> Progress:
    return {"TransformJobStatus": "InProgress", "CreationTime": now, "LastModifiedTime": now}


def _stop(job: TransformJob) -> None:
    job["TransformJobStatus"] = "Stopping"


def _check(request: CreateTransformJob) -> None:
    if not is_supported(request["TransformInput"]["DataSource"]["S3DataSource"]):
        raise validation_error("TransformInput: this stand-in reads S3DataType S3Prefix or ManifestFile only.")
    megabytes = request.get("MaxPayloadInMB", 6) * max(request.get("MaxConcurrentTransforms", 1), 1)
    if megabytes > _MOST_MEGABYTES:
        raise validation_error(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {megabytes}; it must not exceed {_MOST_MEGABYTES}."
        )
    if "DataCaptureConfig" in request:
        raise validation_error("DataCaptureConfig isn't known to this stand-in.")
    _check_processing(request)


def _check_processing(request: CreateTransformJob) -> None:
    try:
        association = association_of(request)
    except PathError as error:
        raise validation_error(f"{error}.") from error
    if association is None:
        return
    if request["TransformInput"].get("SplitType") != "Line" or request["TransformOutput"].get("AssembleWith") != "Line":
        raise validation_error("DataProcessing needs SplitType Line and AssembleWith Line.")
    sent = request["TransformInput"].get("ContentType", "")
    accepted = request["TransformOutput"].get("Accept", sent)
    if association.per_record and ("csv" in sent) != ("csv" in accepted):
        raise validation_error(f"DataProcessing needs one format: the input is {sent}, the output {accepted}.")


def _interrupt(job: TransformJob) -> None:
    was, now = job["TransformJobStatus"], time.time()
    job["TransformJobStatus"] = "Stopped" if was == "Stopping" else "Failed"
    job["TransformEndTime"] = job["LastModifiedTime"] = now
    if was != "Stopping":
        job["FailureReason"] = "InternalServerError: the SageMaker stand-in was restarted while this job ran."

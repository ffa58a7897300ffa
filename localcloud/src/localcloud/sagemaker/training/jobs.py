"""CreateTrainingJob, DescribeTrainingJob, StopTrainingJob, DeleteTrainingJob and ListTrainingJobs."""

from __future__ import annotations

import time

import regex

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.api.arns import REGION
from localcloud.sagemaker.api.limits import require_quota
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.data_sources import ManifestError, S3DataSource, inputs_of, is_supported
from localcloud.sagemaker.data.s3 import Location, MissingObjectsError, Objects
from localcloud.sagemaker.jobs.documents import JobDocuments, kind_of_jobs
from localcloud.sagemaker.jobs.metrics import MetricDefinitionMember
from localcloud.sagemaker.jobs.runner import JobRunner
from localcloud.sagemaker.training import status
from localcloud.sagemaker.training.documents import (
    TRAINING_JOB,
    AlgorithmSpecification,
    CreateTrainingJob,
    StoppingCondition,
    StopTrainingJob,
    TrainingJob,
    Tuned,
)
from localcloud.service_model.errors import validation_error

_KIND = kind_of_jobs(TRAINING_JOB, "TrainingJob", "TrainingEndTime", "SecondaryStatus")
_DAY_SECONDS = 86_400


class TrainingJobs:
    """Training jobs, as the control plane shows them."""

    def __init__(self, store: Store, tags: Tags, objects: Objects, runner: JobRunner[TrainingJob]) -> None:
        self._jobs = JobDocuments(store, tags, _KIND, runner)
        self._objects = objects

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._jobs.describe,
            "StopTrainingJob": self._stop,
            "DeleteTrainingJob": self._jobs.delete,
            "ListTrainingJobs": self._jobs.list,
        }

    def recover(self) -> None:
        """End the jobs that ran when the stand-in last ended, as their processes are gone."""
        self._jobs.recover(_interrupt)

    def check(self, request: CreateTrainingJob, at_once: int = 1) -> None:
        """Refuse a request that can't be carried out.

        Args:
            request: The request.
            at_once: How many such jobs run at the same time.

        Raises:
            ServiceError: ValidationException or ResourceLimitExceeded, with the reason.
        """
        _check_members(request)
        _check_algorithm(request)
        _check_stopping(request)
        self._check_sources(request)
        _check_quota(request, at_once)

    def start(self, request: CreateTrainingJob, tuned: Tuned | None = None) -> OpaqueAnswer:
        """Start a job; return the answer of its Create operation.

        Args:
            request: A request that was checked.
            tuned: What the job has if a tuning job starts it.

        Raises:
            ServiceError: The name is taken.
        """
        name = request["TrainingJobName"]
        return self._jobs.create(name, _new_job(request, self._jobs.arn(name), time.time(), tuned or {}))

    def stop(self, name: str) -> None:
        """Stop a job that is in progress.

        Raises:
            ServiceError: There is no such job, or it is over.
        """
        self._jobs.stop(name, lambda job: status.enter(job, "Stopping", time.time()))

    def _create(self, request: CreateTrainingJob) -> OpaqueAnswer:
        self.check(request)
        return self.start(request)

    def _check_sources(self, request: CreateTrainingJob) -> None:
        names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
        if len(set(names)) < len(names):
            raise validation_error(f"The channel names must be unique within a training job: {names}.")
        for channel in request.get("InputDataConfig", []):
            name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
            if name.strip(".") == "":
                raise validation_error(f"The channel name '{name}' can't be a folder's.")
            if channel.get("CompressionType", "None") != "None":
                raise validation_error(f"Channel {name}: CompressionType is for Pipe mode; leave it out.")
            if source is None or not is_supported(source):
                raise validation_error(
                    f"Channel {name}: this stand-in reads S3DataSource with S3DataType S3Prefix or ManifestFile only."
                )
            self._check_objects(source, request["RoleArn"])

    def _check_objects(self, source: S3DataSource, role: str) -> None:
        uri, location, cause = source["S3Uri"], Location.of(source["S3Uri"]), ""
        try:
            if next(inputs_of(self._objects, source), None) is not None:
                return
        except (MissingObjectsError, ManifestError) as error:
            cause = f" Error message from S3: {error}"
        raise validation_error(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({REGION}), that objects exist under that S3 prefix, and that the role "
            f'"{role}" has "s3:ListBucket" permissions on bucket "{location.bucket}".{cause}'
        )

    def _stop(self, request: StopTrainingJob) -> None:
        self.stop(request["TrainingJobName"])


def _check_members(request: CreateTrainingJob) -> None:
    """Require what is optional in the service model only for kinds of jobs that this stand-in doesn't have."""
    for member in ("AlgorithmSpecification", "ResourceConfig"):
        if member not in request:
            raise validation_error(f"{member} is missing: this stand-in has no training jobs without it.")
    specification, resources = request["AlgorithmSpecification"], request["ResourceConfig"]
    if "InstanceType" not in resources or resources.get("InstanceCount", 0) < 1:
        raise validation_error("ResourceConfig: this stand-in needs an InstanceType and an InstanceCount above 0.")
    for member in ("ContainerEntrypoint", "ContainerArguments"):
        if member in specification:
            raise validation_error(f"AlgorithmSpecification: this stand-in runs built-in algorithms only, no {member}.")
    if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        raise validation_error("OutputDataConfig: this stand-in writes model.tar.gz, with CompressionType GZIP.")


def _check_algorithm(request: CreateTrainingJob) -> None:
    specification = request["AlgorithmSpecification"]
    image = specification.get("TrainingImage")
    if image is None:
        raise validation_error(
            "AlgorithmSpecification needs a TrainingImage; algorithm ARNs aren't known to this stand-in."
        )
    own = specification.get("MetricDefinitions", [])
    if own and catalog.is_aws(image) and catalog.by_image(image) is not None:
        raise validation_error(
            "You can't override the metric definitions for Amazon SageMaker algorithms. "
            "Please retry the request without specifying metric definitions."
        )
    for each in own:
        try:
            if regex.compile(each["Regex"]).groups:
                continue
            fault = "it has no group for the value"
        except regex.error as error:
            fault = str(error)
        raise validation_error(f"The regex of the metric definition {each['Name']} is invalid: {fault}.")


def _check_stopping(request: CreateTrainingJob) -> None:
    """Apply the rules of managed spot training (API reference, StoppingCondition)."""
    stopping, spot = _stopping(request), request.get("EnableManagedSpotTraining", False)
    longest = stopping.get("MaxWaitTimeInSeconds")
    if longest is not None and not spot:
        raise validation_error("MaxWaitTimeInSeconds above 0 is not supported when EnableManagedSpotTraining is false.")
    if spot and longest is None:
        raise validation_error("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.")
    if longest is not None and longest < stopping["MaxRuntimeInSeconds"]:
        raise validation_error("Invalid MaxWaitTimeInSeconds. It must be at least MaxRuntimeInSeconds.")


def _check_quota(request: CreateTrainingJob, at_once: int) -> None:
    resources, spot = request["ResourceConfig"], request.get("EnableManagedSpotTraining", False)
    usage = "spot training job usage" if spot else "training job usage"
    require_quota(resources["InstanceType"], usage, resources["InstanceCount"] * at_once)


def _stopping(request: CreateTrainingJob) -> StoppingCondition:
    """Return the request's condition with the service's default."""
    return {"MaxRuntimeInSeconds": _DAY_SECONDS, **request.get("StoppingCondition", {})}


def _metric_definitions(specification: AlgorithmSpecification) -> list[MetricDefinitionMember]:
    """Return the service's definitions for the algorithm, and the request's, which replace those of the same name."""
    algorithm = catalog.by_image(specification["TrainingImage"])
    services = [each.as_request() for each in (algorithm.metrics if algorithm else ())]
    return list({each["Name"]: each for each in (*services, *specification.get("MetricDefinitions", []))}.values())


def _new_job(request: CreateTrainingJob, job_arn: str, now: float, tuned: Tuned) -> TrainingJob:
    return {
        **request,
        "AlgorithmSpecification": {
            "EnableSageMakerMetricsTimeSeries": False,
            **request["AlgorithmSpecification"],
            "MetricDefinitions": _metric_definitions(request["AlgorithmSpecification"]),
        },
        "StoppingCondition": _stopping(request),
        "CreationTime": now,
        "ModelArtifacts": {"S3ModelArtifacts": _model_location(request).uri},
        "HyperParameters": request.get("HyperParameters", {}),
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
        **status.start(now),
        **tuned,
        "TrainingJobArn": job_arn,
    }


def _model_location(request: CreateTrainingJob) -> Location:
    """Return where the job's model goes: ``{S3OutputPath}/{job}/output/model.tar.gz``."""
    return Location.of(request["OutputDataConfig"]["S3OutputPath"]).child(
        request["TrainingJobName"], "output", "model.tar.gz"
    )


def _interrupt(job: TrainingJob) -> None:
    if job["TrainingJobStatus"] == "Stopping":
        status.enter(job, "Stopped", time.time())
        return
    status.fail(
        job,
        "InternalServerError: the SageMaker stand-in was restarted while this job ran. Start it again.",
        time.time(),
    )

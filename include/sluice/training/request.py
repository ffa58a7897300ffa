"""The training request: the same snapshot, declaration and role give the same request and the same job name (P7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sluice.dataset.channels import Form, form_of
from sluice.dataset.snapshot import Snapshot
from sluice.declaration.candidates import Candidate
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake
from sluice.training.algorithms.contract import algorithm_named
from sluice.workspace import Workspace

_FINGERPRINT_DIGITS = 16
_END_OF_JOB_NAME = rf"[0-9a-f]{{{_FINGERPRINT_DIGITS}}}(-\d)?"  # the digest, and the number of the attempt


def training_request(workspace: Workspace, candidate: Candidate, snapshot: Snapshot) -> dict[str, Any]:
    """Return the CreateTrainingJob request.

    Its ``TrainingJobName`` ends in a fingerprint of everything else in it, except the declared tags, because these do
    not change the model.

    Args:
        workspace: The workspace of a pipeline that declares a training. Its lake also gets the artefact.
        candidate: What is trained.
        snapshot: What the job is trained on.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    pipeline, lake = workspace.pipeline, workspace.lake
    training, region = pipeline.require_training(), workspace.aws.client("sagemaker").meta.region_name
    algorithm = algorithm_named(candidate.algorithm)
    image = algorithm.image(candidate.version, region)
    hyperparameters = {name: _as_text(value) for name, value in candidate.hyperparameters.items()}
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": workspace.resources.require_role(),
        "HyperParameters": dict(sorted(hyperparameters.items())),
        "InputDataConfig": [
            _channel(lake, snapshot, form_of(candidate), "train", algorithm.content_type),
            _channel(lake, snapshot, form_of(candidate), "validation", algorithm.content_type),
        ],
        "OutputDataConfig": {
            "S3OutputPath": lake.uri(lake.layout.models()),
            **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
        "ResourceConfig": {
            "InstanceType": candidate.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": candidate.volume_gb,
            **({"VolumeKmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
        **vpc_config(pipeline),
        "StoppingCondition": {"MaxRuntimeInSeconds": int(training.max_runtime.total_seconds())},
        "Tags": [
            {"Key": "sluice:pipeline", "Value": pipeline.name},
            {"Key": "sluice:snapshot", "Value": snapshot.fingerprint},
        ],
    }
    name = job_name_stem(pipeline, candidate) + digest_of(request)[:_FINGERPRINT_DIGITS]
    return {"TrainingJobName": name, **request, "Tags": [*request["Tags"], *declared_tags(pipeline)]}


def _as_text(value: object) -> str:
    """Return a hyperparameter as SageMaker takes it: truth values are ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def job_name_stem(pipeline: Pipeline, candidate: Candidate) -> str:
    """Return the beginning of the names of a candidate's jobs; SageMaker allows no underscore in them.

    Args:
        pipeline: The pipeline that trains.
        candidate: What is trained.
    """
    return f"{pipeline.name}-{candidate.name}-".replace("_", "-")


def candidate_of(pipeline: Pipeline, job_name: str) -> Candidate:
    """Return the candidate that a job has trained.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.

    Raises:
        DeclarationError: no declared candidate has jobs of that name.
    """
    candidate = _candidate(pipeline, job_name)
    if candidate is None:
        raise DeclarationError(
            f"pipeline {pipeline.name} declares no candidate whose job is {job_name}; clear the task that launched it"
        )
    return candidate


def is_job_of(pipeline: Pipeline, job_name: str) -> bool:
    """Return whether a job is that of a declared candidate.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.
    """
    return _candidate(pipeline, job_name) is not None


def _candidate(pipeline: Pipeline, job_name: str) -> Candidate | None:
    for candidate in pipeline.require_training().candidates:
        if re.fullmatch(job_name_stem(pipeline, candidate) + _END_OF_JOB_NAME, job_name):
            return candidate
    return None


def vpc_config(pipeline: Pipeline) -> Mapping[str, Any]:
    """Return the member of a request that puts a job or a model into the declared network; empty without one."""
    if pipeline.network is None:
        return {}
    network = pipeline.network
    return {
        "VpcConfig": {"SecurityGroupIds": list(network.security_groups), "Subnets": list(network.subnets)},
    }


def declared_tags(pipeline: Pipeline) -> list[Mapping[str, str]]:
    """Return the declared tags in SageMaker's form, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(pipeline.tags.items())]


def _channel(lake: Lake, snapshot: Snapshot, form: Form, channel: str, content_type: str) -> dict[str, Any]:
    return {
        "ChannelName": channel,
        "ContentType": content_type,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": lake.uri(lake.layout.channel(snapshot.fingerprint, form, channel)),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }

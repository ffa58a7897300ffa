"""The training request: the same snapshot, declaration and role give the same request and the same job name (P7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.dataset.snapshot import Snapshot
from sluice.declaration.pipeline import Pipeline
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake
from sluice.training.algorithms.contract import algorithm_of
from sluice.workspace import Workspace

FINGERPRINT_DIGITS = 16


def training_request(workspace: Workspace, snapshot: Snapshot) -> dict[str, Any]:
    """Return the CreateTrainingJob request.

    Its ``TrainingJobName`` ends in a fingerprint of everything else in it, except the declared tags, because these do
    not change the model.

    Args:
        workspace: The workspace of a pipeline that declares a training. Its lake also gets the artefact.
        snapshot: What the job is trained on.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    pipeline, lake = workspace.pipeline, workspace.lake
    training, region = pipeline.require_training(), workspace.aws.client("sagemaker").meta.region_name
    algorithm = algorithm_of(training.candidate)
    hyperparameters = {name: _as_text(value) for name, value in training.candidate.hyperparameters.items()}
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": algorithm.image(region), "TrainingInputMode": "File"},
        "RoleArn": workspace.resources.require_role(),
        "HyperParameters": dict(sorted(hyperparameters.items())),
        "InputDataConfig": [
            _channel(lake, snapshot, "train", algorithm.content_type),
            _channel(lake, snapshot, "validation", algorithm.content_type),
        ],
        "OutputDataConfig": {
            "S3OutputPath": lake.uri(lake.layout.models()),
            **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
        "ResourceConfig": {
            "InstanceType": training.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": training.volume_gb,
            **({"VolumeKmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
        **vpc_config(pipeline),
        "StoppingCondition": {"MaxRuntimeInSeconds": int(training.max_runtime.total_seconds())},
        "Tags": [
            {"Key": "sluice:pipeline", "Value": pipeline.name},
            {"Key": "sluice:snapshot", "Value": snapshot.fingerprint},
        ],
    }
    name = job_name_stem(pipeline) + digest_of(request)[:FINGERPRINT_DIGITS]
    return {"TrainingJobName": name, **request, "Tags": [*request["Tags"], *declared_tags(pipeline)]}


def _as_text(value: object) -> str:
    """Return a hyperparameter as SageMaker takes it: truth values are ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def job_name_stem(pipeline: Pipeline) -> str:
    """Return the beginning of the names of the pipeline's jobs; SageMaker allows no underscore in them."""
    return f"{pipeline.name}-{pipeline.require_training().candidate.name}-".replace("_", "-")


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


def _channel(lake: Lake, snapshot: Snapshot, channel: str, content_type: str) -> dict[str, Any]:
    return {
        "ChannelName": channel,
        "ContentType": content_type,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": lake.uri(lake.layout.channel(snapshot.fingerprint, channel)),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }

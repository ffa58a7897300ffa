"""The training request: the same snapshot, declaration and role give the same request and the same job name (P7)."""

from __future__ import annotations

from typing import Any

from sluice.dataset.snapshot import Snapshot
from sluice.declaration.pipeline import Pipeline
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake
from sluice.training.images import xgboost_image

FINGERPRINT_DIGITS = 16


def training_request(lake: Lake, pipeline: Pipeline, snapshot: Snapshot, role_arn: str, region: str) -> dict[str, Any]:
    """The CreateTrainingJob request. Its ``TrainingJobName`` ends in the fingerprint of everything else in it."""
    training = pipeline.training
    hyperparameters = {name: str(value) for name, value in training.candidate.hyperparameters.items()}
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": xgboost_image(region), "TrainingInputMode": "File"},
        "RoleArn": role_arn,
        "HyperParameters": dict(sorted(hyperparameters.items())),
        "InputDataConfig": [
            _channel(lake, snapshot, "train"),
            _channel(lake, snapshot, "validation"),
        ],
        "OutputDataConfig": {"S3OutputPath": lake.uri(lake.layout.models())},
        "ResourceConfig": {
            "InstanceType": training.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": training.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": int(training.max_runtime.total_seconds())},
        "Tags": [
            {"Key": "sluice:pipeline", "Value": pipeline.name},
            {"Key": "sluice:snapshot", "Value": snapshot.fingerprint},
        ],
    }
    return {"TrainingJobName": job_name_stem(pipeline) + digest_of(request)[:FINGERPRINT_DIGITS], **request}


def job_name_stem(pipeline: Pipeline) -> str:
    """How the names of the pipeline's jobs begin; SageMaker allows no underscore in them."""
    return f"{pipeline.name}-{pipeline.training.candidate.name}-".replace("_", "-")


def _channel(lake: Lake, snapshot: Snapshot, channel: str) -> dict[str, Any]:
    return {
        "ChannelName": channel,
        "ContentType": "text/csv",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": lake.uri(lake.layout.channel(snapshot.fingerprint, channel)),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }

"""The training request: the same snapshot, declaration and role give the same request and the same job name (P7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.dataset.channels import FORMATS, Form, form_of
from sluice.dataset.snapshot import Snapshot
from sluice.declaration.candidates import Candidate
from sluice.declaration.training import Training
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.members import declared_tags, network_members
from sluice.training.names import FINGERPRINT_DIGITS, job_name_stem
from sluice.workspace import Workspace


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
    hyperparameters = {name: as_text(value) for name, value in candidate.hyperparameters.items()}
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": workspace.resources.require_role(),
        "HyperParameters": dict(sorted(hyperparameters.items())),
        "InputDataConfig": [
            _channel(lake, snapshot, form_of(candidate), "train"),
            _channel(lake, snapshot, form_of(candidate), "validation"),
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
        **network_members(pipeline),
        **_stopping(training, candidate),
        "Tags": [
            {"Key": "sluice:pipeline", "Value": pipeline.name},
            {"Key": "sluice:snapshot", "Value": snapshot.fingerprint},
        ],
    }
    name = job_name_stem(pipeline, candidate) + digest_of(request)[:FINGERPRINT_DIGITS]
    if candidate.spot is not None:  # All attempts share the checkpoints: the next one goes on where one was stopped.
        request["CheckpointConfig"] = {"S3Uri": lake.uri(lake.layout.model_checkpoints(name))}
    return {"TrainingJobName": name, **request, "Tags": [*request["Tags"], *declared_tags(pipeline)]}


def _stopping(training: Training, candidate: Candidate) -> Mapping[str, Any]:
    """Return the members of a request that bound the job, on demand or on spare capacity."""
    longest = {"MaxRuntimeInSeconds": int(training.max_runtime.total_seconds())}
    if candidate.spot is None:
        return {"StoppingCondition": longest}
    waiting = {"MaxWaitTimeInSeconds": int(candidate.spot.total_seconds())}
    return {"EnableManagedSpotTraining": True, "StoppingCondition": longest | waiting}


def as_text(value: object) -> str:
    """Return a hyperparameter as SageMaker takes it: truth values are ``true`` and ``false``.

    Args:
        value: The value, as it is declared.
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def _channel(lake: Lake, snapshot: Snapshot, form: Form, channel: str) -> dict[str, Any]:
    # A compression and a record wrapper are for Pipe mode only (SageMaker API reference, Channel).
    return {
        "ChannelName": channel,
        "ContentType": FORMATS[form.format].content_type,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": lake.uri(lake.layout.channel(snapshot.fingerprint, form.name, channel)),
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }

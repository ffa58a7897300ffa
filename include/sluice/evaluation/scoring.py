"""Scores frozen rows with a model, by a batch transform job: SageMaker's own container answers, whatever the algorithm.

The answers stay in the lake. The verdict is made from them, and a live endpoint must give the same ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from sluice.evaluation.inputs import inputs_folder, write_inputs
from sluice.evaluation.transforms import Scoring, find_scoring, scoring_stem
from sluice.lake.manifests import digest_of
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.attempts import Launch, launch
from sluice.training.members import pipeline_tags
from sluice.training.models import Model, make_model, model_request
from sluice.workspace import Workspace

_PAYLOAD_MB = 6  # the most that an endpoint takes as well


def launch_scoring(workspace: Workspace, model: Model, fingerprint: str) -> Launch:
    """Reuse, adopt or start the job that scores the validation and test rows of a snapshot with a model.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model; it may have been trained on another snapshot.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: the snapshot does not exist, or the pipeline's stack has no role for SageMaker.
        TrainingFailed: five attempts of this scoring have failed or were stopped.
    """
    write_inputs(workspace, model, fingerprint)
    make_model(workspace, model_request(workspace, model))
    create = workspace.aws.client("sagemaker").create_transform_job
    request = scoring_request(workspace, model, fingerprint)
    find = partial(_find, workspace, workspace.lake.layout.scores(request["TransformJobName"]))
    return launch(request, "TransformJobName", find, create)


def _find(workspace: Workspace, folder: str, name: str) -> Scoring | None:
    """Return a job. One whose answers were removed since counts as stopped, so that the next attempt scores again."""
    scoring = find_scoring(workspace, name)
    if scoring is None or not scoring.completed or any(workspace.lake.objects(folder)):
        return scoring
    return replace(scoring, status="Stopped", failure_reason="its answers were removed")


def scoring_request(workspace: Workspace, model: Model, fingerprint: str) -> dict[str, Any]:
    """Return the CreateTransformJob request. Its name ends in a digest of all that decides the answers.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        fingerprint: The fingerprint of the snapshot.
    """
    pipeline, lake = workspace.pipeline, workspace.lake
    algorithm = algorithm_named(model.algorithm)
    request: dict[str, Any] = {
        "ModelName": model.job,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": _PAYLOAD_MB,
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": lake.uri(inputs_folder(workspace, model, fingerprint)),
                }
            },
            "ContentType": algorithm.content_type,
            "SplitType": "Line",
        },
        "TransformResources": {
            "InstanceType": model.instance_type,
            "InstanceCount": 1,
            **({"VolumeKmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        },
    }
    name = f"{scoring_stem(pipeline.name)}{digest_of([request, model.artefact])[:16]}"
    output = {
        "S3OutputPath": lake.uri(lake.layout.scores(name)),
        "Accept": algorithm.accept,
        "AssembleWith": "Line",
        **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
    }
    return {"TransformJobName": name, **request, "TransformOutput": output, "Tags": pipeline_tags(pipeline)}


def scores_folder(workspace: Workspace, model: Model, fingerprint: str) -> str:
    """Return the folder of the answers, which all attempts of a scoring share.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        fingerprint: The fingerprint of the snapshot.
    """
    return workspace.lake.layout.scores(scoring_request(workspace, model, fingerprint)["TransformJobName"])

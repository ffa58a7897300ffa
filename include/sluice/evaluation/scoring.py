"""Scores frozen rows with a model, by a batch transform job: SageMaker's own container answers, whatever the algorithm.

The answers stay in the lake. The verdict is made from them, and a live endpoint must give the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.dataset.channels import Channel
from sluice.errors import TrainingFailed
from sluice.evaluation.inputs import inputs_folder, write_inputs
from sluice.evaluation.metrics import Numbers
from sluice.lake.manifests import digest_of
from sluice.training.algorithms.contract import Algorithm, algorithm_named
from sluice.training.attempts import Launch, launch
from sluice.training.models import Model, make_model, model_request, pipeline_tags
from sluice.workspace import Workspace

_PAYLOAD_MB = 6  # the most that an endpoint takes as well


@dataclass(frozen=True)
class Scoring:
    """A transform job as SageMaker describes it."""

    name: str
    status: str
    failure_reason: str

    @property
    def completed(self) -> bool:
        """Whether all rows have their answers."""
        return self.status == "Completed"

    @property
    def ended(self) -> bool:
        """Whether the job has completed, failed or been stopped."""
        return self.status in {"Completed", "Failed", "Stopped"}


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
    return launch(request, "TransformJobName", partial(find_scoring, workspace), create)


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


def scoring_stem(pipeline: str) -> str:
    """Return the beginning of the names of a pipeline's transform jobs."""
    return f"{pipeline}-scores-".replace("_", "-")


def find_scoring(workspace: Workspace, name: str) -> Scoring | None:
    """Return a transform job, by one call.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Returns:
        None if there is no such job.
    """
    try:
        job = workspace.aws.client("sagemaker").describe_transform_job(TransformJobName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    return Scoring(name, job["TransformJobStatus"], " ".join(job.get("FailureReason", "").split()))


def completed_scoring(workspace: Workspace, name: str) -> Scoring:
    """Return a transform job, and require that it has completed.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.

    Raises:
        TrainingFailed: it has not completed; the message has SageMaker's reason.
    """
    scoring = find_scoring(workspace, name)
    if scoring is None or not scoring.completed:
        found = "does not exist" if scoring is None else f"ended {scoring.status} ({scoring.failure_reason})"
        raise TrainingFailed(
            f"transform job {name} {found}; its log is /aws/sagemaker/TransformJobs, stream {name}; correct the cause, "
            f"then clear the task that launched it"
        )
    return scoring


def stop_scoring(workspace: Workspace, name: str) -> None:
    """Stop a transform job, unless it has ended or does not exist.

    Args:
        workspace: The workspace of the pipeline that trains.
        name: The name of the job.
    """
    scoring = find_scoring(workspace, name)
    if scoring is not None and not scoring.ended:
        workspace.aws.client("sagemaker").stop_transform_job(TransformJobName=name)


def scores_folder(workspace: Workspace, model: Model, fingerprint: str) -> str:
    """Return the folder of the answers, which all attempts of a scoring share.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        model: The model.
        fingerprint: The fingerprint of the snapshot.
    """
    return workspace.lake.layout.scores(scoring_request(workspace, model, fingerprint)["TransformJobName"])


def read_scores(workspace: Workspace, model: Model, folder: str, channel: Channel) -> Numbers:
    """Return the answers of a model for the rows of one channel.

    Args:
        workspace: The workspace of the pipeline that trained.
        model: The model that was scored.
        folder: The folder of the answers.
        channel: ``validation`` or ``test``.

    Returns:
        The shape ``(rows,)``, or ``(rows, classes)`` for a problem of several classes.

    Raises:
        MissingResource: the answers do not exist.
        TrainingFailed: an answer is not one finite number for each score of the problem.
    """
    lake, problem = workspace.lake, workspace.pipeline.require_training().problem
    key = f"{folder}{channel}.csv.out"
    try:
        return read_answers(algorithm_named(model.algorithm), lake.get(key).decode(), problem.scores)
    except ValueError as error:
        raise TrainingFailed(f"{lake.uri(key)} has answers that are not those of {problem}: {error}") from error


def read_answers(algorithm: Algorithm, body: str, scores: int) -> Numbers:
    """Parse the answers of a model.

    Args:
        algorithm: Reads one line.
        body: One line for each row.
        scores: How many numbers each row has.

    Returns:
        The shape ``(rows,)`` if ``scores`` is 1, else ``(rows, scores)``.

    Raises:
        ValueError: a line has something else than that many finite numbers.
    """
    rows = [algorithm.read_answer(line) for line in body.splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != scores:
            raise ValueError(f"line {number} has {len(row)} numbers, not {scores}")
    answers = np.array(rows, dtype=np.float64).reshape(len(rows), scores)
    if not np.isfinite(answers).all():
        raise ValueError("a number is not finite")
    return answers[:, 0] if scores == 1 else answers

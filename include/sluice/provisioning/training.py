"""The workers' rights to train, judge and clean up."""

from __future__ import annotations

from sluice.aws.template import Statement, arn, lake_arn
from sluice.declaration.pipeline import Pipeline
from sluice.evaluation.transforms import scoring_stem
from sluice.provisioning.role import MADE, ROLE, batch_folders
from sluice.serving.registry import group_name
from sluice.training.log import GROUP as LOG_GROUP
from sluice.training.names import name_stems, tuning_name_stem


def training_rights(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights of a pipeline that declares a training."""
    return (
        Statement(
            "Train",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
            ),
            tuple(arn("sagemaker", f"training-job/{stem}*") for stem in name_stems(pipeline)),
        ),
        Statement(
            "Score",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateModel",
                "sagemaker:CreateTransformJob",
                "sagemaker:DeleteModel",
                "sagemaker:DescribeModel",
                "sagemaker:DescribeTransformJob",
                "sagemaker:StopTransformJob",
            ),
            (
                *(arn("sagemaker", f"model/{stem}*") for stem in name_stems(pipeline)),  # a model has its job's name
                arn("sagemaker", f"transform-job/{scoring_stem(pipeline.name)}*"),
            ),
        ),
        Statement(
            "Register",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackage",
                "sagemaker:CreateModelPackageGroup",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:UpdateModelPackage",
            ),
            (
                arn("sagemaker", f"model-package-group/{group_name(pipeline)}"),
                arn("sagemaker", f"model-package/{group_name(pipeline)}/*"),
            ),
        ),
        Statement("FindTrainingLogs", ("logs:DescribeLogStreams",), (arn("logs", f"log-group:{LOG_GROUP}:*"),)),
        Statement(
            "ReadTrainingLogs",
            ("logs:GetLogEvents",),
            tuple(arn("logs", f"log-group:{LOG_GROUP}:log-stream:{stem}*") for stem in name_stems(pipeline)),
        ),
        *_tune(pipeline),
        *_clean(pipeline),
        Statement(
            "HandTheRoleToSageMakerOnly",
            ("iam:PassRole",),
            (f"${{{ROLE}.Arn}}",),
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    )


def _tune(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to tune, for candidates that declare it. SageMaker starts the training jobs by itself."""
    tuned = [each for each in pipeline.require_training().candidates if each.tuning is not None]
    if not tuned:
        return ()
    tune = Statement(
        "Tune",
        (
            "sagemaker:AddTags",
            "sagemaker:CreateHyperParameterTuningJob",
            "sagemaker:DescribeHyperParameterTuningJob",
            "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
            "sagemaker:StopHyperParameterTuningJob",
        ),
        tuple(arn("sagemaker", f"hyper-parameter-tuning-job/{tuning_name_stem(pipeline, each)}*") for each in tuned),
    )
    # The action has no resources.
    return tune, Statement("FindTuningJobs", ("sagemaker:ListHyperParameterTuningJobs",), ("*",))


def _clean(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to find and to remove what is not needed any more."""
    name, deployment = pipeline.name, pipeline.deployment
    configs = ("sagemaker:ListEndpointConfigs",) if deployment else ()
    return (
        Statement(
            "FindModelsJobsAndQuotas",
            (
                *configs,
                "sagemaker:ListModels",
                "sagemaker:ListTrainingJobs",
                "sagemaker:ListTransformJobs",
                "servicequotas:ListAWSDefaultServiceQuotas",
                "servicequotas:ListServiceQuotas",
            ),
            ("*",),  # these actions have no resources
        ),
        Statement(
            "DeleteSnapshotsModelsAndScores",
            ("s3:DeleteObject",),
            tuple(lake_arn(name, f"/{name}/{each}/*") for each in (*MADE, *batch_folders(pipeline))),
        ),
    )

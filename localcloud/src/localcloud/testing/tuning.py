"""Requests for tuning jobs to the SageMaker stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcloud.testing import training
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

ETA = {"Name": "eta", "MinValue": "0.05", "MaxValue": "0.5"}
DEPTH = {"Name": "max_depth", "MinValue": "2", "MaxValue": "6"}
BOOSTER = {"Name": "booster", "Values": ["gbtree", "dart"]}


def request(
    name: str, data: training.Data, most: int, hyperparameters: Mapping[str, str] = {}, **changes: Any
) -> dict[str, Any]:
    """Return a CreateHyperParameterTuningJob request of XGBoost, which searches `ETA` and `DEPTH` at random.

    Args:
        name: The tuning job's name.
        data: The data to train on.
        most: How many training jobs there are.
        hyperparameters: Static hyperparameters that are added or replaced.
        **changes: Members that replace those of HyperParameterTuningJobConfig.
    """
    definition = training.request(name, data)
    del definition["TrainingJobName"]
    static = {**definition.pop("HyperParameters"), "nthread": "1", "num_round": "3", **hyperparameters}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": min(most, 2)},
            "ParameterRanges": {"IntegerParameterRanges": [DEPTH], "ContinuousParameterRanges": [ETA]},
            "RandomSeed": 7,
            **changes,
        },
        "TrainingJobDefinition": {
            **definition,
            "StaticHyperParameters": {name: value for name, value in static.items() if name != "max_depth"},
        },
    }


def finished(sagemaker: SageMakerClient, name: str, *, seconds: float = 60.0) -> Any:
    """Wait until a tuning job is over, at most so many ``seconds``, and return its description."""

    def look() -> Any:
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        return job if job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_for(look, seconds=seconds, what=f"the end of tuning job {name}")


def trained(sagemaker: SageMakerClient, name: str, **filters: Any) -> list[Any]:
    """Return the summaries of a tuning job's training jobs, at most 100.

    Args:
        sagemaker: The client.
        name: The tuning job's name.
        **filters: Further members of the request.
    """
    answer: Any = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100, **filters
    )
    summaries: list[Any] = answer["TrainingJobSummaries"]
    return summaries

"""Hyperparameter tuning jobs, which really train."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing import linear_learner, training, tuning
from localcloud.testing.clouds import LocalCloud
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

JOBS = 4


@pytest.fixture(scope="module")
def completed(sagemaker: SageMakerClient, data: training.Data) -> Any:
    """A tuning job that has completed."""
    name = "a-completed-tuning"
    tags = [{"Key": "owner", "Value": "tests"}]
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(name, data, JOBS), Tags=tags)
    job = tuning.finished(sagemaker, name)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    return job


def searched(summaries: list[Any]) -> list[dict[str, str]]:
    return [each["TunedHyperParameters"] for each in summaries]


def test_training_jobs_have_the_names_and_the_hyperparameters_of_the_search(
    sagemaker: SageMakerClient, completed: Any
) -> None:
    name, arn = completed["HyperParameterTuningJobName"], completed["HyperParameterTuningJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/a-completed-tuning"
    summaries = tuning.trained(sagemaker, name)
    assert len(summaries) == JOBS
    for number, summary in enumerate(summaries, start=1):
        assert re.fullmatch(rf"{name}-00{number}-[0-9a-f]{{8}}", summary["TrainingJobName"])
        job = sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"])
        assert job["TuningJobArn"] == arn
        assert summary["TunedHyperParameters"].items() <= job["HyperParameters"].items()
        assert set(summary["TunedHyperParameters"]) == {"eta", "max_depth"}
        assert job["HyperParameters"]["_tuning_objective_metric"] == "validation:auc"
        assert job["HyperParameters"]["objective"] == "binary:logistic", "static ones are in each job"
        assert 0.05 <= float(job["HyperParameters"]["eta"]) <= 0.5
        assert int(job["HyperParameters"]["max_depth"]) in range(2, 7)
    listed = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    assert {each["TrainingJobName"] for each in listed} == {each["TrainingJobName"] for each in summaries}


def test_the_best_training_job_has_the_highest_objective(sagemaker: SageMakerClient, completed: Any) -> None:
    jobs = [
        sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        for each in tuning.trained(sagemaker, completed["HyperParameterTuningJobName"])
    ]
    values = {
        job["TrainingJobName"]: metric["Value"]
        for job in jobs
        for metric in job["FinalMetricDataList"]
        if metric["MetricName"] == "validation:auc"
    }
    best = completed["BestTrainingJob"]
    assert len(set(values.values())) > 1
    assert values[best["TrainingJobName"]] == max(values.values())
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "validation:auc",
        "Value": max(values.values()),
    }
    assert best["ObjectiveStatus"] == "Succeeded"
    counters = completed["TrainingJobStatusCounters"]
    assert counters == {"Completed": JOBS, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    assert completed["ObjectiveStatusCounters"] == {"Succeeded": JOBS, "Pending": 0, "Failed": 0}
    best_first = tuning.trained(
        sagemaker,
        completed["HyperParameterTuningJobName"],
        SortBy="FinalObjectiveMetricValue",
        SortOrder="Descending",
    )
    assert [values[each["TrainingJobName"]] for each in best_first] == sorted(values.values(), reverse=True)


def test_describe_has_what_was_asked_for_and_the_defaults(completed: Any, data: training.Data) -> None:
    asked = tuning.request("a-completed-tuning", data, JOBS)
    config = completed["HyperParameterTuningJobConfig"]
    assert config == {"TrainingJobEarlyStoppingType": "Off", **asked["HyperParameterTuningJobConfig"]}
    static = completed["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static.pop("_tuning_objective_metric") == "validation:auc"
    assert static == asked["TrainingJobDefinition"]["StaticHyperParameters"]
    assert completed["CreationTime"] <= completed["HyperParameterTuningEndTime"]


def test_the_tags_of_a_tuning_job_are_those_of_its_training_jobs(sagemaker: SageMakerClient, completed: Any) -> None:
    best = completed["BestTrainingJob"]["TrainingJobArn"]
    for arn in (completed["HyperParameterTuningJobArn"], best):
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "owner", "Value": "tests"}]


def test_a_list_has_the_counters_and_the_limits(sagemaker: SageMakerClient, completed: Any) -> None:
    answer = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="a-completed", StatusEquals="Completed")
    [listed] = answer["HyperParameterTuningJobSummaries"]
    for member in ("HyperParameterTuningJobName", "HyperParameterTuningJobArn", "TrainingJobStatusCounters"):
        assert listed[member] == completed[member]  # type: ignore[literal-required]
    assert listed["Strategy"] == "Random"
    assert listed["ResourceLimits"]["MaxNumberOfTrainingJobs"] == JOBS


def test_the_same_seed_gives_the_same_points(
    sagemaker: SageMakerClient, data: training.Data, name: str, completed: Any
) -> None:
    again, other = f"{name[-20:]}-1", f"{name[-20:]}-2"
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(again, data, 2))
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(other, data, 2, RandomSeed=8))
    for each in (again, other):
        tuning.finished(sagemaker, each)
    first = searched(tuning.trained(sagemaker, completed["HyperParameterTuningJobName"]))[:2]
    assert searched(tuning.trained(sagemaker, again)) == first
    assert searched(tuning.trained(sagemaker, other)) != first


def test_no_more_training_jobs_run_at_once_than_the_limit(
    sagemaker: SageMakerClient, data: training.Data, name: str
) -> None:
    tuned = name[-20:]
    limits = {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1}
    grid = {"CategoricalParameterRanges": [tuning.BOOSTER, {"Name": "max_depth", "Values": ["2", "3"]}]}
    request = tuning.request(tuned, data, 3, ResourceLimits=limits, ParameterRanges=grid)
    sagemaker.create_hyper_parameter_tuning_job(**request)
    assert tuning.finished(sagemaker, tuned)["HyperParameterTuningJobStatus"] == "Completed"
    jobs = tuning.trained(sagemaker, tuned)
    assert [each["CreationTime"] for each in jobs] == sorted(each["CreationTime"] for each in jobs)
    for earlier, later in pairwise(jobs):
        assert earlier["TrainingEndTime"] <= later["CreationTime"]


def test_a_grid_trains_every_combination(sagemaker: SageMakerClient, data: training.Data, name: str) -> None:
    tuned = name[-20:]
    grid = {"CategoricalParameterRanges": [tuning.BOOSTER, {"Name": "max_depth", "Values": ["2", "3"]}]}
    limits = {"MaxParallelTrainingJobs": 2}
    request = tuning.request(tuned, data, 1, Strategy="Grid", ResourceLimits=limits, ParameterRanges=grid)
    sagemaker.create_hyper_parameter_tuning_job(**request)
    job = tuning.finished(sagemaker, tuned)
    assert job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4
    pairs = {(each["booster"], each["max_depth"]) for each in searched(tuning.trained(sagemaker, tuned))}
    assert pairs == {(booster, depth) for booster in ("gbtree", "dart") for depth in ("2", "3")}


def test_linear_learner_is_tuned_for_the_least_loss(sagemaker: SageMakerClient, data: training.Data, name: str) -> None:
    tuned = name[-20:]
    ranges = {"ContinuousParameterRanges": [{"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "0.5"}]}
    objective = {"Type": "Minimize", "MetricName": "validation:objective_loss"}
    request = tuning.request(
        tuned, data, 3, Strategy="Bayesian", ParameterRanges=ranges, HyperParameterTuningJobObjective=objective
    )
    definition = request["TrainingJobDefinition"]
    definition["AlgorithmSpecification"]["TrainingImage"] = linear_learner.IMAGE
    definition["StaticHyperParameters"] = {
        "predictor_type": "binary_classifier",
        "mini_batch_size": "50",
        "epochs": "2",
    }
    sagemaker.create_hyper_parameter_tuning_job(**request)
    job = tuning.finished(sagemaker, tuned)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    values = {
        each["TrainingJobName"]: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for each in tuning.trained(sagemaker, tuned)
    }
    assert len(values) == 3
    assert values[job["BestTrainingJob"]["TrainingJobName"]] == min(values.values())


def test_a_tuning_job_is_stopped_with_its_training_jobs(
    sagemaker: SageMakerClient, data: training.Data, name: str
) -> None:
    tuned = name[-20:]
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(tuned, data, 3, training.ENDLESS))
    wait_for(lambda: len(tuning.trained(sagemaker, tuned)) == 2, what="two training jobs")
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuned)
    job = tuning.finished(sagemaker, tuned)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2, "the third one was never started"
    assert "BestTrainingJob" not in job
    with pytest.raises(ClientError, match="rejected because the hyperparameter tuning job is in status Stopped"):
        sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuned)


def test_a_tuning_job_without_a_model_fails(sagemaker: SageMakerClient, data: training.Data, name: str) -> None:
    few, many = f"{name[-20:]}-1", f"{name[-20:]}-2"
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(few, data, 2, {"num_class": "1"}))
    sagemaker.create_hyper_parameter_tuning_job(**tuning.request(many, data, 20, {"num_class": "1"}))
    job = tuning.finished(sagemaker, few)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("All training jobs failed.")
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert job["ObjectiveStatusCounters"]["Failed"] == 2
    [first, _] = tuning.trained(sagemaker, few)
    assert first["FailureReason"].startswith("ClientError: Hyperparameter num_class: 1 is not in")
    job = tuning.finished(sagemaker, many)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] in (5, 6), "one more may have run beside the fifth"


def _limits(most: int, parallel: int) -> dict[str, Any]:
    return {"ResourceLimits": {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel}}


def _objective(metric: str) -> dict[str, Any]:
    return {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": metric}}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Strategy": "Hyperband"}, "ValidationException", "no strategy Hyperband; it has Bayesian, Grid, Random"),
        (_objective("validation:gini"), "ValidationException", "'validation:gini' is not one that the algorithm can"),
        (_limits(2, 3), "ValidationException", r"MaxParallelTrainingJobs, \[3\], must be less than or equal to"),
        (
            _limits(90, 21),
            "ResourceLimitExceeded",
            "'ml.m5.large for training job usage' is 20 Instances, .* delta of 21",
        ),
        (_limits(751, 1), "ResourceLimitExceeded", "per hyperparameter tuning job' is 750, with a request of 751"),
        (
            {"ParameterRanges": {"CategoricalParameterRanges": [tuning.BOOSTER]}, **_limits(3, 1)},
            "ValidationException",
            r"for the provided ranges \[2.0\] must be equal or greater than the value of MaxNumberOfJobs, \[3\]",
        ),
        ({"Strategy": "Grid"}, "ValidationException", "supports only categorical"),
        (
            {"ParameterRanges": {"CategoricalParameterRanges": [{"Name": "seed", "Values": ["1", "2"]}]}},
            "ValidationException",
            "The hyperparameter seed is not tunable",
        ),
        (
            {"ParameterRanges": {"IntegerParameterRanges": [{"Name": "num_round", "MinValue": "1", "MaxValue": "9"}]}},
            "ValidationException",
            "num_round is static and has a range",
        ),
        ({"ParameterRanges": {}}, "ValidationException", "must have at least one hyperparameter"),
        ({"TrainingJobEarlyStoppingType": "Auto"}, "ValidationException", "doesn't stop training jobs early"),
        (
            {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.9}},
            "ValidationException",
            "doesn't know completion criteria",
        ),
    ],
)
def test_a_tuning_job_that_can_not_run_is_refused(
    sagemaker: SageMakerClient, data: training.Data, changes: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        sagemaker.create_hyper_parameter_tuning_job(**tuning.request("refused", data, 2, **changes))
    assert refused.value.response["Error"]["Code"] == code


def test_the_definition_of_the_training_jobs_is_checked(sagemaker: SageMakerClient, data: training.Data) -> None:
    request = tuning.request("refused", data, 2)
    request["TrainingJobDefinition"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] += "nothing/"
    with pytest.raises(ClientError, match="No S3 objects found under S3 URL"):
        sagemaker.create_hyper_parameter_tuning_job(**request)


def test_a_name_is_found_or_free(sagemaker: SageMakerClient, data: training.Data, completed: Any) -> None:
    with pytest.raises(ClientError, match=r"can't find a tuning job called nothing\. Type another name") as missing:
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nothing")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"
    with pytest.raises(ClientError, match="with the name, a-completed-tuning, already exists") as taken:
        sagemaker.create_hyper_parameter_tuning_job(**tuning.request("a-completed-tuning", data, 2))
    assert taken.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError, match="'hyperParameterTuningJobName' failed to satisfy constraint"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning.request("n" * 33, data, 2))


@pytest.mark.chaos
def test_a_tuning_job_goes_on_after_a_kill(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    data, sagemaker = training.put_data(cloud.client("s3"), "data"), cloud.client("sagemaker")
    limits = {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1}
    request = tuning.request("tuned", data, 3, {"num_round": "10000"}, ResourceLimits=limits)
    sagemaker.create_hyper_parameter_tuning_job(**request)
    wait_for(lambda: tuning.trained(sagemaker, "tuned", StatusEquals="Completed"), what="a training job")
    wait_for(lambda: tuning.trained(sagemaker, "tuned", StatusEquals="InProgress"), what="another training job")
    localcloud.kill("sagemaker")

    sagemaker = localcloud.up().client("sagemaker")
    job = tuning.finished(sagemaker, "tuned")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    counters = job["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["RetryableError"]) == (2, 1)
    numbers = [each["TrainingJobName"].split("-")[1] for each in tuning.trained(sagemaker, "tuned")]
    assert numbers == ["001", "002", "003"]

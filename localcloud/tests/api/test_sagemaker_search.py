"""Search, over jobs whose properties are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing import training
from localcloud.testing.training import Data

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

Names = list[str]


@pytest.fixture(scope="module")
def jobs(sagemaker: SageMakerClient, data: Data) -> Names:
    """Three jobs of one project, with 1, 2 and no rounds; the last fails, and only the first two have metrics."""
    names = [f"searched-{number}" for number in range(3)]
    for number, name in enumerate(names):
        rounds = {"num_round": str(number + 1) if number < 2 else "none", "eval_metric": "auc"}
        tags = [{"Key": "Project", "Value": "searched"}, {"Key": "Owner", "Value": "ab"[number % 2]}]
        sagemaker.create_training_job(**training.request(name, data, rounds, Tags=tags))
        training.finished(sagemaker, name)
    return names


def search(sagemaker: SageMakerClient, *filters: Any, **more: Any) -> Names:
    expression = {"Filters": [equal("Tags.Project", "searched"), *filters]}
    found = sagemaker.search(
        Resource="TrainingJob", SearchExpression=expression, SortBy="CreationTime", SortOrder="Ascending", **more
    )
    return [each["TrainingJob"]["TrainingJobName"] for each in found["Results"]]


def condition(name: str, operator: str, value: str | None = None) -> Any:
    return {"Name": name, "Operator": operator} | ({} if value is None else {"Value": value})


def equal(name: str, value: str) -> Any:
    return {"Name": name, "Value": value}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        pytest.param(equal("Tags.Owner", "a"), [0, 2], id="tag"),
        pytest.param(equal("TrainingJobStatus", "Failed"), [2], id="status"),
        pytest.param(condition("TrainingJobStatus", "NotEquals", "Failed"), [0, 1], id="not"),
        pytest.param(condition("HyperParameters.num_round", "GreaterThan", "1"), [1], id="number in a text"),
        pytest.param(condition("HyperParameters.num_round", "LessThanOrEqualTo", "2.0"), [0, 1], id="at most"),
        pytest.param(condition("HyperParameters.num_round", "GreaterThanOrEqualTo", "2"), [1], id="at least"),
        pytest.param(condition("HyperParameters.num_round", "LessThan", "2"), [0], id="less"),
        pytest.param(condition("HyperParameters.num_round", "In", "1, none"), [0, 2], id="one of"),
        pytest.param(condition("Metrics.validation:auc", "GreaterThanOrEqualTo", "0.5"), [0, 1], id="metric"),
        pytest.param(condition("Metrics.validation:auc", "NotExists"), [2], id="without a metric"),
        pytest.param(condition("FailureReason", "Contains", "num_round"), [2], id="part of a text"),
        pytest.param(condition("FailureReason", "Exists"), [2], id="there"),
        pytest.param(condition("CreationTime", "GreaterThan", "2026-01-01T00:00:00"), [0, 1, 2], id="after a time"),
        pytest.param(condition("CreationTime", "LessThan", "2026-01-01T00:00:00"), [], id="before a time"),
        pytest.param(equal("InputDataConfig.ChannelName", "validation"), [0, 1, 2], id="in a list"),
        pytest.param(equal("ResourceConfig.InstanceCount", "1"), [0, 1, 2], id="number"),
        pytest.param(equal("EnableNetworkIsolation", "false"), [0, 1, 2], id="boolean"),
        pytest.param(condition("ResourceConfig", "GreaterThan", "0"), [], id="a structure has no order"),
        pytest.param(equal("Nothing.Of.This", "kind"), [], id="nothing"),
    ],
)
def test_a_filter_finds_its_jobs(sagemaker: SageMakerClient, jobs: Names, expression: Any, found: list[int]) -> None:
    assert search(sagemaker, expression) == [jobs[number] for number in found]


def test_expressions_are_combined_by_their_operators(sagemaker: SageMakerClient, jobs: Names) -> None:
    either = {"Operator": "Or", "Filters": [equal("TrainingJobName", jobs[0]), equal("TrainingJobName", jobs[2])]}
    expression: Any = {"SubExpressions": [either, {"Filters": [equal("TrainingJobStatus", "Failed")]}]}
    found = sagemaker.search(Resource="TrainingJob", SearchExpression=expression)
    assert [each["TrainingJob"]["TrainingJobName"] for each in found["Results"]] == [jobs[2]]


def test_a_nested_filter_holds_for_one_item(sagemaker: SageMakerClient, jobs: Names) -> None:
    def nested(channel: str, folder: str) -> int:
        name = "InputDataConfig"
        expression: Any = {
            "Filters": [equal("Tags.Project", "searched")],
            "NestedFilters": [
                {
                    "NestedPropertyName": name,
                    "Filters": [
                        equal(f"{name}.ChannelName", channel),
                        condition(f"{name}.DataSource.S3DataSource.S3Uri", "Contains", folder),
                    ],
                }
            ],
        }
        return len(sagemaker.search(Resource="TrainingJob", SearchExpression=expression)["Results"])

    assert (nested("train", "/train/"), nested("train", "/validation/")) == (len(jobs), 0)


def test_results_come_in_pages_the_newest_first(sagemaker: SageMakerClient, jobs: Names) -> None:
    expression: Any = {"Filters": [equal("Tags.Project", "searched")]}
    pages = sagemaker.get_paginator("search").paginate(
        Resource="TrainingJob", SearchExpression=expression, PaginationConfig={"PageSize": 2}
    )
    found = [[each["TrainingJob"]["TrainingJobName"] for each in page["Results"]] for page in pages]
    assert found == [[jobs[2], jobs[1]], [jobs[0]]]


def test_a_result_shows_tags_and_is_counted(sagemaker: SageMakerClient, jobs: Names) -> None:
    expression: Any = {"Filters": [equal("TrainingJobName", jobs[0])]}
    found: Any = sagemaker.search(Resource="TrainingJob", SearchExpression=expression)
    assert found["TotalHits"] == {"Value": 1, "Relation": "EqualTo"}
    assert {tag["Key"]: tag["Value"] for tag in found["Results"][0]["TrainingJob"]["Tags"]} == {
        "Project": "searched",
        "Owner": "a",
    }


def test_there_are_no_resources_of_other_accounts(sagemaker: SageMakerClient, jobs: Names) -> None:
    assert search(sagemaker, CrossAccountFilterOption="SameAccount") == jobs
    assert search(sagemaker, CrossAccountFilterOption="CrossAccount") == []


def test_an_unsupported_search_is_refused(sagemaker: SageMakerClient) -> None:
    with pytest.raises(ClientError, match=r"This stand-in has no Pipeline to search\. It knows TrainingJob, Model"):
        sagemaker.search(Resource="Pipeline")
    with pytest.raises(ClientError, match=r"VisibilityConditions: this stand-in has one account"):
        sagemaker.search(Resource="TrainingJob", VisibilityConditions=[{"Key": "a", "Value": "b"}])
    incomplete: Any = {"Filters": [{"Name": "TrainingJobName", "Operator": "Equals"}]}
    with pytest.raises(ClientError, match=r"The filter on TrainingJobName needs a Value for its operator Equals\."):
        sagemaker.search(Resource="TrainingJob", SearchExpression=incomplete)

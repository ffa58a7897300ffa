"""Requests are checked by the service model, with the service's messages."""

from __future__ import annotations

import math
from typing import Any

import pytest

from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import known, matches, service_model, validate

SAGEMAKER = service_model("sagemaker")


def refused(operation: str, request: dict[str, Any]) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        validate(SAGEMAKER.operation_model(operation), request)
    return error.value


def test_a_valid_request_passes() -> None:
    validate(SAGEMAKER.operation_model("DescribeTrainingJob"), {"TrainingJobName": "a-b-1"})


def test_unknown_members_are_ignored() -> None:
    validate(
        SAGEMAKER.operation_model("DescribeTrainingJob"),
        {"TrainingJobName": "a", "FromTheFuture": [1]},
    )


def test_only_known_members_are_kept_and_nulls_are_not() -> None:
    request = {
        "TrainingJobName": "a",
        "TrainingJobStatus": "Completed",
        "RoleArn": None,
        "HyperParameters": {"any": "key"},
        "InputDataConfig": [{"ChannelName": "train", "Served": {}, "DataSource": {"S3DataSource": {"Bucket": "b"}}}],
    }
    shape = SAGEMAKER.operation_model("CreateTrainingJob").input_shape
    assert shape is not None
    assert known(shape, request) == {
        "TrainingJobName": "a",
        "HyperParameters": {"any": "key"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {}}}],
    }


def test_all_faults_are_reported_at_once() -> None:
    error = refused("CreateEndpoint", {"EndpointName": "bad_name", "EndpointConfigName": "x" * 64})
    assert error.code == "ValidationException"
    assert error.message.startswith("3 validation errors detected: ")
    assert "Value 'bad_name' at 'endpointName' failed to satisfy constraint: Member must satisfy" in error.message
    assert "at 'endpointConfigName' failed to satisfy constraint: Member must have length less than or equal to 63" in (
        error.message
    )


def test_a_missing_member_is_reported_as_null() -> None:
    assert refused("CreateEndpoint", {"EndpointName": "a"}).message == (
        "1 validation error detected: Value null at 'endpointConfigName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_members_of_lists_and_maps_are_named_by_position() -> None:
    variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 0}
    error = refused("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": [variant]})
    assert error.message == (
        "1 validation error detected: Value '0' at 'productionVariants.1.member.initialInstanceCount' "
        "failed to satisfy constraint: Member must have value greater than or equal to 1"
    )


def test_the_message_has_the_values_of_an_enumeration() -> None:
    error = refused("ListEndpoints", {"SortOrder": "Sideways"})
    assert error.message == (
        "1 validation error detected: Value 'Sideways' at 'sortOrder' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Ascending, Descending]"
    )


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        ({"TrainingJobName": 7}, "type int at 'trainingJobName': expected string"),
        ({"TrainingJobName": ["a"]}, "type list at 'trainingJobName': expected string"),
    ],
)
def test_a_wrong_type_is_refused(request_: dict[str, Any], where: str) -> None:
    error = refused("DescribeTrainingJob", request_)
    assert error.code == "SerializationException"
    assert where in error.message


def test_true_is_not_a_number() -> None:
    assert refused("ListModels", {"MaxResults": True}).code == "SerializationException"


@pytest.mark.parametrize(
    ("operation", "member", "most", "beyond"),
    [
        pytest.param("ListModels", "MaxResults", 100, 2**31, id="integer"),
        pytest.param("ListModels", "MaxResults", 1, -(2**31) - 1, id="negative integer"),
        pytest.param("ListModels", "MaxResults", 1, 10**400, id="not even a float"),
        pytest.param("DescribePipeline", "PipelineVersionId", 2**63 - 1, 2**63, id="long"),
        pytest.param("ListModels", "CreationTimeAfter", 1e308, math.inf, id="timestamp"),
        pytest.param("ListModels", "CreationTimeAfter", 0, 10**400, id="timestamp of an integer"),
    ],
)
def test_a_number_has_the_range_of_javas_type(operation: str, member: str, most: float, beyond: float) -> None:
    own: dict[str, Any] = {"PipelineName": "p"} if operation == "DescribePipeline" else {}
    validate(SAGEMAKER.operation_model(operation), own | {member: most})
    error = refused(operation, own | {member: beyond})
    assert error.code == "SerializationException"
    assert f"The number at '{member[0].lower()}{member[1:]}' is out of range for" in error.message


@pytest.mark.parametrize("key", ["owner", "cost centre", "équipe/λ:1", "a_b.c+d=e@f-g"])
def test_java_character_classes_are_understood(key: str) -> None:
    tags = {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/m", "Tags": [{"Key": key, "Value": ""}]}
    validate(SAGEMAKER.operation_model("AddTags"), tags)


@pytest.mark.parametrize("key", ["a#b", "semi;colon", "tab\there"])
def test_java_character_classes_exclude(key: str) -> None:
    tags = {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/m", "Tags": [{"Key": key, "Value": ""}]}
    assert "regular expression pattern" in refused("AddTags", tags).message


def test_every_pattern_of_the_service_model_can_be_checked() -> None:
    model = service_model("sagemaker")
    patterns = {
        pattern
        for name in model.shape_names
        if isinstance(pattern := model.shape_for(name).metadata.get("pattern"), str)
    }
    assert len(patterns) > 200
    for pattern in sorted(patterns):
        matches(pattern, "")


@pytest.mark.parametrize(
    ("pattern", "passes", "fails"),
    [
        pytest.param(r"[a-z0-9]+", "a1", "a1\n", id="to its very end"),
        pytest.param(r"\d+", "12", "١٢", id="digits are ASCII"),
        pytest.param(r"[\w-]+", "a_1-", "é", id="words are ASCII"),
        pytest.param(r"[\p{L}\p{Z}\p{N}_.:\/=+\-@]*", "é 漢:٣", "é\t", id="but letters of all scripts"),
        pytest.param(r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,128}", "a b", "a\tb", id="a repeated end"),
        pytest.param(r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t😀", "\x00", id="UTF-16"),
    ],
)
def test_patterns_are_read_as_java_reads_them(pattern: str, passes: str, fails: str) -> None:
    assert matches(pattern, passes)
    assert not matches(pattern, fails)


def test_a_value_that_makes_a_pattern_slow_is_refused_soon() -> None:
    assert not matches(r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?", "a" * 5000 + "!")

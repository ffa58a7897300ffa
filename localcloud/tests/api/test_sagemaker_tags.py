"""AddTags, ListTags and DeleteTags."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

MANY = 40


@pytest.fixture
def arn(sagemaker: SageMakerClient, name: str) -> str:
    return sagemaker.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]


def tags(sagemaker: SageMakerClient, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def test_tags_are_added_replaced_and_removed(sagemaker: SageMakerClient, arn: str) -> None:
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}])
    assert tags(sagemaker, arn) == {"a": "1", "b": "3"}
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "nothing"])
    assert tags(sagemaker, arn) == {"b": "3"}


def test_no_tag_is_lost_between_clients(sagemaker: SageMakerClient, arn: str) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(
            pool.map(
                lambda number: sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{number}", "Value": "v"}]),
                range(MANY),
            )
        )
        assert len(tags(sagemaker, arn)) == MANY
        list(pool.map(lambda number: sagemaker.delete_tags(ResourceArn=arn, TagKeys=[f"k{number}"]), range(1, MANY)))
    assert tags(sagemaker, arn) == {"k0": "v"}


def test_more_than_fifty_tags_are_refused(sagemaker: SageMakerClient, arn: str) -> None:
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])
    with pytest.raises(ClientError, match="would exceed the limit of 50"):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "one-more", "Value": "v"}])
    assert len(tags(sagemaker, arn)) == 50


@pytest.mark.parametrize("key", ["aws:mine", "AWS:mine"])
def test_a_reserved_key_is_refused(sagemaker: SageMakerClient, arn: str, name: str, key: str) -> None:
    words = "aws: prefixed tag key names are not allowed for external use"
    with pytest.raises(ClientError, match=f"Value '{key}' at 'tags.1.member.key' failed .*: {words}"):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": "v"}])
    with pytest.raises(ClientError, match=words):
        sagemaker.create_model_package_group(ModelPackageGroupName=f"{name}-2", Tags=[{"Key": key, "Value": "v"}])
    assert sagemaker.list_model_package_groups(NameContains=f"{name}-2")["ModelPackageGroupSummaryList"] == []


def test_only_a_resource_that_exists_has_tags(sagemaker: SageMakerClient) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/does-not-exist"
    for call in (
        lambda: sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: sagemaker.list_tags(ResourceArn=arn),
        lambda: sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"]),
    ):
        with pytest.raises(ClientError, match=f"Could not find the resource {arn}"):
            call()

"""What Sluice relies on in CloudFormation: one template provisions everything, and can be changed and removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud

from localcloud.testing.stacks import WAIT, template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient


@pytest.fixture
def outputs(cloudformation: CloudFormationClient, name: str) -> dict[str, str]:
    """The outputs of a stack of the test's own, named like the test."""
    cloudformation.create_stack(StackName=name, TemplateBody=template(name), Capabilities=["CAPABILITY_NAMED_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_outputs_name_the_created_resources(
    cloud: Cloud, outputs: dict[str, str], sqs: SQSClient, ssm: SSMClient, s3: S3Client, name: str
) -> None:
    attributes = sqs.get_queue_attributes(QueueUrl=outputs["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == outputs["QueueArn"]
    assert attributes["FifoQueue"] == "true"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(f"{name}-dead.fifo")
    assert ssm.get_parameter(Name=f"/{name}/queue")["Parameter"]["Value"] == outputs["QueueUrl"]
    assert s3.list_objects_v2(Bucket=outputs["BucketName"])["KeyCount"] == 0
    assert cloud.client("iam").get_role(RoleName=name)["Role"]["Arn"] == outputs["RoleArn"]
    stream = cloud.client("kinesis").describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert (stream["StreamStatus"], stream["OpenShardCount"]) == ("ACTIVE", 1)


def test_subscription_delivers(cloud: Cloud, outputs: dict[str, str], sqs: SQSClient, name: str) -> None:
    cloud.client("sns").publish(TopicArn=outputs["TopicArn"], Message="done")
    url = sqs.get_queue_url(QueueName=f"{name}-events")["QueueUrl"]
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "done"


def test_update_changes_a_resource_in_place(
    cloudformation: CloudFormationClient, outputs: dict[str, str], sqs: SQSClient, name: str
) -> None:
    url = outputs["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="g", MessageDeduplicationId="1")
    cloudformation.update_stack(
        StackName=name, TemplateBody=template(name, visibility=77), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "77"
    assert attributes["ApproximateNumberOfMessages"] == "1"


def test_update_that_changes_nothing_is_reported(
    cloudformation: CloudFormationClient, outputs: dict[str, str], name: str
) -> None:
    assert outputs
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloudformation.update_stack(StackName=name, TemplateBody=template(name), Capabilities=["CAPABILITY_NAMED_IAM"])


def test_deleted_stack_leaves_nothing(
    cloudformation: CloudFormationClient, outputs: dict[str, str], sqs: SQSClient, name: str
) -> None:
    assert outputs
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAIT)
    assert sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) == []
    with pytest.raises(ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=name)

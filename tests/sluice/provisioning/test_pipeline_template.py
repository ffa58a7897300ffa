"""The template is valid on AWS, and what it makes behaves as the library expects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud

from sluice.aws.resources import Resources, find
from sluice.provisioning.provision import TEMPLATE, provision


@pytest.fixture(scope="module")
def outputs(cloud: Cloud) -> dict[str, str]:
    return dict(provision(cloud.client("cloudformation"), "my_pipe"))


@pytest.fixture(scope="module")
def resources(cloud: Cloud, outputs: dict[str, str]) -> Resources:
    return find(cloud.client("ssm"), "my_pipe")


def test_template_is_valid_in_every_region_that_it_may_go_to() -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            *("--regions", "us-east-1", "eu-central-1", "cn-north-1"),
            *("--template", TEMPLATE),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_lake_is_private_and_keeps_old_versions(cloud: Cloud, resources: Resources) -> None:
    s3 = cloud.client("s3")
    block = s3.get_public_access_block(Bucket=resources.bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=resources.bucket)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=resources.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_lake_outlives_its_stack(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")
    bucket = provision(cloudformation, "passing")["Bucket"]

    cloudformation.delete_stack(StackName="sluice-passing")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="sluice-passing", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )

    assert cloud.client("s3").head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("source", ["events", "messages"])
def test_event_that_never_lands_ends_in_the_dead_letter_queue(cloud: Cloud, resources: Resources, source: str) -> None:
    sqs = cloud.client("sqs")
    queue, dead = resources.made_for("queues", source), resources.made_for("dead-letter-queues", source)
    of_fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "1"} if queue.endswith(".fifo") else {}
    sqs.send_message(QueueUrl=queue, MessageBody="bad", **of_fifo)

    receives = 0
    while got := sqs.receive_message(QueueUrl=queue).get("Messages"):
        receives += 1
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)

    assert receives == 5
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=dead)["Messages"]] == ["bad"]


def test_dead_letter_queues_take_letters_of_their_own_queue_only(cloud: Cloud, resources: Resources) -> None:
    sqs = cloud.client("sqs")
    for source, name in (("events", "my_pipe-events.fifo"), ("messages", "my_pipe-messages")):
        dead = sqs.get_queue_attributes(
            QueueUrl=resources.made_for("dead-letter-queues", source), AttributeNames=["All"]
        )
        assert json.loads(dead["Attributes"]["RedriveAllowPolicy"]) == {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [f"arn:aws:sqs:us-east-1:000000000000:{name}"],
        }
        # A dead-letter queue is of its queue's own kind: AWS refuses others, the emulator does not.
        live = sqs.get_queue_attributes(QueueUrl=resources.made_for("queues", source), AttributeNames=["All"])
        assert dead["Attributes"].get("FifoQueue") == live["Attributes"].get("FifoQueue")


def test_equal_bodies_are_two_events(cloud: Cloud, resources: Resources) -> None:
    sqs, queue = cloud.client("sqs"), resources.made_for("queues", "events")
    for number in "12":
        sqs.send_message(
            QueueUrl=queue, MessageBody="same", MessageGroupId="twins", MessageDeduplicationId=f"twin{number}"
        )
    with pytest.raises(sqs.exceptions.ClientError, match="MessageDeduplicationId"):
        sqs.send_message(QueueUrl=queue, MessageBody="same", MessageGroupId="twins")

    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]

    assert [message["Body"] for message in got] == ["same", "same"]


def test_completion_reaches_the_subscriber_as_it_was_published(cloud: Cloud, resources: Resources) -> None:
    cloud.client("sns").publish(
        TopicArn=resources.topic_arn,
        Message='{"stage": "conform"}',
        MessageGroupId="g",
        MessageDeduplicationId="1",
        MessageAttributes={"stage": {"DataType": "String", "StringValue": "conform"}},
    )
    got = cloud.client("sqs").receive_message(
        QueueUrl=resources.completions_queue, WaitTimeSeconds=5, MessageAttributeNames=["All"]
    )
    (message,) = got["Messages"]
    assert message["Body"] == '{"stage": "conform"}'
    assert message["MessageAttributes"]["stage"]["StringValue"] == "conform"


def test_only_the_completion_topic_may_send_to_the_subscriber(cloud: Cloud, resources: Resources) -> None:
    attributes = cloud.client("sqs").get_queue_attributes(
        QueueUrl=resources.completions_queue, AttributeNames=["Policy", "QueueArn"]
    )["Attributes"]
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": resources.topic_arn}}
    assert statement["Resource"] == attributes["QueueArn"]


def test_stream_keeps_a_week(cloud: Cloud, resources: Resources) -> None:
    described = cloud.client("kinesis").describe_stream_summary(StreamName=resources.made_for("streams", "stream"))
    summary = described["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["RetentionPeriodHours"]) == ("ACTIVE", 168)


def test_sagemaker_reaches_the_models_and_snapshots_of_its_pipeline_only(cloud: Cloud, resources: Resources) -> None:
    iam, name = cloud.client("iam"), resources.role_arn.rpartition("/")[2]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "000000000000"}}

    policy = iam.get_role_policy(RoleName=name, PolicyName="train-and-serve")["PolicyDocument"]
    lake = f"arn:aws:s3:::{resources.bucket}"
    assert _allowed(policy, "s3:GetObject") == {f"{lake}/my_pipe/snapshots/*", f"{lake}/my_pipe/models/*"}
    assert _allowed(policy, "s3:PutObject") == {f"{lake}/my_pipe/models/*"}
    assert _on_everything(policy) == {"cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}


def test_workers_reach_their_pipeline_only(cloud: Cloud, outputs: dict[str, str], resources: Resources) -> None:
    iam, arn = cloud.client("iam"), outputs["WorkerPolicy"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]

    assert _allowed(policy, "s3:PutObject") == {f"arn:aws:s3:::{resources.bucket}/my_pipe/*"}
    queues = {f"arn:aws:sqs:us-east-1:000000000000:my_pipe-{name}" for name in ("events.fifo", "messages")}
    dead = {f"arn:aws:sqs:us-east-1:000000000000:my_pipe-{name}" for name in ("events-dead.fifo", "messages-dead")}
    for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"):
        assert _allowed(policy, f"sqs:{action}") == queues | dead, action
    assert _allowed(policy, "sqs:SendMessage") == queues
    assert _allowed(policy, "kinesis:PutRecord") == {"arn:aws:kinesis:us-east-1:000000000000:stream/my_pipe-stream"}
    assert _allowed(policy, "sns:Publish") == {resources.topic_arn}
    assert _allowed(policy, "iam:PassRole") == {resources.role_arn}
    assert _allowed(policy, "sagemaker:CreateTrainingJob") == {"arn:aws:sagemaker:us-east-1:000000000000:*/my-pipe-*"}
    assert {action for action in _on_everything(policy) if ":List" not in action} == set()


def _statements(policy: Any) -> list[tuple[set[str], set[str]]]:
    """(actions, resources) of each statement; a document may say one thing as a string."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    return [(_as_set(each["Action"]), _as_set(each["Resource"])) for each in document["Statement"]]


def _as_set(one_or_many: str | list[str]) -> set[str]:
    return {one_or_many} if isinstance(one_or_many, str) else set(one_or_many)


def _allowed(policy: Any, action: str) -> set[str]:
    """The resources on which the policy allows the action; no statement may allow actions by a wildcard."""
    statements = _statements(policy)
    assert not [allowed for actions, _ in statements for allowed in actions if "*" in allowed]
    return {resource for actions, resources in statements if action in actions for resource in resources}


def _on_everything(policy: Any) -> set[str]:
    return {action for actions, resources in _statements(policy) if "*" in resources for action in actions}

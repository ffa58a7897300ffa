"""One call creates or updates a pipeline's stack, and reports a failure in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from tests.clients import OneClient
from tests.conftest import Cloud
from tests.sluice.provisioning.stacks import made
from tests.sluice.toy import EVENTS, MESSAGES, STREAM, TOY, toy

from sluice.declaration import FifoQueue
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice.provisioning.provision import Change, ProvisioningFailed, changes, provision, stack_name


def test_stack_is_created_once_and_then_unchanged(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")

    first = provision(cloud, toy(name="once"))
    events = cloudformation.describe_stack_events(StackName="sluice-once")["StackEvents"]
    second = provision(cloud, toy(name="once"))

    assert first["Bucket"] == "sluice-once-000000000000-us-east-1"
    assert second == first
    assert cloudformation.describe_stack_events(StackName="sluice-once")["StackEvents"] == events


def test_underscores_become_hyphens_where_aws_allows_none(cloud: Cloud) -> None:
    outputs = provision(cloud, toy(name="two_words", sources=(EVENTS, STREAM)))

    assert stack_name("two_words") == "sluice-two-words"
    assert outputs["Bucket"] == "sluice-two-words-000000000000-us-east-1"
    assert outputs["Stream"] == "two_words-stream"


def with_events(name: str, **changes: Any) -> Pipeline:
    """Return the pipeline with some members of its queue changed."""
    return toy(name=name, sources=(replace(EVENTS, **changes), *TOY.sources[1:]))


def test_changed_declaration_updates_the_stack_in_place(cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    queue = provision(cloud, toy(name="changing"))["EventsQueue"]
    sqs.send_message(QueueUrl=queue, MessageBody="kept", MessageGroupId="g", MessageDeduplicationId="1")

    day, seconds = timedelta(days=1), timedelta(seconds=77)
    provision(cloud, with_events("changing", retention=day, visibility_timeout=seconds))

    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == "86400"
    assert attributes["VisibilityTimeout"] == "77"
    assert [each["Body"] for each in sqs.receive_message(QueueUrl=queue)["Messages"]] == ["kept"]


def test_resource_that_is_no_longer_declared_is_removed_and_the_rest_is_kept(cloud: Cloud) -> None:
    before = provision(cloud, toy(name="shrinking", sources=(EVENTS, MESSAGES, STREAM)))

    after = provision(cloud, toy(name="shrinking", training=None, deployment=None))

    assert {name: after[name] for name in after} == {name: before[name] for name in after}
    assert set(before) - set(after) == {"MessagesQueue", "MessagesDeadLetterQueue", "Stream", "Role"}
    found = made(cloud, "shrinking")
    assert found["queues"] == {f"shrinking-{name}.fifo" for name in ("events", "events-dead", "completions")}
    assert (found["streams"], found["roles"]) == (set(), set())


def stack_state(cloud: Cloud, pipeline: str) -> Any:
    """Return everything that a stack and its services report of it."""
    cloudformation, name = cloud.client("cloudformation"), stack_name(pipeline)
    return (
        made(cloud, pipeline),
        cloudformation.describe_stack_events(StackName=name)["StackEvents"],
        cloudformation.get_template(StackName=name)["TemplateBody"],
        cloudformation.list_change_sets(StackName=name)["Summaries"],
    )


def test_dry_run_reports_changes_and_makes_none(cloud: Cloud) -> None:
    provision(cloud, toy(name="rehearsed", sources=(EVENTS, STREAM)))
    before = stack_state(cloud, "rehearsed")

    orders = FifoQueue("orders", event_id="id", event_time="at")
    slow = replace(EVENTS, visibility_timeout=timedelta(hours=1))
    found = changes(cloud, toy(name="rehearsed", sources=(slow, orders)))

    assert _of(found, "Add") == [
        "OrdersDeadLetterQueue",
        "OrdersDeadLetterQueueParameter",
        "OrdersQueue",
        "OrdersQueueParameter",
    ]
    assert _of(found, "Remove") == ["Stream", "StreamParameter"]
    assert {"EventsQueue", "WorkerPolicy"} <= set(_of(found, "Modify"))
    assert Change("Add", "OrdersQueue", "AWS::SQS::Queue") in found
    assert stack_state(cloud, "rehearsed") == before
    assert changes(cloud, toy(name="rehearsed", sources=(EVENTS, STREAM))) == []
    assert stack_state(cloud, "rehearsed") == before


def _of(found: Sequence[Change], action: str) -> list[str]:
    return [each.resource for each in found if each.action == action]


def test_dry_run_reports_replacements(cloud: Cloud) -> None:
    """A queue that becomes a FIFO queue is another queue: what waits in the old one is gone."""
    provision(cloud, toy(name="replaced", sources=(replace(MESSAGES, name="events"),)))

    assert "EventsQueue" in _of(changes(cloud, toy(name="replaced")), "Replace")


def test_dry_run_of_an_unprovisioned_pipeline_adds_everything_and_leaves_no_trace(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")

    found = changes(cloud, toy(name="unmade"))

    assert {each.action for each in found} == {"Add"}
    assert {"Lake", "EventsQueue", "EventsDeadLetterQueue", "TrainingRole", "WorkerPolicy"} <= set(_of(found, "Add"))
    assert not any(made(cloud, "unmade").values())
    with pytest.raises(cloudformation.exceptions.ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName="sluice-unmade")


def test_dry_run_removes_what_a_killed_one_left(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")
    provision(cloud, toy(name="again"))
    template = cloudformation.get_template(StackName="sluice-again", TemplateStage="Original")["TemplateBody"]
    cloudformation.create_change_set(
        StackName="sluice-again",
        ChangeSetName="sluice-dry-run",
        TemplateBody=template if isinstance(template, str) else json.dumps(template),
        Capabilities=["CAPABILITY_IAM"],
    )

    assert _of(changes(cloud, with_events("again", max_receives=4)), "Modify") == ["EventsQueue"]
    assert cloudformation.list_change_sets(StackName="sluice-again")["Summaries"] == []


def test_failed_creation_names_the_resource_and_can_be_retried(cloud: Cloud) -> None:
    ssm = cloud.client("ssm")
    ssm.put_parameter(Name="/sluice/taken/bucket", Value="taken", Type="String")

    with pytest.raises(
        ProvisioningFailed, match=r"BucketParameter .*AlreadyExists.*`sluice provision taken`"
    ) as failure:
        provision(cloud, toy(name="taken"))
    assert "\n" not in str(failure.value)

    ssm.delete_parameter(Name="/sluice/taken/bucket")
    assert provision(cloud, toy(name="taken"))["Bucket"] == "sluice-taken-000000000000-us-east-1"


def test_lake_without_a_stack_is_adopted_on_a_laptop_and_survives_failed_tries(cloud: Cloud) -> None:
    s3, ssm = cloud.client("s3"), cloud.client("ssm")
    lake = "sluice-left-000000000000-us-east-1"
    s3.create_bucket(Bucket=lake)
    s3.put_object(Bucket=lake, Key="left/raw/part", Body=b"kept")
    ssm.put_parameter(Name="/sluice/left/bucket", Value="left", Type="String")

    with pytest.raises(ProvisioningFailed, match=r"BucketParameter .*AlreadyExists"):
        provision(cloud, toy(name="left"))
    assert s3.get_object(Bucket=lake, Key="left/raw/part")["Body"].read() == b"kept"

    ssm.delete_parameter(Name="/sluice/left/bucket")
    assert provision(cloud, toy(name="left"))["Bucket"] == lake
    assert s3.get_object(Bucket=lake, Key="left/raw/part")["Body"].read() == b"kept"
    assert s3.get_bucket_versioning(Bucket=lake)["Status"] == "Enabled"


def test_failed_update_names_the_resource_and_leaves_the_stack_as_it_was(cloud: Cloud) -> None:
    ssm = cloud.client("ssm")
    before = provision(cloud, toy(name="breaking"))
    orders = FifoQueue("orders", event_id="id", event_time="at")
    ssm.put_parameter(Name="/sluice/breaking/queues/orders", Value="taken", Type="String")

    with pytest.raises(ProvisioningFailed, match=r"OrdersQueueParameter .* failed: .*AlreadyExists"):
        provision(cloud, toy(name="breaking", sources=(EVENTS, orders)))

    assert provision(cloud, toy(name="breaking")) == before


def test_name_that_the_template_does_not_allow_is_refused() -> None:
    with pytest.raises(DeclarationError, match="at most 24 of a-z, 0-9 and '_'"):
        toy(name="Flights")


def test_closed_port_gives_one_line_with_the_next_action() -> None:
    unreachable = boto3.client(
        "cloudformation",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=5, retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ProvisioningFailed, match=r"http://127\.0\.0\.1:9.*make up\); then run") as failure:
        provision(OneClient(only=unreachable), toy(name="flights"))
    assert "\n" not in str(failure.value)


def test_throttled_probe_does_not_end_the_wait(cloud: Cloud) -> None:
    cloudformation, probes = cloud.client("cloudformation"), iter(range(100))

    def throttle(**_: object) -> AWSResponse | None:
        if next(probes) % 2:
            return None
        body = b"<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
        answer = AWSResponse("http://aws", 400, {}, None)
        answer._content = body
        return answer

    cloudformation.meta.events.register("before-send.cloudformation.DescribeStacks", throttle)

    assert provision(OneClient(only=cloudformation), toy(name="throttled"))["Bucket"].startswith("sluice-throttled-")
    assert next(probes) > 2

"""One call makes a pipeline's stack or brings it up to date, and says in one line what went wrong."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from tests.conftest import Cloud

from sluice.provisioning import provision as provisioning
from sluice.provisioning.provision import TEMPLATE, ProvisioningFailed, provision, stack_name


def test_stack_is_made_once_and_then_left_alone(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")

    first = provision(cloudformation, "once")
    events = cloudformation.describe_stack_events(StackName="sluice-once")["StackEvents"]
    second = provision(cloudformation, "once")

    assert first["Bucket"] == "sluice-once-000000000000-us-east-1"
    assert second == first
    assert cloudformation.describe_stack_events(StackName="sluice-once")["StackEvents"] == events


def test_underscores_become_hyphens_where_aws_allows_none(cloud: Cloud) -> None:
    outputs = provision(cloud.client("cloudformation"), "two_words")

    assert stack_name("two_words") == "sluice-two-words"
    assert outputs["Bucket"] == "sluice-two-words-000000000000-us-east-1"
    assert outputs["Stream"] == "two_words-stream"


def test_changed_template_updates_the_stack_and_keeps_its_parameters(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudformation, sqs = cloud.client("cloudformation"), cloud.client("sqs")
    queue = provision(cloudformation, "changing")["EventsQueue"]
    cloudformation.update_stack(
        StackName="sluice-changing",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": "Pipeline", "UsePreviousValue": True},
            {"ParameterKey": "VisibilityTimeout", "ParameterValue": "77"},
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    _use_template(tmp_path, monkeypatch, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 86400")

    provision(cloudformation, "changing")

    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == "86400"
    assert attributes["VisibilityTimeout"] == "77"


def test_failed_creation_names_the_resource_and_can_be_tried_again(cloud: Cloud) -> None:
    cloudformation, ssm = cloud.client("cloudformation"), cloud.client("ssm")
    ssm.put_parameter(Name="/sluice/taken/bucket", Value="taken", Type="String")

    with pytest.raises(
        ProvisioningFailed, match=r"BucketParameter .*AlreadyExists.*`sluice provision taken`"
    ) as failure:
        provision(cloudformation, "taken")
    assert "\n" not in str(failure.value)

    ssm.delete_parameter(Name="/sluice/taken/bucket")
    assert provision(cloudformation, "taken")["Bucket"] == "sluice-taken-000000000000-us-east-1"


def test_on_a_laptop_a_lake_without_a_stack_is_taken_over_and_outlives_failed_tries(cloud: Cloud) -> None:
    cloudformation, s3, ssm = (cloud.client(name) for name in ("cloudformation", "s3", "ssm"))
    lake = "sluice-left-000000000000-us-east-1"
    s3.create_bucket(Bucket=lake)
    s3.put_object(Bucket=lake, Key="left/raw/part", Body=b"kept")
    ssm.put_parameter(Name="/sluice/left/bucket", Value="left", Type="String")

    with pytest.raises(ProvisioningFailed, match=r"BucketParameter .*AlreadyExists"):
        provision(cloudformation, "left")
    assert s3.get_object(Bucket=lake, Key="left/raw/part")["Body"].read() == b"kept"

    ssm.delete_parameter(Name="/sluice/left/bucket")
    assert provision(cloudformation, "left")["Bucket"] == lake
    assert s3.get_object(Bucket=lake, Key="left/raw/part")["Body"].read() == b"kept"
    assert s3.get_bucket_versioning(Bucket=lake)["Status"] == "Enabled"


def test_failed_update_names_the_resource_and_leaves_the_stack_as_it_was(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudformation = cloud.client("cloudformation")
    before = provision(cloudformation, "breaking")
    _use_template(tmp_path, monkeypatch, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 1")

    with pytest.raises(ProvisioningFailed, match=r"EventsQueue .* failed: .*MessageRetentionPeriod"):
        provision(cloudformation, "breaking")

    monkeypatch.undo()
    assert provision(cloudformation, "breaking") == before


def test_name_that_the_template_does_not_allow_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ProvisioningFailed, match="at most 24 of a-z, 0-9 and _"):
        provision(cloud.client("cloudformation"), "Flights")


def test_closed_port_gives_one_line_with_the_next_action() -> None:
    nobody = boto3.client(
        "cloudformation",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=5, retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ProvisioningFailed, match=r"http://127\.0\.0\.1:9.*make up\); then run") as failure:
        provision(nobody, "flights")
    assert "\n" not in str(failure.value)


def test_a_throttled_look_does_not_end_the_wait(cloud: Cloud) -> None:
    cloudformation, looks = cloud.client("cloudformation"), iter(range(100))

    def throttle(**_: object) -> AWSResponse | None:
        if next(looks) % 2:
            return None
        body = b"<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
        answer = AWSResponse("http://aws", 400, {}, None)
        answer._content = body
        return answer

    cloudformation.meta.events.register("before-send.cloudformation.DescribeStacks", throttle)

    assert provision(cloudformation, "throttled")["Bucket"].startswith("sluice-throttled-")
    assert next(looks) > 2


def _use_template(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Provision from the template with the first ``old`` in it replaced."""
    text = TEMPLATE.read_text()
    assert old in text
    changed = folder / "pipeline.yaml"
    changed.write_text(text.replace(old, new, 1))
    monkeypatch.setattr(provisioning, "TEMPLATE", changed)

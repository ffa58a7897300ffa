"""The template makes what is declared and nothing else, is valid on AWS, and what it makes behaves as expected."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.provisioning.shapes import KEY, SHAPES
from tests.sluice.provisioning.stacks import bucket_of, made, rights_of_workers, role_policy, worker_policy
from tests.sluice.toy import EVENTS, MESSAGES, STREAM, TOY, toy

from sluice.aws.resources import Resources, find
from sluice.declaration import FifoQueue
from sluice.declaration.loading import load_pipelines
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice.provisioning.provision import provision
from sluice.provisioning.template import render, template_body

ALL_KINDS = toy(name="my_pipe", sources=(EVENTS, MESSAGES, STREAM, TOY.sources[-1]))
REAL, _ = load_pipelines()


@pytest.fixture(scope="module")
def outputs(cloud: Cloud) -> dict[str, str]:
    return dict(provision(cloud, ALL_KINDS))


@pytest.fixture(scope="module")
def resources(cloud: Cloud, outputs: dict[str, str]) -> Resources:
    return find(cloud, "my_pipe")


@pytest.mark.slow
def test_template_is_valid_in_every_region_that_it_may_go_to(tmp_path: Path) -> None:
    """One process for all shapes: the start of cfn-lint takes seconds."""
    for pipeline in (*SHAPES.values(), *REAL):
        (tmp_path / f"{pipeline.name}.json").write_text(template_body(pipeline))
    (tmp_path / "printed.yaml").write_text(render(SHAPES["guarded"]).to_yaml())
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            *("--regions", "us-east-1", "eu-central-1", "cn-north-1"),
            *("--template", *sorted(tmp_path.iterdir())),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_same_declaration_gives_the_same_template() -> None:
    imports = "from sluice.provisioning.template import *; from tests.sluice.provisioning.shapes import SHAPES"
    root = Path(__file__).parents[3]
    of_another_process = subprocess.run(
        [sys.executable, "-c", f"{imports}; print(template_body(SHAPES['guarded']))"],
        env={"PYTHONPATH": f"{root}:{root / 'include'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert of_another_process.strip() == template_body(SHAPES["guarded"])


COMMON: Mapping[str, set[str]] = {
    "queues": {"completions.fifo"},
    "topics": {"completions.fifo"},
    "parameters": {"bucket", "topic", "completions-queue"},
}
FIFO_EVENTS = {"queues/events", "dead-letter-queues/events"}
QUEUES_OF_EVENTS = {"events.fifo", "events-dead.fifo"}


@pytest.mark.parametrize(
    ("shape", "queues", "streams", "parameters"),
    [
        ("fifo_only", QUEUES_OF_EVENTS, set(), FIFO_EVENTS | {"role"}),
        (
            "standard_only",
            {"messages", "messages-dead"},
            set(),
            {"queues/messages", "dead-letter-queues/messages", "role"},
        ),
        ("stream_only", set(), {"stream"}, {"streams/stream", "role"}),
        ("drops_only", set(), set(), {"role"}),
        ("lake_only", QUEUES_OF_EVENTS, set(), FIFO_EVENTS),
        ("model_only", QUEUES_OF_EVENTS, set(), FIFO_EVENTS | {"role"}),
        *(
            (
                shape,
                QUEUES_OF_EVENTS
                | {"returns.fifo", "returns-dead.fifo", "messages", "messages-dead"}
                | {"late_messages", "late_messages-dead"},
                {"stream", "clicks", "bursts", "pushed"},
                {f"queues/{name}" for name in ("events", "returns", "messages", "late_messages")}
                | {f"dead-letter-queues/{name}" for name in ("events", "returns", "messages", "late_messages")}
                | {f"streams/{name}" for name in ("stream", "clicks", "bursts", "pushed")}
                | {"consumers/pushed", "role"},
            )
            for shape in ("several", "guarded")
        ),
    ],
)
def test_exactly_the_declared_resources_are_made_under_the_names_of_the_user(
    cloud: Cloud, shape: str, queues: set[str], streams: set[str], parameters: set[str]
) -> None:
    provision(cloud, SHAPES[shape])

    assert made(cloud, shape) == {
        "buckets": {bucket_of(shape)},
        "queues": {f"{shape}-{name}" for name in queues | COMMON["queues"]},
        "streams": {f"{shape}-{name}" for name in streams},
        "topics": {f"{shape}-{name}" for name in COMMON["topics"]},
        "parameters": parameters | COMMON["parameters"],
        "roles": {"TrainingRole"} if "role" in parameters else set(),
        "policies": {"WorkerPolicy"},
    }


def test_names_of_earlier_versions_are_kept_so_that_a_stack_is_updated_in_place() -> None:
    """Another logical id, or another physical name, would make a new queue beside the one that holds the events."""
    made = render(ALL_KINDS).to_dict()["Resources"]
    named = {name: made[name]["Properties"] for name in made}
    assert {
        "Lake",
        "EventsQueue",
        "EventsDeadLetterQueue",
        "MessagesQueue",
        "MessagesDeadLetterQueue",
        "Stream",
        "Completions",
        "CompletionsQueue",
        "CompletionsQueuePolicy",
        "CompletionsSubscription",
        "TrainingRole",
        "WorkerPolicy",
        *(f"{name}Parameter" for name in ("Bucket", "Topic", "Role", "CompletionsQueue")),
        *(f"{name}Parameter" for name in ("EventsQueue", "EventsDeadLetterQueue", "MessagesQueue")),
        *(f"{name}Parameter" for name in ("MessagesDeadLetterQueue", "Stream")),
        "LakePolicy",  # new
    } == set(named)
    assert {named[name]["QueueName"] for name in ("EventsQueue", "EventsDeadLetterQueue")} == {
        "my_pipe-events.fifo",
        "my_pipe-events-dead.fifo",
    }
    assert named["Stream"]["Name"] == "my_pipe-stream"
    # CloudFormation makes a new policy where this changes, and can't remove the old one, which workers have.
    assert named["WorkerPolicy"]["Description"] == (
        "What an Airflow worker may do for the pipeline my_pipe. Attach it to the workers' role."
    )


def attributes(cloud: Cloud, pipeline: str, queue: str) -> dict[str, str]:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{pipeline}-{queue}")["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def test_source_has_its_declared_properties(cloud: Cloud) -> None:
    provision(cloud, SHAPES["several"])

    returns, late = attributes(cloud, "several", "returns.fifo"), attributes(cloud, "several", "late_messages")
    assert (returns["MessageRetentionPeriod"], returns["VisibilityTimeout"]) == (str(4 * 86400), "90")
    assert json.loads(returns["RedrivePolicy"])["maxReceiveCount"] in (5, "5")
    assert (late["MessageRetentionPeriod"], late["VisibilityTimeout"]) == ("86400", "300")
    assert json.loads(late["RedrivePolicy"])["maxReceiveCount"] in (3, "3")
    described = cloud.client("kinesis").describe_stream_summary(StreamName="several-clicks")["StreamDescriptionSummary"]
    assert (described["OpenShardCount"], described["RetentionPeriodHours"]) == (2, 48)
    assert described["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    described = cloud.client("kinesis").describe_stream_summary(StreamName="several-bursts")["StreamDescriptionSummary"]
    assert (described["StreamModeDetails"], described["RetentionPeriodHours"]) == ({"StreamMode": "ON_DEMAND"}, 168)


@pytest.mark.parametrize(("queue", "dead"), [("events.fifo", "events-dead.fifo"), ("messages", "messages-dead")])
def test_dead_letter_queue_keeps_its_messages_longer_than_its_source(cloud: Cloud, queue: str, dead: str) -> None:
    """A message keeps its age when a standard queue moves it: there it must have half of the time left."""
    provision(cloud, SHAPES["several"])

    of_source, of_dead = (
        timedelta(seconds=int(attributes(cloud, "several", name)["MessageRetentionPeriod"])) for name in (queue, dead)
    )

    assert of_dead == timedelta(days=14) > of_source
    assert queue.endswith(".fifo") or of_source <= of_dead / 2


def test_key_network_and_tags_are_set_wherever_they_can_be(cloud: Cloud) -> None:
    outputs = provision(cloud, SHAPES["guarded"])

    template = render(SHAPES["guarded"]).to_dict()["Resources"]
    tags = {"team": "freight", "cost-centre": "47 11"}
    # The emulator calls every bucket's encryption AES256.
    (rule,) = template["Lake"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
    }
    for queue in ("events.fifo", "events-dead.fifo", "messages", "messages-dead"):
        assert attributes(cloud, "guarded", queue)["KmsMasterKeyId"] == KEY
    assert {template[name]["Properties"]["StreamEncryption"]["KeyId"] for name in ("Stream", "ClicksStream")} == {KEY}
    assert template["Completions"]["Properties"]["KmsMasterKeyId"] == KEY
    sqs = cloud.client("sqs")
    assert sqs.list_queue_tags(QueueUrl=outputs["EventsQueue"])["Tags"].items() >= tags.items()
    assert {each["Key"]: each["Value"] for each in template["Lake"]["Properties"]["Tags"]} == tags
    assert template["BucketParameter"]["Properties"]["Tags"] == tags
    untagged = {name for name, resource in template.items() if "Tags" not in resource["Properties"]}
    assert {template[name]["Type"] for name in untagged} == {
        "AWS::IAM::ManagedPolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SQS::QueuePolicy",
    }

    workers, sagemakers = worker_policy(cloud, outputs["WorkerPolicy"]), role_policy(cloud, outputs["Role"])
    assert workers.resources("kms:Decrypt") == workers.resources("kms:GenerateDataKey") == {KEY}
    assert sagemakers.resources("kms:Decrypt") == sagemakers.resources("kms:CreateGrant") == {KEY}
    assert "ec2:CreateNetworkInterface" in sagemakers.actions
    plain = provision(cloud, SHAPES["several"])
    for policy in (worker_policy(cloud, plain["WorkerPolicy"]), role_policy(cloud, plain["Role"])):
        assert not [action for action in policy.actions if action.startswith(("kms:", "ec2:"))]


def test_pipeline_without_training_has_no_right_to_train(cloud: Cloud) -> None:
    lake = worker_policy(cloud, provision(cloud, SHAPES["lake_only"])["WorkerPolicy"])
    model = worker_policy(cloud, provision(cloud, SHAPES["model_only"])["WorkerPolicy"])

    assert not [action for action in lake.actions if action.startswith(("sagemaker:", "iam:"))]
    assert "sagemaker:CreateTrainingJob" in model.actions
    assert not [action for action in model.actions if "Endpoint" in action]


def test_names_that_differ_by_an_underscore_alone_are_refused_before_any_call() -> None:
    twins = toy(sources=(*TOY.sources, replace(EVENTS, name="lane1"), replace(EVENTS, name="lane_1")))
    with pytest.raises(DeclarationError, match=r"2 resources .* be called Lane1Queue.*rename a source"):
        render(twins)
    with pytest.raises(DeclarationError, match="called CompletionsQueue"):
        render(toy(sources=(*TOY.sources, replace(EVENTS, name="completions"))))


def many(count: int) -> Pipeline:
    queues = [FifoQueue(f"queue_with_a_name_{number}", event_id="id", event_time="at") for number in range(count)]
    return toy(sources=(*TOY.sources, *queues))


def policies_of(pipeline: Pipeline) -> dict[str, Any]:
    resources = render(pipeline).to_dict()["Resources"]
    return {name: each for name, each in resources.items() if each["Type"] == "AWS::IAM::ManagedPolicy"}


def rights_of(policy: Any) -> set[tuple[str, str]]:
    return {
        (action, json.dumps(resource))
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


@pytest.mark.parametrize(
    ("every", "markers"), [("hour", "dt=*"), ("day", "dt=*"), ("week", "week=*"), ("month", "month=*")]
)
def test_workers_may_delete_the_markers_of_partitions_alone(every: Any, markers: str) -> None:
    pipeline = toy(every=every, start=datetime(2013, 7, 1, tzinfo=UTC), training=None, deployment=None)

    found = [text for text in json.dumps(render(pipeline).to_dict()).split('"') if "/announced/" in text]

    assert [text.partition("/announced/")[2] for text in found] == [f"*/{markers}"]


def test_sources_that_one_policy_can_not_name_get_policies_of_their_own() -> None:
    """IAM allows 6,144 characters without white space, after CloudFormation has resolved account and region."""
    for count in range(21):
        for policy in policies_of(many(count)).values():
            text = json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"))
            resolved = text.replace('{"Fn::Sub":', "").replace("${AWS::Partition}", "aws-us-gov")
            resolved = resolved.replace("${AWS::Region}", "ap-southeast-1").replace("${AWS::AccountId}", "123456789012")
            assert len(resolved) <= 6144, count

    one, two = policies_of(many(4)), policies_of(many(20))
    assert set(one) == {"WorkerPolicy"}
    assert set(two) == {"WorkerPolicy", "WorkerPolicy2"}
    assert not rights_of(two["WorkerPolicy"]) & rights_of(two["WorkerPolicy2"])
    # A source that is declared last leaves the rights of the others where they are.
    assert rights_of(one["WorkerPolicy"]) < rights_of(two["WorkerPolicy"])
    last = toy(sources=(*TOY.sources, FifoQueue("queue_with_a_name_19", event_id="id", event_time="at")))
    assert rights_of(policies_of(last)["WorkerPolicy"]) - rights_of(policies_of(toy())["WorkerPolicy"]) < rights_of(
        two["WorkerPolicy2"]
    )


def test_template_that_is_too_long_is_refused_before_aws_is_called() -> None:
    with pytest.raises(DeclarationError, match=r"the template has 6\d,\d{3} bytes, and CloudFormation accepts 51,200"):
        template_body(many(30))


def test_both_policies_are_made_and_each_is_an_output(cloud: Cloud) -> None:
    outputs = provision(cloud, replace(many(20), name="crowded"))

    first, second = (worker_policy(cloud, outputs[name]) for name in ("WorkerPolicy", "WorkerPolicy2"))
    queue = "arn:aws:sqs:us-east-1:000000000000:crowded-queue_with_a_name_18.fifo"
    assert second.allows("sqs:ReceiveMessage", queue)
    assert not first.allows("sqs:ReceiveMessage", queue)


def test_lake_is_private_and_keeps_old_versions(cloud: Cloud, resources: Resources) -> None:
    s3 = cloud.client("s3")
    block = s3.get_public_access_block(Bucket=resources.bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=resources.bucket)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=resources.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_lake_takes_requests_over_tls_only(cloud: Cloud, resources: Resources) -> None:
    policy = json.loads(cloud.client("s3").get_bucket_policy(Bucket=resources.bucket)["Policy"])
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    lake = f"arn:aws:s3:::{resources.bucket}"
    assert statement["Resource"] == [lake, f"{lake}/*"]


def test_lake_survives_its_stack(cloud: Cloud) -> None:
    cloudformation = cloud.client("cloudformation")
    bucket = provision(cloud, toy(name="passing"))["Bucket"]

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


def test_dead_letter_queues_accept_messages_of_their_own_queue_only(cloud: Cloud, resources: Resources) -> None:
    sqs = cloud.client("sqs")
    for source, name in (("events", "my_pipe-events.fifo"), ("messages", "my_pipe-messages")):
        dead_url, url = resources.made_for("dead-letter-queues", source), resources.made_for("queues", source)
        dead = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["All"])
        assert json.loads(dead["Attributes"]["RedriveAllowPolicy"]) == {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [f"arn:aws:sqs:us-east-1:000000000000:{name}"],
        }
        # A dead-letter queue is of its queue's own kind: AWS refuses others, the emulator does not.
        live = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
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


def test_stream_with_fan_out_has_a_consumer_which_the_workers_may_subscribe(cloud: Cloud) -> None:
    outputs, stream = provision(cloud, SHAPES["several"]), "arn:aws:kinesis:us-east-1:000000000000:stream/several-"
    policy, kinesis = rights_of_workers(cloud, outputs), cloud.client("kinesis")

    (consumer,) = kinesis.list_stream_consumers(StreamARN=f"{stream}pushed")["Consumers"]
    assert consumer["ConsumerName"] == "sluice"
    assert (
        find(cloud, "several").made_for("consumers", "pushed") == consumer["ConsumerARN"] == outputs["PushedConsumer"]
    )
    for action in ("kinesis:SubscribeToShard", "kinesis:DescribeStreamConsumer"):
        assert policy.resources(action) == {f"{stream}pushed/consumer/sluice:*"}
    assert policy.resources("kinesis:GetRecords") == {
        f"{stream}{name}" for name in ("stream", "clicks", "bursts", "pushed")
    }
    assert kinesis.list_stream_consumers(StreamARN=f"{stream}clicks")["Consumers"] == []


def test_sagemaker_reaches_the_models_and_snapshots_of_its_pipeline_only(cloud: Cloud, resources: Resources) -> None:
    role = cloud.client("iam").get_role(RoleName=resources.require_role().rpartition("/")[2])["Role"]
    trust: Any = role["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "000000000000"}}

    policy, lake = role_policy(cloud, resources.require_role()), f"arn:aws:s3:::{resources.bucket}"
    assert policy.resources("s3:GetObject") == {f"{lake}/my_pipe/snapshots/*", f"{lake}/my_pipe/models/*"}
    assert policy.resources("s3:PutObject") == {f"{lake}/my_pipe/models/*", f"{lake}/my_pipe/evaluations/scores/*"}
    assert policy.on_everything() == {"cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}


def test_only_where_batches_are_scored_they_are_reached(cloud: Cloud) -> None:
    outputs, batches = provision(cloud, SHAPES["batch"]), f"arn:aws:s3:::{bucket_of('batch')}/batch/batches"
    role, workers = (
        role_policy(cloud, find(cloud, "batch").require_role()),
        worker_policy(cloud, outputs["WorkerPolicy"]),
    )
    without = worker_policy(cloud, provision(cloud, SHAPES["model_only"])["WorkerPolicy"])

    assert f"{batches}/*/rows/*" in role.resources("s3:GetObject")
    assert f"{batches}/*/answers/*" in role.resources("s3:PutObject")
    assert f"{batches}/*" in workers.resources("s3:DeleteObject")
    assert '"batch/batches/*"' in template_body(SHAPES["batch"])  # which SageMaker may list
    assert not any("batches" in resource for resource in without.resources("s3:DeleteObject"))
    assert "batches" not in template_body(SHAPES["model_only"])


def test_workers_reach_their_pipeline_only(cloud: Cloud, outputs: dict[str, str], resources: Resources) -> None:
    policy = worker_policy(cloud, outputs["WorkerPolicy"])

    lake = f"arn:aws:s3:::{resources.bucket}"
    assert policy.resources("s3:PutObject") == {f"{lake}/my_pipe/*"}
    assert policy.resources("s3:GetObject") == {f"{lake}/my_pipe/*", f"{lake}/drops/weather/*"}
    queues = {f"arn:aws:sqs:us-east-1:000000000000:my_pipe-{name}" for name in ("events.fifo", "messages")}
    dead = {f"arn:aws:sqs:us-east-1:000000000000:my_pipe-{name}" for name in ("events-dead.fifo", "messages-dead")}
    for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"):
        assert policy.resources(f"sqs:{action}") == queues | dead, action
    assert policy.resources("sqs:SendMessage") == queues
    assert policy.resources("kinesis:PutRecord") == {"arn:aws:kinesis:us-east-1:000000000000:stream/my_pipe-stream"}
    assert policy.resources("sns:Publish") == {resources.topic_arn}
    assert policy.resources("iam:PassRole") == {resources.role_arn}
    sagemaker = "arn:aws:sagemaker:us-east-1:000000000000"
    assert policy.resources("sagemaker:CreateTrainingJob") == {f"{sagemaker}:training-job/my-pipe-xgboost-*"}
    assert policy.resources("sagemaker:DeleteEndpoint") == {
        f"{sagemaker}:endpoint/toy-late",
        f"{sagemaker}:endpoint-config/toy-late-*",
        f"{sagemaker}:model/toy-late-*",
    }
    assert policy.resources("sagemaker:DeleteModel") <= {
        f"{sagemaker}:model/my-pipe-xgboost-*",
        f"{sagemaker}:transform-job/my-pipe-scores-*",
    }
    assert policy.resources("s3:DeleteObject") == {
        f"arn:aws:s3:::{resources.bucket}/my_pipe/{objects}"
        for objects in (
            *("snapshots/*", "models/*", "evaluations/scores/*"),
            *("*/part-*", "announced/*/dt=*", "ids/*/dt=*"),
        )
    }
    assert policy.on_everything() == {
        "application-autoscaling:DeregisterScalableTarget",
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListModels",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListTransformJobs",
        "servicequotas:ListAWSDefaultServiceQuotas",
        "servicequotas:ListServiceQuotas",
    }

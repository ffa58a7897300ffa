"""The state that survives an orderly down and up, and a kill of the stand-in."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from localcloud.testing import training
from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.stacks import WAIT, template
from localcloud.testing.waiting import wait_for

Serving = tuple[Cloud, training.Data, bytes]


def send(sqs: Any, url: str, body: str) -> str:
    sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body)
    number: str = sent["SequenceNumber"]
    return number


@pytest.mark.slow
def test_the_emulators_state_survives_down_and_up(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName="kept", TemplateBody=template("kept"), Capabilities=["CAPABILITY_NAMED_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName="kept", WaiterConfig=WAIT)
    url = cloud.client("sqs").get_queue_url(QueueName="kept.fifo")["QueueUrl"]
    sent = [send(cloud.client("sqs"), url, body) for body in ("1", "2", "3")]
    cloud.client("s3").put_object(Bucket="kept", Key="a/b", Body=b"content", Metadata={"revision": "1"})
    cloud.client("kinesis").put_record(StreamName="kept", Data=b"record", PartitionKey="k")
    localcloud.command("down")
    cloud = localcloud.up()

    assert cloud.client("cloudformation").describe_stacks(StackName="kept")["Stacks"][0]["StackStatus"] == (
        "CREATE_COMPLETE"
    )
    answer = cloud.client("s3").get_object(Bucket="kept", Key="a/b")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"content", {"revision": "1"})
    assert cloud.client("ssm").get_parameter(Name="/kept/queue")["Parameter"]["Value"] == url
    sqs = cloud.client("sqs")
    assert send(sqs, url, "2") == sent[1], "deduplication remembers"
    assert int(send(sqs, url, "4")) > int(sent[2]), "sequence numbers continue"
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in messages] == ["1", "2", "3", "4"]
    kinesis = cloud.client("kinesis")
    [shard] = kinesis.list_shards(StreamName="kept")["Shards"]
    iterator = kinesis.get_shard_iterator(
        StreamName="kept", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]] == [b"record"]
    [topic] = cloud.client("sns").list_topics()["Topics"]
    cloud.client("sns").publish(TopicArn=topic["TopicArn"], Message="still subscribed")
    events = sqs.get_queue_url(QueueName="kept-events")["QueueUrl"]
    [event] = sqs.receive_message(QueueUrl=events, WaitTimeSeconds=5)["Messages"]
    assert event["Body"] == "still subscribed"


@pytest.fixture(scope="module")
def serving(shared: LocalCloud) -> Serving:
    """A cloud with an endpoint ``live`` in service, its training data and its answer to one row."""
    cloud = shared.up()
    data = training.put_data(cloud.client("s3"), "survival")
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**training.request("trained", data))
    job = training.finished(sagemaker, "trained")
    sagemaker.create_model(
        ModelName="live",
        PrimaryContainer={
            "Image": training.IMAGE,
            "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        },
        ExecutionRoleArn=training.ROLE,
    )
    variant = {"VariantName": "all", "ModelName": "live", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="live", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="live", EndpointConfigName="live")
    wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName="live")["EndpointStatus"] == "InService", what="InService"
    )
    return cloud, data, answer_of(cloud)


def answer_of(cloud: Cloud) -> bytes:
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="live", ContentType="text/csv", Body="0.1,0.2,0.3,0.4"
    )
    body: bytes = answer["Body"].read()
    return body


@pytest.mark.slow
def test_endpoints_serve_again_after_down_and_up(shared: LocalCloud, serving: Serving) -> None:
    _, _, expected = serving
    shared.command("down")
    assert answer_of(shared.up()) == expected


@pytest.mark.chaos
def test_a_killed_stand_in_starts_again_with_its_state(shared: LocalCloud, serving: Serving) -> None:
    cloud, data, expected = serving
    name = "running-at-the-kill"
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**training.request(name, data, training.ENDLESS))
    training.trains(cloud, name)
    stand_in = shared.processes()["sagemaker"]
    [child] = stand_in.children()
    stand_in.kill()
    wait_for(lambda: gone(child), seconds=20, what="the end of the orphaned training process")
    sagemaker = shared.up().client("sagemaker")
    job = sagemaker.describe_training_job(TrainingJobName=name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"].startswith("InternalServerError: the SageMaker stand-in was restarted")
    assert sagemaker.describe_training_job(TrainingJobName="trained")["TrainingJobStatus"] == "Completed"
    assert answer_of(cloud) == expected


@pytest.mark.slow
def test_down_ends_a_running_job(shared: LocalCloud, serving: Serving) -> None:
    cloud, data, _ = serving
    name = "running-at-down"
    cloud.client("sagemaker").create_training_job(**training.request(name, data, training.ENDLESS))
    training.trains(cloud, name)
    [child] = shared.processes()["sagemaker"].children()
    shared.command("down")
    assert gone(child)
    job = shared.up().client("sagemaker").describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    left = [path.name for path in (shared.state / "sagemaker/jobs" / name).iterdir()]
    assert left == ["log"], "only the log of a finished job is kept"


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

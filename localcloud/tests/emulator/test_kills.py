"""A kill of the emulator loses nothing that it has answered."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.stacks import WAIT, template
from localcloud.testing.waiting import wait_for

pytestmark = pytest.mark.chaos

NAME = "killed"


@pytest.fixture
def cloud(shared: LocalCloud) -> Cloud:
    return shared.up()


def killed(localcloud: LocalCloud) -> Cloud:
    """Kill the emulator, and start it again."""
    localcloud.kill("emulator")
    return localcloud.up()


def make_queue(cloud: Cloud, name: str, **attributes: str) -> str:
    kind = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url: str = cloud.client("sqs").create_queue(QueueName=name, Attributes=kind | attributes)["QueueUrl"]
    return url


def send(cloud: Cloud, url: str, body: str, group: str = "g") -> int:
    sent = cloud.client("sqs").send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body
    )
    return int(sent["SequenceNumber"])


def receive(cloud: Cloud, url: str, **options: Any) -> list[Any]:
    return list(
        cloud.client("sqs")
        .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], **options)
        .get("Messages", [])
    )


def test_numbers_only_grow_and_ids_are_remembered(shared: LocalCloud, cloud: Cloud) -> None:
    url = make_queue(cloud, "numbers.fifo")
    numbers = []
    for round_ in range(4):
        numbers += [send(cloud, url, f"{round_}-{n}") for n in range(3)]
        if round_ == 1:
            shared.command("down")
            cloud = shared.up()
        else:
            cloud = killed(shared)
    assert numbers == sorted(set(numbers))
    assert send(cloud, url, "0-0") == numbers[0], "an id is remembered over kills"
    bodies = []
    while messages := receive(cloud, url):
        for message in messages:
            bodies.append(message["Body"])
            cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        cloud = killed(shared)
    assert bodies == [f"{round_}-{n}" for round_ in range(4) for n in range(3)]
    assert send(cloud, url, "after all were deleted") > numbers[-1]


def test_messages_in_flight_stay_in_flight(shared: LocalCloud, cloud: Cloud) -> None:
    url = make_queue(cloud, "in-flight.fifo", VisibilityTimeout="60")
    for body in ("a1", "a2"):
        send(cloud, url, body, "a")
    send(cloud, url, "b1", "b")
    [first] = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert first["Body"] == "a1"
    cloud = killed(shared)

    assert [message["Body"] for message in receive(cloud, url)] == ["b1"], "the group of a1 is held"
    sqs = cloud.client("sqs")
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    cloud = killed(shared)

    again = receive(cloud, url)
    assert [message["Body"] for message in again] == ["a1", "a2"]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in again] == ["2", "1"]
    for message in again:
        cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    cloud = killed(shared)
    counts = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    left = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    assert [counts[name] for name in left] == ["0", "1"]  # b1


def test_dead_letters_and_purges_survive(shared: LocalCloud, cloud: Cloud) -> None:
    dead, purged = make_queue(cloud, "dead.fifo"), make_queue(cloud, "purged.fifo")
    arn = cloud.client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = make_queue(cloud, "dying.fifo", RedrivePolicy=policy, VisibilityTimeout="0")
    for body in ("1", "2"):
        send(cloud, url, body)
        send(cloud, purged, body)
    receive(cloud, url)
    assert receive(cloud, url) == []
    cloud.client("sqs").purge_queue(QueueUrl=purged)
    cloud = killed(shared)

    assert [message["Body"] for message in receive(cloud, dead)] == ["1", "2"]
    assert receive(cloud, url) == receive(cloud, purged) == []
    cloud.client("sqs").delete_queue(QueueUrl=dead)
    cloud = killed(shared)
    assert receive(cloud, make_queue(cloud, "dead.fifo")) == [], "a queue of the same name is a new one"


def test_records_of_streams_survive(shared: LocalCloud, cloud: Cloud) -> None:
    kinesis = cloud.client("kinesis")
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    wait_for(lambda: status_of(cloud) == "ACTIVE", what="the stream")
    put = [kinesis.put_record(StreamName=NAME, Data=b"0", PartitionKey="k")]
    cloud = killed(shared)
    entries = [{"Data": b"%d" % n, "PartitionKey": "k"} for n in (1, 2)]
    put += cloud.client("kinesis").put_records(StreamName=NAME, Records=entries)["Records"]
    cloud = killed(shared)

    kinesis = cloud.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName=NAME, ShardId=put[0]["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [record["Data"] for record in records] == [b"0", b"1", b"2"]
    numbers = [record["SequenceNumber"] for record in records]
    assert numbers == [each["SequenceNumber"] for each in put]
    assert sorted(set(map(int, numbers))) == list(map(int, numbers))
    kinesis.delete_stream(StreamName=NAME)
    cloud = killed(shared)
    assert cloud.client("kinesis").list_streams()["StreamNames"] == []


def status_of(cloud: Cloud) -> str:
    summary = cloud.client("kinesis").describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]
    status: str = summary["StreamStatus"]
    return status


def test_everything_else_survives(shared: LocalCloud, cloud: Cloud) -> None:
    cloud.client("ssm").put_parameter(Name="/killed/parameter", Value="1", Type="String")
    topic = cloud.client("sns").create_topic(Name=NAME)["TopicArn"]
    url = make_queue(cloud, "subscribed")
    cloud.client("sns").subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint="arn:aws:sqs:us-east-1:000000000000:subscribed",
        Attributes={"RawMessageDelivery": "true"},
    )
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    cloud.client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=trust)
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName=NAME)
    logs.create_log_stream(logGroupName=NAME, logStreamName="s")
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName=NAME, logStreamName="s", logEvents=[{"timestamp": now, "message": "line"}])
    cloudwatch = cloud.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace=NAME, MetricData=[{"MetricName": "m", "Value": 7}])
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=NAME)
    s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
    cloud.client("sns").publish(TopicArn=topic, Message="published")
    cloud = killed(shared)

    assert cloud.client("ssm").get_parameter(Name="/killed/parameter")["Parameter"]["Value"] == "1"
    assert [message["Body"] for message in receive(cloud, url)] == ["published"]
    assert cloud.client("iam").get_role(RoleName=NAME)["Role"]["RoleName"] == NAME
    events = cloud.client("logs").get_log_events(logGroupName=NAME, logStreamName="s")["events"]
    assert [event["message"] for event in events] == ["line"]
    assert [metric["MetricName"] for metric in cloud.client("cloudwatch").list_metrics(Namespace=NAME)["Metrics"]] == [
        "m"
    ]
    assert cloud.client("s3").get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"
    cloud.client("sns").publish(TopicArn=topic, Message="still subscribed")
    assert [message["Body"] for message in receive(cloud, url)] == ["still subscribed"]


def test_logs_survive_in_the_order_of_their_times(shared: LocalCloud, cloud: Cloud) -> None:
    """Also after a late event, which is inserted between the others, and without deleted ones."""
    logs, now = cloud.client("logs"), int(time.time() * 1000)

    def write(stream: str, *events: tuple[int, str]) -> None:
        found = [{"timestamp": now + at, "message": message} for at, message in events]
        logs.put_log_events(logGroupName="lines", logStreamName=stream, logEvents=found)

    logs.create_log_group(logGroupName="lines")
    for stream in ("kept", "gone"):
        logs.create_log_stream(logGroupName="lines", logStreamName=stream)
        write(stream, (0, "first"), (20, "third"))
    write("kept", (10, "late"))
    write("kept", (30, "fourth"))
    logs.delete_log_stream(logGroupName="lines", logStreamName="gone")
    logs.create_log_stream(logGroupName="lines", logStreamName="gone")
    logs = killed(shared).client("logs")

    for stream, lines in {"kept": ["first", "late", "third", "fourth"], "gone": []}.items():
        events = logs.get_log_events(logGroupName="lines", logStreamName=stream, startFromHead=True)["events"]
        assert [event["message"] for event in events] == lines
    write("kept", (40, "fifth"))
    (stream,) = logs.describe_log_streams(logGroupName="lines", logStreamNamePrefix="kept")["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (now, now + 40)


def test_the_lines_of_a_log_are_no_part_of_a_document(shared: LocalCloud, cloud: Cloud) -> None:
    """A document is written as a whole: with the lines in it, a job would wait for its own log."""
    logs, now = cloud.client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName="long")
    logs.create_log_stream(logGroupName="long", logStreamName="s")

    def document() -> str:
        with closing(sqlite3.connect(shared.state / "emulator" / "state" / "state.sqlite")) as file:
            found = file.execute("SELECT document FROM documents WHERE service = 'cloudwatch_logs'")
            text: str = found.fetchone()[0]
            return text

    before = document()
    logs.put_log_events(logGroupName="long", logStreamName="s", logEvents=[{"timestamp": now, "message": "a line"}])
    logs.create_log_stream(logGroupName="long", logStreamName="t")

    assert "a line" not in document()
    assert len(document()) < len(before) + 1000


def test_objects_survive_with_their_versions(shared: LocalCloud, cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    put = [s3.put_object(Bucket="versions", Key="a/b", Body=b"%d" % n, Metadata={"n": str(n)}) for n in range(3)]
    s3.put_object(Bucket="versions", Key="gone", Body=b"")
    s3.delete_object(Bucket="versions", Key="gone")
    s3 = killed(shared).client("s3")

    assert [each["Key"] for each in s3.list_objects_v2(Bucket="versions")["Contents"]] == ["a/b"]
    for n, version in enumerate(put):
        answer = s3.get_object(Bucket="versions", Key="a/b", VersionId=version["VersionId"])
        assert (answer["Body"].read(), answer["ETag"], answer["Metadata"]) == (
            b"%d" % n,
            version["ETag"],
            {"n": str(n)},
        )
    s3.put_object(Bucket="versions", Key="a/b", Body=b"3", IfMatch=put[2]["ETag"])
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="versions", Key="a/b", Body=b"4", IfMatch=put[2]["ETag"])


def test_a_stack_is_there_after_a_kill_before_the_first_orderly_stop(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    create_stack(cloud)
    cloud.client("s3").put_object(Bucket=NAME, Key="lake", Body=b"kept")
    cloud = killed(localcloud)

    cloudformation = cloud.client("cloudformation")
    assert cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloudformation.update_stack(StackName=NAME, TemplateBody=template(NAME), Capabilities=["CAPABILITY_NAMED_IAM"])
    assert cloud.client("s3").get_object(Bucket=NAME, Key="lake")["Body"].read() == b"kept"


def test_a_stack_takes_over_a_bucket_that_no_stack_has(shared: LocalCloud, cloud: Cloud) -> None:
    """A kill of an earlier version left such buckets, with their objects."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=NAME + "-before")
    s3.put_object(Bucket=NAME + "-before", Key="lake", Body=b"kept")
    create_stack(cloud, NAME + "-before")
    assert s3.get_object(Bucket=NAME + "-before", Key="lake")["Body"].read() == b"kept"
    cloud.client("cloudformation").delete_stack(StackName=NAME + "-before")
    assert s3.get_object(Bucket=NAME + "-before", Key="lake")["Body"].read() == b"kept"


def test_the_files_of_an_earlier_version_are_loaded(localcloud: LocalCloud) -> None:
    """The earlier version wrote one file for each service, at an orderly stop only."""
    name, arn = "former.fifo", "arn:aws:sqs:us-east-1:000000000000:former.fifo"
    url = f"http://127.0.0.1:{localcloud.port}/000000000000/{name}"
    sent = {"id": "1", "body": "former", "group_id": "g", "seq": f"{41:020d}", "receipt_handle": None}
    message = {**sent, "visible_at": 0.0, "sent_at": time.time(), "receive_count": 0, "sys": {}}
    queue = {
        **{"name": name, "url": url, "is_fifo": True, "tags": {}, "dedup_cache": {}, "fifo_seq": 41},
        **{"attributes": {"QueueArn": arn, "FifoQueue": "true"}, "messages": [message]},
    }
    scoped = {"__account_region_scoped__": True, "data": {f"000000000000\0us-east-1\0{url!r}": queue}}
    folder = localcloud.state / "emulator/state"
    folder.mkdir(parents=True)
    (folder / "sqs.json").write_text(json.dumps({"__ministack_format__": 2, "payload": {"queues": scoped}}))
    cloud = localcloud.up()
    assert send(cloud, url, "next") == 42
    assert [each["Body"] for each in receive(killed(localcloud), url)] == ["former", "next"]


def create_stack(cloud: Cloud, name: str = NAME) -> None:
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=template(name), Capabilities=["CAPABILITY_NAMED_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)

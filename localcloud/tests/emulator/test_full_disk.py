"""A full disk: what could not be stored is answered with an error, and what was answered is stored.

The emulator is forbidden to let files grow, by the system's own limit for a process: to it that is a failed write.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud, LocalCloud

pytestmark = pytest.mark.chaos

MEGABYTE = 1_000_000


@contextmanager
def full_disk(localcloud: LocalCloud, largest_file: int) -> Iterator[None]:
    """Limit the size of the emulator's files to so many bytes."""
    emulator = localcloud.processes()["emulator"]
    soft, hard = emulator.rlimit(resource.RLIMIT_FSIZE)
    emulator.rlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    try:
        yield
    finally:
        emulator.rlimit(resource.RLIMIT_FSIZE, (soft, hard))


def restarted(localcloud: LocalCloud) -> Cloud:
    localcloud.command("down")
    return localcloud.up()


def refused(call: Callable[[], Any]) -> str:
    """Return the message of the error."""
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
    message: str = answer["Error"]["Message"]
    return message


def test_an_object_that_can_not_be_stored_is_refused(shared: LocalCloud) -> None:
    cloud = shared.up()
    s3 = cloud.client("s3")
    for bucket in ("plain", "versions"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for bucket in ("plain", "versions"):
        s3.put_object(Bucket=bucket, Key="there", Body=b"old", Metadata={"of": "old"})
    with full_disk(shared, MEGABYTE):
        for bucket in ("plain", "versions"):
            for key in ("there", "new"):
                message = refused(lambda b=bucket, k=key: s3.put_object(Bucket=b, Key=k, Body=bytes(2 * MEGABYTE)))  # type: ignore[misc]
                assert message == f"Failed to persist S3 object {bucket}/{key}: [Errno 27] File too large"
            s3.put_object(Bucket=bucket, Key="small", Body=b"small")
    for now in (s3, restarted(shared).client("s3")):
        for bucket in ("plain", "versions"):
            assert [each["Key"] for each in now.list_objects_v2(Bucket=bucket)["Contents"]] == ["small", "there"]
            answer = now.get_object(Bucket=bucket, Key="there")
            assert (answer["Body"].read(), answer["Metadata"]) == (b"old", {"of": "old"})
        assert len(now.list_object_versions(Bucket="versions")["Versions"]) == 2
        now.put_object(Bucket="plain", Key="there", Body=b"old", Metadata={"of": "old"})


def test_a_change_that_can_not_be_stored_is_refused_by_every_service(shared: LocalCloud) -> None:
    cloud = shared.up()
    sqs, ssm, kinesis = (cloud.client(name) for name in ("sqs", "ssm", "kinesis"))
    sns, s3 = cloud.client("sns"), cloud.client("s3")
    url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    kinesis.create_stream(StreamName="stream", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="stream", WaiterConfig={"Delay": 1})
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="there", Body=b"1")

    def send(body: str) -> Any:
        return sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body)

    first = send("1")
    with full_disk(shared, 0):
        for change in (
            lambda: send("2"),
            lambda: send("2"),  # its id is known, but it is not stored
            lambda: sqs.receive_message(QueueUrl=url),
            lambda: kinesis.put_record(StreamName="stream", Data=b"1", PartitionKey="k"),
            lambda: ssm.put_parameter(Name="/full/parameter", Value="1", Type="String"),
            lambda: sns.create_topic(Name="full"),
        ):
            assert refused(change).startswith("the embedded cloud could not save it: ")
        refused(lambda: s3.put_object(Bucket="kept", Key="k", Body=b"1"))
        assert s3.get_object(Bucket="kept", Key="there")["Body"].read() == b"1"
    second = send("2")
    assert int(second["SequenceNumber"]) == int(first["SequenceNumber"]) + 1
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="kept")["Contents"]] == ["there"]
    sqs = restarted(shared).client("sqs")
    sqs.get_queue_url(QueueName="q.fifo")
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"]) == 2

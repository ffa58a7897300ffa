"""The proxy treats a client as the services do, and the same seed repeats it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from tests.chaos.conftest import MakeTrial
from tests.chaos.faults import DISK_FULL, SLOW_DOWN, THROTTLED, Delay, Partial, Request, Reset, Rule, Schedule
from tests.chaos.proxy import Proxy
from tests.conftest import Cloud
from tests.draining import backlog

from localcloud.testing.waiting import wait_for


def put_request(key: str = "key") -> Request:
    return Request("PUT", f"/bucket/{key}", {}, b"")


def struck(seed: int, *rules: Rule, count: int = 40) -> list[bool]:
    schedule = Schedule(seed, rules)
    return [schedule.strike(put_request()) is not None for _ in range(count)]


def test_same_seed_makes_the_same_schedule_and_another_seed_another_schedule() -> None:
    rule = Rule("s3:*", SLOW_DOWN, rate=0.3)

    assert struck(1, rule) == struck(1, rule) != struck(2, rule)
    assert 2 < sum(struck(1, rule)) < 25


def test_rule_strikes_in_bursts_within_its_bounds() -> None:
    burst = struck(3, Rule("s3:*", SLOW_DOWN, rate=0.5, burst=4))

    assert all(len(set(burst[start : start + 4])) == 1 for start in range(0, 40, 4))
    assert struck(0, Rule("s3:*", SLOW_DOWN, after=2, times=3), count=7) == [False] * 2 + [True] * 3 + [False] * 2
    assert struck(0, Rule("sqs:*", SLOW_DOWN), Rule("s3:GetObject *", SLOW_DOWN), count=1) == [False]
    assert struck(0, Rule("s3:PutObject bucket/k*", SLOW_DOWN), count=1) == [True]


@pytest.fixture
def plain(cloud: Cloud) -> Any:
    """Clients that try once, at an address of choice."""

    def client(service: str, url: str) -> Any:
        return Cloud(url, url, cloud.environment).client(service)

    return client


def test_clients_receive_the_errors_of_the_services(trial: MakeTrial, plain: Any) -> None:
    here = trial()
    rules = [
        Rule("s3:PutObject */full", DISK_FULL),
        Rule("s3:PutObject */busy", SLOW_DOWN),
        Rule("s3:PutObject */lost", Reset(happened=True)),
        Rule("s3:PutObject */cut", Reset(happened=False)),
        Rule("sqs:GetQueueAttributes *", THROTTLED, times=1),
    ]
    with Proxy(here.cloud.endpoint_url, 0, *rules) as proxy:
        s3, sqs = plain("s3", proxy.url), plain("sqs", proxy.url)
        for key, status, code in (("full", 507, "InsufficientStorage"), ("busy", 503, "SlowDown")):
            with pytest.raises(ClientError) as refused:
                s3.put_object(Bucket=here.bucket, Key=key, Body=b"x")
            answer = refused.value.response
            assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
        for key in ("lost", "cut"):
            with pytest.raises(ConnectionClosedError):
                s3.put_object(Bucket=here.bucket, Key=key, Body=b"x")
        with pytest.raises(ClientError, match="RequestThrottled"):
            backlog(sqs, here.queue)
        assert backlog(sqs, here.queue) == 0
        s3.put_object(Bucket=here.bucket, Key="well", Body=b"through")
        assert s3.get_object(Bucket=here.bucket, Key="well")["Body"].read() == b"through"
        assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=here.bucket)["Contents"]] == ["lost", "well"]
        assert sum(proxy.injected.values()) == 5


def test_delayed_call_happens_after_its_sender_gave_up(trial: MakeTrial, cloud: Cloud) -> None:
    here = trial()
    with Proxy(cloud.endpoint_url, 0, Rule("s3:PutObject */late", Delay(1.5), times=1)) as proxy:
        with pytest.raises(ReadTimeoutError):
            here.client("s3", proxy.url, read_seconds=0.3, attempts=1).put_object(
                Bucket=here.bucket, Key="late", Body=b"x"
            )
        assert "Contents" not in here.s3.list_objects_v2(Bucket=here.bucket)
        assert not proxy.at_rest
        wait_for(lambda: proxy.at_rest, what="the late put")
        assert here.s3.get_object(Bucket=here.bucket, Key="late")["Body"].read() == b"x"


def test_batch_succeeds_in_part(trial: MakeTrial, plain: Any) -> None:
    """Entries that the answer reports as successful were done, those that it reports as failed were not."""
    here = trial()
    kinesis = plain("kinesis", here.cloud.endpoint_url)
    kinesis.create_stream(StreamName=here.bucket, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=here.bucket, WaiterConfig={"Delay": 1})
    rules = [Rule("sqs:SendMessageBatch *", Partial(0.5)), Rule("kinesis:PutRecords *", Partial(0.5, "Slow"))]
    entries = [
        {"Id": f"{n}", "MessageBody": f"{n}", "MessageGroupId": f"{n}", "MessageDeduplicationId": f"{n}"}
        for n in range(10)
    ]
    records = [{"Data": f"{n}".encode(), "PartitionKey": "k"} for n in range(10)]
    with Proxy(here.cloud.endpoint_url, 1, *rules) as proxy:
        batch = plain("sqs", proxy.url).send_message_batch(QueueUrl=here.queue, Entries=entries)
        put = plain("kinesis", proxy.url).put_records(StreamName=here.bucket, Records=records)

    failed = {entry["Id"] for entry in batch["Failed"]}
    done = {entry["Id"] for entry in batch["Successful"]}
    assert 0 < len(failed) < 10
    assert failed | done == {f"{n}" for n in range(10)}
    received = here.sqs.receive_message(QueueUrl=here.queue, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in received} == done
    taken = [n for n, record in enumerate(put["Records"]) if "SequenceNumber" in record]
    assert put["FailedRecordCount"] == 10 - len(taken) > 0
    [shard] = kinesis.list_shards(StreamName=here.bucket)["Shards"]
    iterator = kinesis.get_shard_iterator(
        StreamName=here.bucket, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert [int(each["Data"]) for each in kinesis.get_records(ShardIterator=iterator)["Records"]] == taken


def test_refusal_by_the_service_itself_is_passed_through(trial: MakeTrial, plain: Any) -> None:
    here = trial()
    with Proxy(here.cloud.endpoint_url, 0, Rule("sqs:DeleteMessageBatch *", Partial(0.0))) as proxy:
        sqs = plain("sqs", proxy.url)
        with pytest.raises(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_message_batch(QueueUrl=here.queue + "x", Entries=[{"Id": "1", "ReceiptHandle": "x"}])
        with pytest.raises(ClientError, match="NoSuchKey"):
            plain("s3", proxy.url).get_object(Bucket=here.bucket, Key="absent")

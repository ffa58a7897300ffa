"""What Sluice relies on in Kinesis: order per partition key, sequence numbers and iterators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import RecordTypeDef


@pytest.fixture
def stream(kinesis: KinesisClient, name: str) -> str:
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def read(kinesis: KinesisClient, stream: str, shard: str, after: str | None = None) -> list[RecordTypeDef]:
    if after is None:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    else:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream,
            ShardId=shard,
            ShardIteratorType="AFTER_SEQUENCE_NUMBER",
            StartingSequenceNumber=after,
        )
    return kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def test_a_key_stays_in_its_shard_in_order(kinesis: KinesisClient, stream: str) -> None:
    sent: dict[str, list[tuple[str, bytes]]] = {}
    for number in range(6):
        for key in ("N1", "N2", "N3"):
            data = f"{key}-{number}".encode()
            answer = kinesis.put_record(StreamName=stream, Data=data, PartitionKey=key)
            sent.setdefault(key, []).append((answer["ShardId"], data))
    assert all(len({shard for shard, _ in records}) == 1 for records in sent.values())
    for key, records in sent.items():
        received = [each["Data"] for each in read(kinesis, stream, records[0][0]) if each["PartitionKey"] == key]
        assert received == [data for _, data in records]


def test_sequence_numbers_grow_and_a_checkpoint_resumes_after_one(kinesis: KinesisClient, stream: str) -> None:
    answers = [
        kinesis.put_record(StreamName=stream, Data=str(number).encode(), PartitionKey="k") for number in range(5)
    ]
    numbers = [int(answer["SequenceNumber"]) for answer in answers]
    assert numbers == sorted(set(numbers))
    shard = answers[0]["ShardId"]
    rest = read(kinesis, stream, shard, after=answers[2]["SequenceNumber"])
    assert [record["Data"] for record in rest] == [b"3", b"4"]
    assert [record["SequenceNumber"] for record in rest] == [answer["SequenceNumber"] for answer in answers[3:]]


def test_a_batch_put_tells_each_record(kinesis: KinesisClient, stream: str) -> None:
    answer = kinesis.put_records(
        StreamName=stream, Records=[{"Data": b"a", "PartitionKey": "1"}, {"Data": b"b", "PartitionKey": "2"}]
    )
    assert answer["FailedRecordCount"] == 0
    assert all(record["SequenceNumber"] and record["ShardId"] for record in answer["Records"])

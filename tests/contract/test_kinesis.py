"""What Sluice relies on in Kinesis: order per partition key, sequence numbers and iterators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import GetRecordsOutputTypeDef, RecordTypeDef


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


def test_key_stays_in_its_shard_in_order(kinesis: KinesisClient, stream: str) -> None:
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


def test_batch_put_reports_each_record(kinesis: KinesisClient, stream: str) -> None:
    answer = kinesis.put_records(
        StreamName=stream, Records=[{"Data": b"a", "PartitionKey": "1"}, {"Data": b"b", "PartitionKey": "2"}]
    )
    assert answer["FailedRecordCount"] == 0
    assert all(record["SequenceNumber"] and record["ShardId"] for record in answer["Records"])


# Resharding


def read_to_end(kinesis: KinesisClient, stream: str, shard: str) -> tuple[list[bytes], GetRecordsOutputTypeDef]:
    """Return all data of a closed shard, read one record a call, and the answer that reported its end."""
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    place, data = iterator["ShardIterator"], list[bytes]()
    for _ in range(100):
        answer = kinesis.get_records(ShardIterator=place, Limit=1)
        data += [record["Data"] for record in answer["Records"]]
        if "NextShardIterator" not in answer:
            return data, answer
        place = answer["NextShardIterator"]
    raise AssertionError(f"{shard} does not end")


def shards_of(kinesis: KinesisClient, stream: str) -> dict[str, Any]:
    return {shard["ShardId"]: shard for shard in kinesis.list_shards(StreamName=stream)["Shards"]}


def put(kinesis: KinesisClient, stream: str, *data: bytes, hash_key: int) -> list[tuple[str, int]]:
    """Put records; return (shard, sequence number) of each."""
    answers = [
        kinesis.put_record(StreamName=stream, Data=each, PartitionKey="k", ExplicitHashKey=str(hash_key))
        for each in data
    ]
    return [(answer["ShardId"], int(answer["SequenceNumber"])) for answer in answers]


FIRST, SECOND, MIDDLE = "shardId-000000000000", "shardId-000000000001", 2**126


def test_split_closes_the_parent_which_keeps_its_records(kinesis: KinesisClient, stream: str) -> None:
    before = put(kinesis, stream, b"1", b"2", hash_key=MIDDLE)

    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(MIDDLE))
    after = put(kinesis, stream, b"3", hash_key=MIDDLE) + put(kinesis, stream, b"4", hash_key=MIDDLE - 1)

    assert [shard for shard, _ in before] == [FIRST, FIRST]
    assert [shard for shard, _ in after] == ["shardId-000000000003", "shardId-000000000002"]
    shards = shards_of(kinesis, stream)
    end = int(shards[FIRST]["SequenceNumberRange"]["EndingSequenceNumber"])
    assert before[-1][1] < end < min(number for _, number in after)
    assert {name: shard.get("ParentShardId") for name, shard in shards.items()} == {
        FIRST: None,
        SECOND: None,
        "shardId-000000000002": FIRST,
        "shardId-000000000003": FIRST,
    }
    assert ["EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards.values()] == [True] + [False] * 3
    assert kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["OpenShardCount"] == 3

    data, end_of_shard = read_to_end(kinesis, stream, FIRST)
    assert data == [b"1", b"2"]
    assert end_of_shard["MillisBehindLatest"] == 0
    assert [(child["ShardId"], child["ParentShards"]) for child in end_of_shard["ChildShards"]] == [
        ("shardId-000000000002", [FIRST]),
        ("shardId-000000000003", [FIRST]),
    ]


def test_merge_closes_both_parents(kinesis: KinesisClient, stream: str) -> None:
    put(kinesis, stream, b"left", hash_key=0)
    put(kinesis, stream, b"right", hash_key=2**128 - 1)

    kinesis.merge_shards(StreamName=stream, ShardToMerge=FIRST, AdjacentShardToMerge=SECOND)
    ((shard, _),) = put(kinesis, stream, b"both", hash_key=0)

    assert shard == "shardId-000000000002"
    child = shards_of(kinesis, stream)[shard]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (FIRST, SECOND)
    assert child["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
    for parent, data in ((FIRST, b"left"), (SECOND, b"right")):
        read_data, end_of_shard = read_to_end(kinesis, stream, parent)
        assert read_data == [data]
        assert [(each["ShardId"], each["ParentShards"]) for each in end_of_shard["ChildShards"]] == [
            (shard, [FIRST, SECOND])
        ]


def test_iterator_from_before_a_split_reads_to_the_end(kinesis: KinesisClient, stream: str) -> None:
    put(kinesis, stream, b"1", hash_key=0)
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    place = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["NextShardIterator"]
    put(kinesis, stream, b"2", hash_key=0)

    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(MIDDLE))

    answer = kinesis.get_records(ShardIterator=place)
    assert [record["Data"] for record in answer["Records"]] == [b"2"]
    assert "NextShardIterator" not in answer


def test_closed_shard_is_not_split_or_merged_again(kinesis: KinesisClient, stream: str) -> None:
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(MIDDLE))

    for again in (
        lambda: kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(MIDDLE)),
        lambda: kinesis.merge_shards(StreamName=stream, ShardToMerge=FIRST, AdjacentShardToMerge=SECOND),
    ):
        with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="already been merged or split"):
            again()
    assert len(shards_of(kinesis, stream)) == 4


def test_shards_are_listed_page_by_page(kinesis: KinesisClient, stream: str) -> None:
    first = kinesis.list_shards(StreamName=stream, MaxResults=1)
    rest = kinesis.list_shards(NextToken=first["NextToken"], MaxResults=1)
    assert [shard["ShardId"] for page in (first, rest) for shard in page["Shards"]] == [FIRST, SECOND]
    assert "NextToken" not in rest
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="cannot be provided together"):
        kinesis.list_shards(StreamName=stream, NextToken=first["NextToken"])

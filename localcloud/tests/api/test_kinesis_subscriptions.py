"""A registered consumer gets the records of a shard pushed, up to the shard's end; a stack may register it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud
from localcloud.testing.stacks import WAIT
from localcloud.testing.waiting import wait_for

FIRST, SECOND, CHILD, OTHER_CHILD = (f"shardId-{number:012d}" for number in range(4))
FROM_START = {"Type": "TRIM_HORIZON"}


@pytest.fixture(scope="session")
def kinesis(cloud: Cloud) -> Any:
    return cloud.client("kinesis")


@pytest.fixture
def consumer(kinesis: Any, name: str) -> str:
    """The ARN of a consumer of a stream of two shards."""
    kinesis.create_stream(StreamName=name, ShardCount=2)
    arn = kinesis.register_stream_consumer(StreamARN=stream_arn(name), ConsumerName="reader")["Consumer"]["ConsumerARN"]
    return str(arn)


def stream_arn(name: str) -> str:
    return f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"


def put(kinesis: Any, name: str, *data: str, key: int = 0) -> list[str]:
    """Put records into the shard of a hash key; return their sequence numbers."""
    entries = [{"Data": each.encode(), "PartitionKey": "k", "ExplicitHashKey": str(key)} for each in data]
    numbers = []
    for first in range(0, len(entries), 500):
        answer = kinesis.put_records(StreamName=name, Records=entries[first : first + 500])
        numbers += [record["SequenceNumber"] for record in answer["Records"]]
    return numbers


def subscribe(kinesis: Any, consumer: str, shard: str = FIRST, start: Any = FROM_START) -> Any:
    return kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=start)["EventStream"]


def events(stream: Any) -> Iterator[Any]:
    return (event["SubscribeToShardEvent"] for event in stream)


def data(event: Any) -> list[str]:
    return [record["Data"].decode() for record in event["Records"]]


def test_what_waits_comes_in_parts_and_each_says_how_far_behind_it_is(kinesis: Any, name: str, consumer: str) -> None:
    numbers = put(kinesis, name, *map(str, range(600)))

    subscription = subscribe(kinesis, consumer)
    first, second, third = (next(events(subscription)) for _ in range(3))
    more = put(kinesis, name, "pushed")
    pushed = next(event for event in events(subscription) if event["Records"])
    subscription.close()

    assert data(first) + data(second) + data(third) == [str(number) for number in range(600)]
    assert first["MillisBehindLatest"] >= second["MillisBehindLatest"] > third["MillisBehindLatest"] == 0
    assert [each["ContinuationSequenceNumber"] for each in (first, second, third)] == [
        numbers[249],
        numbers[499],
        numbers[599],
    ]
    assert (data(pushed), pushed["ContinuationSequenceNumber"]) == (["pushed"], more[0])
    assert "ChildShards" not in pushed


def test_subscription_continues_after_a_continuation_sequence_number(kinesis: Any, name: str, consumer: str) -> None:
    subscription = subscribe(kinesis, consumer)
    empty = next(events(subscription))
    subscription.close()
    put(kinesis, name, "1", "2")

    def renew() -> Any:
        start = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": empty["ContinuationSequenceNumber"]}
        try:
            return subscribe(kinesis, consumer, start=start)
        except kinesis.exceptions.ResourceInUseException:
            return None

    renewed = wait_for(renew, what="the renewal")
    assert data(next(events(renewed))) == ["1", "2"]
    renewed.close()


@pytest.mark.parametrize("split_first", [True, False])
def test_subscription_of_a_split_shard_ends_with_its_children(
    kinesis: Any, name: str, consumer: str, split_first: bool
) -> None:
    put(kinesis, name, *map(str, range(300)))

    def split() -> None:
        kinesis.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey=str(2**126))

    if split_first:
        split()
    subscription = subscribe(kinesis, consumer)
    seen = [next(events(subscription))]
    if not split_first:
        split()
    put(kinesis, name, "of the child")
    seen += events(subscription)

    assert [each for event in seen for each in data(event)] == [str(number) for number in range(300)]
    assert [child["ShardId"] for child in seen[-1]["ChildShards"]] == [CHILD, OTHER_CHILD]
    assert [child["ParentShards"] for child in seen[-1]["ChildShards"]] == [[FIRST], [FIRST]]
    assert "ContinuationSequenceNumber" not in seen[-1]
    assert not any("ChildShards" in event for event in seen[:-1])


def test_subscriptions_of_merged_shards_end_with_the_same_child(kinesis: Any, name: str, consumer: str) -> None:
    put(kinesis, name, "left")
    put(kinesis, name, "right", key=2**128 - 1)
    kinesis.merge_shards(StreamName=name, ShardToMerge=FIRST, AdjacentShardToMerge=SECOND)

    for shard, record in ((FIRST, "left"), (SECOND, "right")):
        (last,) = events(subscribe(kinesis, consumer, shard))
        assert data(last) == [record]
        assert [(child["ShardId"], child["ParentShards"]) for child in last["ChildShards"]] == [
            (CHILD, [FIRST, SECOND])
        ]


def test_second_subscription_within_five_seconds_is_refused(kinesis: Any, consumer: str) -> None:
    subscription = subscribe(kinesis, consumer)
    next(events(subscription))

    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        subscribe(kinesis, consumer)
    other = subscribe(kinesis, consumer, SECOND)
    assert next(events(other))["Records"] == []
    subscription.close()
    other.close()


def test_later_subscription_takes_over_and_a_deregistered_consumer_is_cut_off(kinesis: Any, consumer: str) -> None:
    first = subscribe(kinesis, consumer)
    next(events(first))

    def subscribed() -> Any:
        try:
            return subscribe(kinesis, consumer)
        except kinesis.exceptions.ResourceInUseException:
            return None

    second = wait_for(subscribed, what="the end of the five seconds")
    next(events(second))
    with pytest.raises(ClientError, match="ResourceInUseException"):
        list(events(first))

    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        list(events(second))


def test_sequence_number_of_an_earlier_stream_of_the_name_is_refused(kinesis: Any, name: str) -> None:
    kinesis.create_stream(StreamName=name, ShardCount=1)
    (number,) = put(kinesis, name, "of the first")
    kinesis.delete_stream(StreamName=name)
    kinesis.create_stream(StreamName=name, ShardCount=1)

    after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="did not come from this stream"):
        kinesis.get_shard_iterator(StreamName=name, ShardId=FIRST, **after)
    consumer = kinesis.register_stream_consumer(StreamARN=stream_arn(name), ConsumerName="reader")["Consumer"]
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="did not come from this stream"):
        subscribe(kinesis, consumer["ConsumerARN"], start={"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number})


# Stacks


def template(name: str, *consumers: str) -> str:
    resources: dict[str, Any] = {
        "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name, "ShardCount": 1}}
    }
    for each in consumers:
        resources["Consumer"] = {
            "Type": "AWS::Kinesis::StreamConsumer",
            "Properties": {"ConsumerName": each, "StreamARN": {"Fn::GetAtt": ["Stream", "Arn"]}},
        }
    outputs = {"Ref": {"Value": {"Ref": "Consumer"}}, "Arn": {"Value": {"Fn::GetAtt": ["Consumer", "ConsumerARN"]}}}
    return json.dumps({"Resources": resources, "Outputs": outputs if consumers else {}})


def registered(kinesis: Any, name: str) -> dict[str, str]:
    listed = kinesis.list_stream_consumers(StreamARN=stream_arn(name))["Consumers"]
    return {each["ConsumerName"]: each["ConsumerARN"] for each in listed}


def test_stack_registers_replaces_and_deregisters_a_consumer(cloud: Cloud, kinesis: Any, name: str) -> None:
    stacks = cloud.client("cloudformation")

    def outputs() -> dict[str, str]:
        (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}

    def update(body: str) -> None:
        stacks.update_stack(StackName=name, TemplateBody=body)
        stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)

    stacks.create_stack(StackName=name, TemplateBody=template(name, "one"))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    found = registered(kinesis, name)
    assert list(found) == ["one"]
    assert outputs() == {"Ref": found["one"], "Arn": found["one"]}

    update(template(name, "two"))
    found = registered(kinesis, name)
    assert list(found) == ["two"]
    assert outputs()["Ref"] == found["two"]

    update(template(name))
    assert registered(kinesis, name) == {}


def test_consumer_without_a_stream_fails_the_stack(cloud: Cloud, name: str) -> None:
    stacks = cloud.client("cloudformation")
    properties = {"ConsumerName": "reader", "StreamARN": stream_arn("nowhere")}
    resources = {"Consumer": {"Type": "AWS::Kinesis::StreamConsumer", "Properties": properties}}

    stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))

    def reasons() -> list[str]:
        found = stacks.describe_stack_events(StackName=name)["StackEvents"]
        return [each.get("ResourceStatusReason", "") for each in found if each["ResourceStatus"] == "CREATE_FAILED"]

    assert any("nowhere not found" in each for each in wait_for(reasons, what="the failure"))

"""Streams that can be split and merged: no record of a parent is lost.

Restores: a parent is closed, stays readable to its end, which names its children, and expires; a closed shard can't be
split again; ListShards continues by its token alone; a sequence number of another stream, such as an earlier one of the
same name, is refused. The emulator's own handlers are wrapped; the changes of shards are in
:mod:`localcloud.emulator.shards`.

Source: Amazon Kinesis Data Streams Developer Guide, "After resharding"; API reference, GetRecords, GetShardIterator,
ListShards, SplitShard, MergeShards and DescribeStreamSummary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import kinesis

from localcloud.emulator.shards import (
    DescribedShard,
    Shard,
    Stream,
    children,
    close_parents,
    forget_expired,
    is_open,
    open_shards,
    shard_for,
    why_foreign,
)

Request = Mapping[str, Any]
Answer = tuple[int, dict[str, str], Any]
Handler = Callable[[Request], Answer]

_OK = 200


def install() -> None:
    """Replace the emulator's handlers."""
    kinesis._route_to_shard = shard_for
    kinesis._shard_out = _with_end(kinesis._shard_out)
    kinesis._expire_records = _with_shards(kinesis._expire_records)
    kinesis._split_shard = _keeping_parents(kinesis._split_shard, "ShardToSplit")
    kinesis._merge_shards = _keeping_parents(kinesis._merge_shards, "ShardToMerge", "AdjacentShardToMerge")
    kinesis._get_shard_iterator = _from_this_stream(kinesis._get_shard_iterator)
    kinesis._get_records = _ending_with_the_shard(kinesis._get_records)
    kinesis._list_shards = _continuing_by_token(kinesis._list_shards)
    kinesis._describe_stream_summary = _counting_open_shards(kinesis._describe_stream_summary)


def _with_end(describe: Callable[[str, Shard], DescribedShard]) -> Callable[[str, Shard], DescribedShard]:
    def call(name: str, shard: Shard) -> DescribedShard:
        described = describe(name, shard)
        if not is_open(shard):
            described["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]
        return described

    return call


def _with_shards(expire_records: Callable[[Stream], None]) -> Callable[[Stream], None]:
    def call(stream: Stream) -> None:
        expire_records(stream)
        forget_expired(stream, time.time())

    return call


def _keeping_parents(reshard: Handler, *members: str) -> Handler:
    def call(data: Request) -> Answer:
        _, stream = kinesis._resolve_stream(data)
        if stream is None:
            return reshard(data)
        for name in (data.get(member) for member in members):
            if name in stream["shards"] and name not in open_shards(stream):
                return _refusal(
                    "InvalidArgumentException",
                    f"Shard {name} in stream {stream['StreamName']} has already been merged or split, and thus is not "
                    f"eligible for merging or splitting.",
                )
        before, ending_sequence_number = dict(stream["shards"]), kinesis._next_sequence_number()
        answer = reshard(data)
        if answer[0] == _OK:
            close_parents(stream, before, ending_sequence_number, time.time())
        return answer

    return call


def _from_this_stream(get_shard_iterator: Handler) -> Handler:
    def call(data: Request) -> Answer:
        _, stream = kinesis._resolve_stream(data)
        why = stream and why_foreign(data.get("StartingSequenceNumber"), data.get("ShardId", ""), stream)
        return _refusal("InvalidArgumentException", why) if why else get_shard_iterator(data)

    return call


def _ending_with_the_shard(get_records: Handler) -> Handler:
    def call(data: Request) -> Answer:
        answer = get_records(data)
        if answer[0] != _OK:
            return answer
        found = json.loads(answer[2])
        state = kinesis._shard_iterators[found["NextShardIterator"]]
        stream = kinesis._streams[state["stream"]]
        shard = stream["shards"][state["shard_id"]]
        if is_open(shard) or state["position"] < len(shard["records"]):
            return answer
        del kinesis._shard_iterators[found.pop("NextShardIterator")]
        found["ChildShards"] = children(stream, state["shard_id"], kinesis._shard_out)
        made: Answer = kinesis.json_response(found)
        return made

    return call


def _continuing_by_token(list_shards: Handler) -> Handler:
    """Put the stream's name into the token, as on AWS a request with a token may not name the stream."""

    def call(data: Request) -> Answer:
        named, _, token = data.get("NextToken", "").partition(":")
        if named and (data.get("StreamName") or data.get("StreamARN")):
            return _refusal("InvalidArgumentException", "NextToken and StreamName cannot be provided together.")
        request = {**data, "StreamName": named, "NextToken": token} if named else data
        name, stream = kinesis._resolve_stream(request)
        if stream is not None:
            forget_expired(stream, time.time())
        answer = list_shards(request)
        if answer[0] != _OK:
            return answer
        listed = json.loads(answer[2])
        if "NextToken" in listed:
            listed["NextToken"] = f"{name}:{listed['NextToken']}"
        made: Answer = kinesis.json_response(listed)
        return made

    return call


def _counting_open_shards(describe: Handler) -> Handler:
    def call(data: Request) -> Answer:
        answer = describe(data)
        _, stream = kinesis._resolve_stream(data)
        if stream is None:
            return answer
        described = json.loads(answer[2])
        described["StreamDescriptionSummary"]["OpenShardCount"] = len(open_shards(stream))
        made: Answer = kinesis.json_response(described)
        return made

    return call


def _refusal(code: str, message: str) -> Answer:
    made: Answer = kinesis.error_response_json(code, message, 400)
    return made

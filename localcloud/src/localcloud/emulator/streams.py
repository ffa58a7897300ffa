"""Streams that can be split and merged: no record of a parent is lost.

Restores: a parent is closed, stays readable to its end, which names its children, and expires; a shard that is closed
can't be split again; ListShards goes on by its token alone. It wraps the emulator's own handlers; see
:mod:`localcloud.emulator.shards` for what becomes of the shards.

Source: Amazon Kinesis Data Streams Developer Guide, "After resharding"; API reference, GetRecords, ListShards,
SplitShard, MergeShards and DescribeStreamSummary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import kinesis

from localcloud.emulator.shards import (
    Shard,
    Stream,
    children,
    close_parents,
    forget_expired,
    is_open,
    open_shards,
    shard_for,
)

Request = Mapping[str, Any]
Answer = tuple[int, dict[str, str], Any]
Handler = Callable[[Request], Answer]

_OK = 200


def install() -> None:
    """Put the wrapped handlers where the emulator looks them up."""
    kinesis._route_to_shard = shard_for
    kinesis._shard_out = _with_end(kinesis._shard_out)
    kinesis._expire_records = _with_shards(kinesis._expire_records)
    kinesis._split_shard = _keeping_parents(kinesis._split_shard, "ShardToSplit")
    kinesis._merge_shards = _keeping_parents(kinesis._merge_shards, "ShardToMerge", "AdjacentShardToMerge")
    kinesis._get_records = _ending_with_the_shard(kinesis._get_records)
    kinesis._list_shards = _telling_the_stream(kinesis._list_shards)
    kinesis._describe_stream_summary = _counting_open_shards(kinesis._describe_stream_summary)


def _with_end(describe: Callable[[str, Shard], dict[str, Any]]) -> Callable[[str, Shard], dict[str, Any]]:
    def call(name: str, shard: Shard) -> dict[str, Any]:
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


def _ending_with_the_shard(get_records: Handler) -> Handler:
    def call(data: Request) -> Answer:
        answer = get_records(data)
        if answer[0] != _OK:
            return answer
        told = json.loads(answer[2])
        state = kinesis._shard_iterators[told["NextShardIterator"]]
        stream = kinesis._streams[state["stream"]]
        shard = stream["shards"][state["shard_id"]]
        if is_open(shard) or state["position"] < len(shard["records"]):
            return answer
        del kinesis._shard_iterators[told.pop("NextShardIterator")]
        told["ChildShards"] = children(stream, state["shard_id"], kinesis._shard_out)
        made: Answer = kinesis.json_response(told)
        return made

    return call


def _telling_the_stream(list_shards: Handler) -> Handler:
    """A token alone says how the listing goes on, as at AWS: there it may not come with the stream's name."""

    def call(data: Request) -> Answer:
        named, _, token = data.get("NextToken", "").partition(":")
        if named and (data.get("StreamName") or data.get("StreamARN")):
            return _refusal("InvalidArgumentException", "NextToken and StreamName cannot be provided together.")
        asked = {**data, "StreamName": named, "NextToken": token} if named else data
        name, stream = kinesis._resolve_stream(asked)
        if stream is not None:
            forget_expired(stream, time.time())
        answer = list_shards(asked)
        if answer[0] != _OK:
            return answer
        told = json.loads(answer[2])
        if "NextToken" in told:
            told["NextToken"] = f"{name}:{told['NextToken']}"
        made: Answer = kinesis.json_response(told)
        return made

    return call


def _counting_open_shards(describe: Handler) -> Handler:
    def call(data: Request) -> Answer:
        answer = describe(data)
        _, stream = kinesis._resolve_stream(data)
        if stream is None:
            return answer
        told = json.loads(answer[2])
        told["StreamDescriptionSummary"]["OpenShardCount"] = len(open_shards(stream))
        made: Answer = kinesis.json_response(told)
        return made

    return call


def _refusal(code: str, message: str) -> Answer:
    made: Answer = kinesis.error_response_json(code, message, 400)
    return made

"""Plays the scripts of cases in which a stream is read again after a kill or a pause, or is resharded meanwhile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.waiting import wait_for
from sluice.declaration import Stream
from sluice.lake.layout import MANIFEST
from sluice.lake.store import Lake
from sluice.landing import parts
from sluice.landing.parts import Limits
from sluice.sources.connecting import connect_events
from sluice.sources.stream import read as reading
from sluice.sources.stream.checkpoints import read_checkpoints
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.progress import shards_to_read
from sluice.sources.stream.read import WindowRead, read_window
from sluice.sources.stream.shards import KinesisStream
from sluice.workspace import Workspace
from tests.cases.case import Case
from tests.cases.delivered.declared import SOURCE, pipeline_of
from tests.cases.delivered.scripted_queue import body_of, rows_in_order

_SOURCE = Stream(SOURCE, event_id="id", event_time="at")
_FIRST_SHARD = "shardId-000000000000"


class Killed(BaseException):
    """The process is gone."""


def check(case: Case, request: pytest.FixtureRequest) -> None:
    kinesis, name = request.getfixturevalue("cloud").client("kinesis"), request.getfixturevalue("own_name")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    wait_for(lambda: _is_active(kinesis, name), what="the stream")
    stream = KinesisStream(kinesis, name)
    workspace = request.getfixturevalue("workspace")
    workspace = replace(workspace, pipeline=pipeline_of(case.given, _SOURCE, contract="contract:Reading"))
    for each in case.given.get("records_plan", ()):
        _put(stream, each["partition_key"], each["id"])
    actions = case.given["actions"]
    if any("SIGKILL" in action for action in actions):
        _read_killed_after(_number(actions, "read"), stream, workspace, request)
    elif any("Expired" in action for action in actions):
        _read_with_an_expired_iterator(_number(actions, "read"), stream, workspace, request)
    else:
        shards = _reshard(actions, stream, workspace)
        assert shards == case.right["shards_read"]

    _read_all(stream, workspace)

    assert rows_in_order(workspace, _SOURCE) == case.right["rows_in_order"]
    checkpoints = read_checkpoints(workspace.lake, SOURCE).values()
    assert sum(len(each.gaps) for each in checkpoints) == case.right.get("gaps", 0)


def _read_killed_after(most: int, stream: KinesisStream, workspace: Workspace, request: pytest.FixtureRequest) -> None:
    """Read some records; the process dies once their part is written, before the manifest is."""
    request.getfixturevalue("monkeypatch").setattr(parts, "_SMALL_ROWS", 0)
    lake = workspace.lake

    class DyingLake(Lake):
        def _put(self, key: str, body: bytes, condition: Mapping[str, Any]) -> str:
            if key.endswith(MANIFEST):
                raise Killed
            return super()._put(key, body, condition)

    dying = replace(workspace, lake=DyingLake(lake.s3, lake.bucket, lake.pipeline))
    with pytest.raises(Killed):
        _read(stream, dying, _FIRST_SHARD, Limits(messages=most))
    assert any(key.endswith(".parquet") for key, _, _ in lake.objects("toy/raw/"))
    assert read_checkpoints(lake, SOURCE) == {}


def _read_with_an_expired_iterator(
    most: int, stream: KinesisStream, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    """Read in one window; after the first read, the iterator has expired."""
    request.getfixturevalue("monkeypatch").setattr(reading, "MOST_RECORDS", most)
    reads: list[str] = []

    def expire(**_: Any) -> None:
        reads.append("GetRecords")
        if len(reads) == 2:
            raise ClientError({"Error": {"Code": "ExpiredIteratorException", "Message": "too old"}}, "GetRecords")

    stream.kinesis.meta.events.register("before-call.kinesis.GetRecords", expire)
    _read(stream, workspace, _FIRST_SHARD, Limits())
    assert len(reads) > 2


def _reshard(actions: list[str], stream: KinesisStream, workspace: Workspace) -> int:
    """Put records between a split and a merge, then read window by window; return how many shards were read."""
    for action in actions:
        if action.startswith("put"):
            for key, names in re.findall(r"(\w+): ([\w ]+)", action):
                for name in names.split():
                    _put(stream, key, name)
        elif action.startswith("SplitShard"):
            (shard,) = _open_shards(stream)
            stream.kinesis.split_shard(StreamName=stream.name, ShardToSplit=shard, NewStartingHashKey=str(2**127))
        elif action.startswith("MergeShards"):
            one, other = _open_shards(stream)
            stream.kinesis.merge_shards(StreamName=stream.name, ShardToMerge=one, AdjacentShardToMerge=other)
        wait_for(lambda: _is_active(stream.kinesis, stream.name), what="the stream")
    return len(_read_all(stream, workspace))


def _read_all(stream: KinesisStream, workspace: Workspace) -> set[str]:
    """Read window by window until nothing is left, and return the shards that were read."""
    read = set[str]()
    while True:
        windows = {shard: _read(stream, workspace, shard, Limits()) for shard in _readable(stream, workspace)}
        read |= windows.keys()
        if not any(window.messages or window.checkpoint.ended for window in windows.values()):
            return read


def _readable(stream: KinesisStream, workspace: Workspace) -> list[str]:
    return shards_to_read(stream, workspace.lake, _SOURCE)


def _read(stream: KinesisStream, workspace: Workspace, shard: str, limits: Limits) -> WindowRead:
    connector: Any = connect_events(workspace, _SOURCE)
    return read_window(Polling(stream), shard, connector.read, connector.landing, limits)


def _put(stream: KinesisStream, key: str, name: str) -> None:
    stream.kinesis.put_record(StreamName=stream.name, PartitionKey=key, Data=body_of(name).encode())


def _open_shards(stream: KinesisStream) -> list[str]:
    return [shard.id for shard in stream.list_shards() if shard.is_open]


def _is_active(kinesis: Any, name: str) -> bool:
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    return bool(summary["StreamStatus"] == "ACTIVE")


def _number(actions: list[str], word: str) -> int:
    """Return the number in the first action with a word."""
    (found, *_) = [re.search(r"\d+", action) for action in actions if word in action]
    assert found is not None
    return int(found[0])

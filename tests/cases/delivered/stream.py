"""Puts the records of a case on a stream, reads it, closes and conforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from typing_extensions import override

from sluice.sources.connecting import connect_events
from sluice.sources.stream.checkpoints import read_checkpoints
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.progress import shards_to_read
from sluice.sources.stream.read import read_window
from sluice.sources.stream.shards import KinesisStream
from tests.cases.case import Case
from tests.cases.delivered import scripted_stream
from tests.cases.delivered.declared import source_of
from tests.cases.delivered.outcome import Outcome
from tests.cases.delivered.queue import workspace_of

_HASH_KEYS = 2**128


@dataclass(frozen=True)
class DatedStream(KinesisStream):
    """A stream whose records have the sequence numbers of the case, and arrived when it says."""

    described: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @override
    def get(self, iterator: str, most: int) -> Any:
        response = super().get(iterator, most)
        return {**response, "Records": [self._dated(record) for record in response["Records"]]}

    def _dated(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        described = self.described[record["SequenceNumber"]]
        return {
            **record,
            "SequenceNumber": described["sequence_number"],
            "ApproximateArrivalTimestamp": datetime.fromisoformat(described["arrived_at"]),
        }


def check(case: Case, request: pytest.FixtureRequest) -> None:
    if case.given.get("scripted"):
        scripted_stream.check(case, request)
        return
    source = source_of(case.given)
    workspace = workspace_of(case.given, source, request)
    stream = _filled(case, request)
    connector: Any = connect_events(workspace, source)

    for shard in shards_to_read(stream, workspace.lake, source):
        read_window(Polling(stream), shard, connector.read, connector.landing)

    numbers = {
        f"{record['shard']}:{record['sequence_number']}": number
        for number, record in enumerate(case.given["records"], 1)
    }
    outcome = Outcome(workspace, source, numbers)
    outcome.close_and_conform()
    outcome.check(case.right)
    if "checkpoint" in case.right:
        checkpoints = read_checkpoints(workspace.lake, source.name).values()
        assert case.right["checkpoint"] in {each.sequence_number for each in checkpoints}


def _filled(case: Case, request: pytest.FixtureRequest) -> DatedStream:
    """Return a stream with the records, in their order."""
    kinesis, name = request.getfixturevalue("cloud").client("kinesis"), request.getfixturevalue("own_name")
    shards = sorted({record["shard"] for record in case.given["records"]})
    kinesis.create_stream(StreamName=name, ShardCount=len(shards))
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    stream = DatedStream(kinesis, name)
    for record in case.given["records"]:
        sent = kinesis.put_record(
            StreamName=name,
            Data=case.read(record["data_file"]),
            PartitionKey=record["partition_key"],
            ExplicitHashKey=str(shards.index(record["shard"]) * (_HASH_KEYS // len(shards))),
        )
        stream.described[sent["SequenceNumber"]] = record
    return stream

"""SIGKILL at every boundary of reading a stream of real flights, while it is resharded and puts fail in part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from tests.chaos.audit import Counts, Sent, audit
from tests.chaos.conftest import Flights
from tests.chaos.faults import Partial, Rule
from tests.chaos.killing import KILLED, READING, KillAt
from tests.chaos.proxy import Proxy
from tests.chaos.trial import later
from tests.chaos.working import STREAM
from tests.conftest import Cloud
from tests.draining import ALL_LANDED, read_shards, without_events, workspace_of

from localcloud.testing.waiting import wait_for
from sluice.declaration.loading import load_pipeline
from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.sending.lanes import Event, send_events
from sluice.sources.stream.send import StreamSender
from sluice.sources.stream.shards import KinesisStream
from sluice.steps.runner import run_step

pytestmark = pytest.mark.chaos


@dataclass
class StreamTrial:
    """A stream of two shards and a lake of its own."""

    cloud: Cloud
    bucket: str
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kinesis, self.s3 = self.cloud.client("kinesis"), self.cloud.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.kinesis.create_stream(StreamName=self.target, ShardCount=2)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.target, WaiterConfig={"Delay": 1})

    @property
    def target(self) -> str:
        return self.bucket

    @property
    def pipeline(self) -> Pipeline:
        flights = load_pipeline("flights")
        return replace(flights, sources=(STREAM, *without_events(flights)))

    @property
    def lake(self) -> Lake:
        return Lake(self.s3, self.bucket, "flights")

    def send(self, events: list[Event], seed: int) -> None:
        """Send events; some records of a call are refused, and are sent again."""
        first = len(self.sent)
        self.sent += [Sent(event.id, event.group, first + place, event.body) for place, event in enumerate(events)]
        rules = Rule("kinesis:PutRecords *", Partial(0.3, "ProvisionedThroughputExceededException"), rate=0.5)
        with Proxy(self.cloud.endpoint_url, seed, rules) as proxy:
            kinesis = Cloud(proxy.url, proxy.url, self.cloud.environment).client("kinesis")
            send_events(events, StreamSender(KinesisStream(kinesis, self.target)))
            assert proxy.injected

    def split(self) -> None:
        open_shard = next(
            shard
            for shard in self.kinesis.list_shards(StreamName=self.target)["Shards"]
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        )
        ends = open_shard["HashKeyRange"]
        middle = (int(ends["StartingHashKey"]) + int(ends["EndingHashKey"])) // 2
        self.kinesis.split_shard(
            StreamName=self.target, ShardToSplit=open_shard["ShardId"], NewStartingHashKey=str(middle)
        )

    def read(self) -> int:
        """Read one window of each shard that may be read; return how many records were read and shards ended."""
        reads = read_shards(KinesisStream(self.kinesis, self.target), self.lake, STREAM)
        return sum(each.messages + each.checkpoint.ended for each in reads)

    def finish(self) -> Counts:
        wait_for(lambda: self.read() == 0, what="the end of the stream")
        lake = replace(self.lake, now=later)
        run_step(workspace_of(lake, self.pipeline), "conform", close_source(lake, self.pipeline, STREAM, ALL_LANDED))
        return audit(self.s3, self.bucket, "flights", STREAM.name, self.sent)


@pytest.fixture
def stream(cloud: Cloud, own_name: str) -> StreamTrial:
    return StreamTrial(cloud, own_name)


def test_reader_killed_at_every_boundary_loses_nothing(stream: StreamTrial, flights: Flights, kill: KillAt) -> None:
    """A shard is split between the kills, so that some parents are not read to their end."""
    events = flights(1600)
    stream.send(events[:800], seed=0)
    for place, moment in enumerate(READING):
        assert kill(stream, moment, 1 + place // 2, work="read") == KILLED, moment
        if place == 3:
            stream.split()
            stream.send(events[800:], seed=1)

    assert stream.finish().conformed == 1600

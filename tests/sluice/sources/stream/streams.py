"""A stream of readings of a test's own, and what it becomes in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from tests.chaos import audit
from tests.draining import reader_of_kinesis
from tests.sluice.toy import DROPS, reading, toy

from sluice.declaration import Conform, Pipeline, Stream
from sluice.declaration.sources import Close
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.landing.parts import Landing, Limits
from sluice.sending.lanes import Event
from sluice.sources.stream.fan_out import FanOut
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.progress import evidence_of_stream, shards_to_read
from sluice.sources.stream.read import WindowRead, read_window
from sluice.sources.stream.send import StreamSender
from sluice.sources.stream.shards import KinesisStream, ShardReader
from sluice.steps.runner import run_step

CLICKS = Stream("clicks", event_id="id", event_time="at")
PIPELINE = replace(
    toy(),
    sources=(CLICKS, DROPS),
    steps=(Conform("conform", source="clicks", contract="contract:Reading"), *toy().steps[1:]),
)
FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
WHOLE = 2**128  # hash keys
EVERYTHING = Limits()
_A_CALL = 20  # events: some of a batch that is read have another time of arrival than the others
FIRST, SECOND, THIRD, FOURTH = (f"shardId-{number:012d}" for number in range(4))


@dataclass
class Trial:
    """A stream, a lake, and what was sent so far."""

    kinesis: Any
    stream: str
    lake: Lake
    sent: list[audit.Sent] = field(default_factory=list)
    pipeline: Pipeline = PIPELINE
    consumer: str | None = None

    @property
    def at_aws(self) -> KinesisStream:
        return KinesisStream(self.kinesis, self.stream)

    @property
    def reader(self) -> ShardReader:
        return FanOut(self.at_aws, self.consumer) if self.consumer else Polling(self.at_aws)

    def by_fan_out(self) -> Trial:
        """Return the same stream and lake, read by a consumer that is registered now."""
        arn = self.kinesis.describe_stream_summary(StreamName=self.stream)["StreamDescriptionSummary"]["StreamARN"]
        made = self.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="sluice")
        return replace(self, consumer=made["Consumer"]["ConsumerARN"])

    def events(self, count: int, groups: int = 7, days: int = 2) -> list[Event]:
        """Return the next events: groups in turn, over some days."""
        made = []
        for number in range(len(self.sent), len(self.sent) + count):
            at = FIRST_DAY + timedelta(days=number % days, seconds=number)
            name, group = f"event-{number:05d}", f"group-{number % groups}"
            made.append(Event(name, group, at, reading(name, at, number)))
            self.sent.append(audit.Sent(name, group, number, made[-1].body))
        return made

    def send(self, count: int, **more: Any) -> None:
        """Put the next events. The emulator keeps the order within a call, which Kinesis does not promise."""
        events, sender = self.events(count, **more), StreamSender(self.at_aws)
        for first in range(0, count, _A_CALL):
            assert not sender.send(events[first : first + _A_CALL])

    def readable(self) -> list[str]:
        return shards_to_read(self.at_aws, self.lake, CLICKS)

    def read(self, shard: str, limits: Limits = EVERYTHING, **more: Any) -> WindowRead:
        read, landing = reader_of_kinesis(CLICKS), Landing(self.lake, "clicks")
        return read_window(self.reader, shard, read, landing, limits, **more)

    def read_all(self) -> list[WindowRead]:
        """Read window by window until nothing is left in any shard; children become readable after their parents."""
        reads: list[WindowRead] = []
        for _ in range(10):
            round_ = [self.read(shard) for shard in self.readable()]
            reads += round_
            if not sum(each.messages for each in round_) and not any(each.checkpoint.ended for each in round_):
                return reads
        raise AssertionError("the stream does not run dry")

    def close(self, by: Close = "evidence") -> str:
        evidence = evidence_of_stream(self.at_aws, self.lake, CLICKS)
        return close_source(self.lake, PIPELINE, replace(CLICKS, close=by), evidence)

    def conform(self) -> None:
        run_step(self, "conform", self.close())

    def audit(self) -> audit.Counts:
        """Fail unless every event counts once, in order; the lake must be closed and conformed."""
        return audit.audit(self.lake.s3, self.lake.bucket, "toy", "clicks", self.sent)

    def reshard_by_split(self, shard: str, at: int) -> None:
        self.kinesis.split_shard(StreamName=self.stream, ShardToSplit=shard, NewStartingHashKey=str(at))

    def content(self, prefix: str) -> dict[str, str]:
        """Return the ETag of each object, by key."""
        return {key: etag for key, _, etag in self.lake.objects(f"toy/{prefix}")}


class Died(BaseException):
    """A death that nothing in the library catches."""


def dying(client: Any, event: str, nth: int) -> None:
    """Raise ``Died`` in place of the client's nth such call."""
    calls = 0

    def die(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Died

    client.meta.events.register(event, die)


def refusing(client: Any, operation: str, code: str, times: int) -> list[str]:
    """Answer the first calls by an error; return the list of the errors so far."""
    seen: list[str] = []

    def refuse(**_: Any) -> None:
        if len(seen) < times:
            seen.append(code)
            raise ClientError({"Error": {"Code": code, "Message": "made by the test"}}, operation)

    client.meta.events.register(f"before-call.kinesis.{operation}", refuse)
    return seen


def stream_waits(trial: Trial, shard: str) -> bool:
    iterator = trial.kinesis.get_shard_iterator(
        StreamName=trial.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    return bool(trial.kinesis.get_records(ShardIterator=iterator, Limit=1)["Records"])


def parts(content: Mapping[str, str]) -> dict[str, str]:
    """Return the parts among the objects, as ETags by key."""
    return {key: etag for key, etag in content.items() if key.endswith(".parquet")}

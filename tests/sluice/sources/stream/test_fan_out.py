"""A stream that is pushed lands as one that is polled, whatever ends a subscription."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from zlib import crc32

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from tests.conftest import Cloud
from tests.sluice.sources.stream.dying_reader import BOUNDARIES
from tests.sluice.sources.stream.streams import (
    CLICKS,
    FIRST,
    FOURTH,
    SECOND,
    THIRD,
    WHOLE,
    Died,
    Trial,
    dying,
    parts,
    refusing,
    stream_waits,
)
from urllib3.exceptions import ProtocolError

from sluice.aws.clients import Aws
from sluice.errors import MissingResource
from sluice.lake.look import Look
from sluice.lake.store import Lake
from sluice.landing.parts import Limits
from sluice.sources.stream.checkpoints import Checkpoint, read_checkpoints
from sluice.sources.stream.fan_out import FanOut, NotSubscribed
from sluice.sources.stream.progress import stream_backlog
from sluice.sources.stream.shards import KinesisStream, Place

IN_USE = "ResourceInUseException"


@pytest.fixture
def pushed(trial: Trial) -> Trial:
    return trial.by_fan_out()


class NoPause(Flag):
    """Is never set, and waits for nothing."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def subscribe(trial: Trial, shard: str) -> Any:
    start = {"Type": "TRIM_HORIZON"}
    made = trial.kinesis.subscribe_to_shard(ConsumerARN=trial.consumer, ShardId=shard, StartingPosition=start)
    return made["EventStream"]


def all_in(trial: Trial) -> str:
    """Return the one shard in which something waits."""
    (shard,) = [name for name in trial.readable() if stream_waits(trial, name)]
    return shard


def without_times(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint.model_copy(update={"read_until": None})


# The same as polling


def test_both_ways_land_the_same_rows_in_the_same_order_with_the_same_checkpoints_over_a_split_and_a_merge(
    pushed: Trial, cloud: Cloud, own_name: str
) -> None:
    """Each step is read both ways before the stream changes; the lakes are compared, and with what was sent."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=f"{own_name}-polled")
    polled = replace(pushed, consumer=None, lake=Lake(s3, f"{own_name}-polled", "toy"))

    def both(read: Callable[[Trial], Any]) -> None:
        found = [read(each) for each in (pushed, polled)]
        assert found[0] == found[1]

    def checkpoints(trial: Trial) -> dict[str, Checkpoint]:
        return {name: without_times(each) for name, each in read_checkpoints(trial.lake, "clicks").items()}

    pushed.send(700)
    both(lambda each: each.read(FIRST, Limits(messages=20)).messages)
    pushed.reshard_by_split(FIRST, 2**126)  # → THIRD, FOURTH
    pushed.send(200)
    both(lambda each: each.readable())
    both(lambda each: [read.messages for read in each.read_all()])
    both(checkpoints)
    pushed.kinesis.merge_shards(StreamName=pushed.stream, ShardToMerge=FOURTH, AdjacentShardToMerge=SECOND)
    pushed.send(200)
    pushed.reshard_by_split("shardId-000000000004", WHOLE * 3 // 4)
    pushed.send(100)
    both(lambda each: [read.messages for read in each.read_all()])

    both(checkpoints)
    assert pushed.readable() == [THIRD, "shardId-000000000005", "shardId-000000000006"]
    for each in (pushed, polled):
        each.conform()
        counts = each.audit()
        assert (counts.raw, counts.conformed) == (1200, 1200)
    both(lambda each: parts(each.content("conform/")))


@pytest.mark.slow
def test_readers_take_turns_without_loss_or_repeat(pushed: Trial) -> None:
    polled = replace(pushed, consumer=None)
    pushed.send(900, groups=1)
    shard, read = all_in(pushed), 0

    for reader, most in ((polled, 70), (pushed, 300), (polled, 10), (pushed, 111), (polled, 1)):
        assert reader.read(shard, Limits(messages=most)).messages == most
        read += most
    pushed.send(50, groups=1)
    pushed.reshard_by_split(shard, 2**126 if shard == FIRST else WHOLE * 3 // 4)
    assert polled.read(shard, Limits(messages=200)).messages == 200
    last = pushed.read(shard)

    assert (last.messages, last.checkpoint.ended) == (950 - read - 200, True)
    pushed.read_all()
    pushed.conform()
    assert pushed.audit().raw == 950  # nothing landed twice


def test_nothing_that_is_unread_arrived_before_the_moment_of_a_batch(pushed: Trial) -> None:
    """An event may have waited in the connection, so the moment at which it is taken says nothing."""
    pushed.send(600, groups=1)
    shard, long_ago = all_in(pushed), datetime(2013, 1, 1, tzinfo=UTC)
    batches = []

    with closing(pushed.reader.batches(shard, Place(), lambda: long_ago, Flag(), lambda: 200)) as reading:
        for batch in reading:
            batches.append(batch)
            if batch.at_tip:
                break

    arrivals = [[each["ApproximateArrivalTimestamp"] for each in batch.records] for batch in batches]
    assert [len(each) for each in arrivals] == [200, 50, 200, 50, 100]
    assert [batch.at_tip for batch in batches] == [False, False, False, False, True]
    for place, batch in enumerate(batches):
        assert all(batch.read_until <= unread for later in arrivals[place + 1 :] for unread in later)
    assert batches[-1].read_until == arrivals[-1][-1]


def test_shard_without_records_is_read_until_the_subscription_began(pushed: Trial) -> None:
    before = datetime.now(UTC)
    checkpoint = pushed.read(FIRST).checkpoint

    assert (checkpoint.at_tip, checkpoint.sequence_number) == (True, None)
    assert checkpoint.read_until is not None
    assert before <= checkpoint.read_until <= datetime.now(UTC)


def test_stopped_read_flushes_what_it_holds(pushed: Trial) -> None:
    pushed.send(600, groups=1)
    stop = Flag()
    cutting(pushed, after=99, on_event=stop.set)

    read = pushed.read(all_in(pushed), stop=stop)

    assert read.messages == 250
    assert sum(manifest.rows_out for manifest in Look(pushed.lake).manifests("raw/clicks")) == 250


def test_backlog_is_peeked_at_without_a_subscription(pushed: Trial) -> None:
    pushed.send(50)
    refusing(pushed.kinesis, "SubscribeToShard", IN_USE, 1)

    assert stream_backlog(pushed.at_aws, pushed.lake, CLICKS) == 2


# The end of a subscription


class Cut:
    """A subscription that ends after some events, or breaks."""

    def __init__(self, events: Any, after: int, error: Exception | None, on_event: Callable[[], None]) -> None:
        self.events, self.after, self.error, self.on_event = events, after, error, on_event

    def __iter__(self) -> Iterator[Any]:
        for number, event in enumerate(self.events, 1):
            if number > self.after:
                break
            self.on_event()
            yield event
        if self.error:
            raise self.error

    def close(self) -> None:
        self.events.close()


def cutting(
    trial: Trial, *, after: int, error: Exception | None = None, on_event: Callable[[], None] = lambda: None
) -> list[Any]:
    """Cut every subscription of a client after some events; return where each began, as it begins.

    A call that is refused begins none: Kinesis may still hold a subscription whose connection has just been closed.
    """
    begun: list[Any] = []

    def cut(parsed: dict[str, Any], **_: Any) -> None:
        if "EventStream" in parsed:
            parsed["EventStream"] = Cut(parsed["EventStream"], after, error, on_event)
        else:
            begun.pop()

    def note(params: Any, **_: Any) -> None:
        begun.append(params["StartingPosition"])

    trial.kinesis.meta.events.register("after-call.kinesis.SubscribeToShard", cut)
    trial.kinesis.meta.events.register("provide-client-params.kinesis.SubscribeToShard", note)
    return begun


def in_stream(code: str) -> EventStreamError:
    return EventStreamError({"Error": {"Code": code, "Message": "made by the test"}}, "SubscribeToShard")


@pytest.mark.parametrize(
    "error",
    [None, ProtocolError("cut"), in_stream("InternalFailureException"), in_stream("KMSThrottlingException")],
    ids=["ended", "cut", "failed", "throttled"],
)
def test_subscription_that_ends_is_renewed_after_the_last_continuation_number(
    pushed: Trial, error: Exception | None
) -> None:
    pushed.send(1000, groups=1)
    shard = all_in(pushed)
    begun = cutting(pushed, after=1, error=error)

    read = pushed.read(shard, stop=NoPause())

    assert (read.messages, read.checkpoint.at_tip) == (1000, True)
    assert begun[0] == {"Type": "TRIM_HORIZON"}
    assert [each["Type"] for each in begun[1:]] == ["AFTER_SEQUENCE_NUMBER"] * 3
    numbers = [int(each["SequenceNumber"]) for each in begun[1:]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < int(str(read.checkpoint.sequence_number))
    pushed.read_all()
    pushed.conform()
    assert pushed.audit().raw == 1000


def test_other_failure_of_a_subscription_is_raised(pushed: Trial) -> None:
    cutting(pushed, after=0, error=in_stream("KMSAccessDeniedException"))

    with pytest.raises(ClientError, match="KMSAccessDeniedException"):
        pushed.read(FIRST)


def test_subscriptions_that_bring_nothing_end_with_an_error(pushed: Trial) -> None:
    begun = cutting(pushed, after=0)

    with pytest.raises(
        NotSubscribed,
        match=rf"^stream {pushed.stream}, shard {FIRST}: 4 subscriptions of consumer {pushed.consumer} in a row "
        r"brought nothing \(the last: no event\); check the network to Kinesis, and run the ingest again$",
    ):
        pushed.read(FIRST, stop=NoPause())
    assert len(begun) == 4


def event_stream_message(event_type: str) -> bytes:
    """Return a message of an event stream (Amazon's "vnd.amazon.eventstream") without content."""
    headers = b""
    for name, value in ((b":message-type", b"event"), (b":event-type", event_type.encode())):
        headers += bytes([len(name)]) + name + b"\x07" + len(value).to_bytes(2, "big") + value
    prelude = (12 + len(headers) + 2 + 4).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = prelude + crc32(prelude).to_bytes(4, "big") + headers + b"{}"
    return message + crc32(message).to_bytes(4, "big")


@pytest.fixture
def silent() -> Iterator[Callable[[bytes], Any]]:
    """Makes a client of a service that accepts subscriptions, begins its answer and then sends nothing."""
    over, servers = Flag(), []

    def client(beginning: bytes) -> Any:
        class Silent(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                describes = self.headers["X-Amz-Target"].endswith("DescribeStreamConsumer")
                answer = b'{"ConsumerDescription": {"ConsumerARN": "arn:consumer"}}' if describes else beginning
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer) if describes else 10**6))
                self.end_headers()
                self.wfile.write(answer)
                self.wfile.flush()
                if not describes:
                    over.wait(60)

            def log_message(self, *_: Any) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Silent))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return boto3.client(
            "kinesis",
            endpoint_url=f"http://127.0.0.1:{servers[-1].server_port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(read_timeout=0.3, retries={"total_max_attempts": 1}),
        )

    yield client
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "beginning",
    [pytest.param(b"", id="after the headers"), pytest.param(event_stream_message("initial-response"), id="later")],
)
def test_subscription_that_sends_nothing_times_out(silent: Callable[[bytes], Any], beginning: bytes) -> None:
    reader = FanOut(KinesisStream(silent(beginning), "s"), "arn:aws:kinesis:r:a:stream/s/consumer/sluice:1")

    with pytest.raises(NotSubscribed, match=r"4 subscriptions .* brought nothing \(the last: .*Read timed out"):
        next(reader.batches(FIRST, Place(), lambda: datetime.now(UTC), NoPause()))


def test_client_waits_longer_for_an_event_than_kinesis_takes(aws: Aws) -> None:
    assert 5 < aws.client("kinesis").meta.config.read_timeout <= 30


# Another reader


def test_refused_subscription_is_retried_until_it_may_take_over(pushed: Trial) -> None:
    pushed.send(50)
    rival = subscribe(pushed, FIRST)
    next(iter(rival))

    reads = [pushed.read(shard) for shard in (FIRST, SECOND)]

    assert sum(read.messages for read in reads) == 50
    with pytest.raises(ClientError, match=IN_USE):
        list(rival)


def test_refusals_are_retried_up_to_a_limit(pushed: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    pushed.send(50)
    seen = refusing(pushed.kinesis, "SubscribeToShard", IN_USE, 11)
    assert sum(pushed.read(shard).messages for shard in (FIRST, SECOND)) == 50
    assert len(seen) == 11

    seen = refusing(pushed.kinesis, "SubscribeToShard", IN_USE, 100)
    where = f"stream {pushed.stream}, shard {FIRST}"
    with pytest.raises(NotSubscribed, match=rf"^{where}: Kinesis refuses consumer [^\n]*run the ingest again$"):
        pushed.read(FIRST)
    assert len(seen) == 12


def test_reader_whose_subscription_is_taken_over_keeps_what_it_has_read(
    cloud: Cloud, pushed: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    pushed.send(600, groups=1)
    shard = all_in(pushed)
    other = replace(pushed, kinesis=cloud.client("kinesis"))
    cutting(pushed, after=2, error=in_stream(IN_USE))

    read = pushed.read(shard)

    assert (read.messages, read.checkpoint.at_tip) == (500, False)
    assert f"stream {pushed.stream}, shard {shard}: another reader has subscribed as consumer" in caplog.text
    assert sum(each.messages for each in other.read_all()) == 100
    other.conform()
    assert other.audit().raw == 600


def test_consumer_that_is_not_registered_any_more_is_named(pushed: Trial) -> None:
    pushed.kinesis.deregister_stream_consumer(ConsumerARN=pushed.consumer)

    with pytest.raises(
        MissingResource,
        match=rf"^stream {pushed.stream} has no consumer sluice, .*; run `aws kinesis register-stream-consumer "
        rf"--stream-arn arn:aws:kinesis:us-east-1:000000000000:stream/{pushed.stream} --consumer-name sluice`$",
    ):
        pushed.read(FIRST)


def test_consumer_that_was_registered_again_is_found_by_its_name(pushed: Trial) -> None:
    pushed.send(50)
    arn = str(pushed.consumer)
    earlier = replace(pushed, consumer=f"{arn.rpartition(':')[0]}:1234567890")

    assert sum(earlier.read(shard).messages for shard in (FIRST, SECOND)) == 50


def test_shard_that_is_trimmed_during_a_subscription_is_named(pushed: Trial) -> None:
    cutting(pushed, after=0, error=in_stream("ResourceNotFoundException"))

    with pytest.raises(MissingResource, match=f"stream {pushed.stream} or its shard is gone"):
        pushed.read(FIRST)


# Kills


@pytest.mark.usefixtures("no_wire")
@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        ("after-call.kinesis.SubscribeToShard", 1),  # nothing is landed yet
        ("before-call.s3.GetObject", 1),  # of a manifest: a part is put and not recorded
        ("before-call.s3.GetObject", 3),  # of the checkpoint: two parts are recorded
        ("before-call.kinesis.SubscribeToShard", 2),  # the first shard is read, the second is not
    ],
)
def test_abandoned_read_is_repeated(cloud: Cloud, pushed: Trial, moment: str, nth: int) -> None:
    pushed.send(100)
    mortal = replace(pushed, kinesis=cloud.client("kinesis"), lake=Lake(cloud.client("s3"), pushed.lake.bucket, "toy"))
    dying(mortal.lake.s3 if ".s3." in moment else mortal.kinesis, moment, nth)
    with pytest.raises(Died):
        mortal.read_all()

    pushed.read_all()

    pushed.conform()
    assert pushed.audit().conformed == 100


@pytest.mark.parametrize("resumed_by", ["fan-out", "polling"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_reader_is_resumed_either_way(cloud: Cloud, pushed: Trial, boundary: str, resumed_by: str) -> None:
    pushed.send(700, groups=1)
    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.sluice.sources.stream.dying_reader",
            *(boundary, pushed.lake.bucket, pushed.stream, str(pushed.consumer)),
        ],
        env={**os.environ, **cloud.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    (pushed if resumed_by == "fan-out" else replace(pushed, consumer=None)).read_all()

    pushed.conform()
    assert pushed.audit().conformed == 700

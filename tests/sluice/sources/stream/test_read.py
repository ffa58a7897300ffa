"""A stream lands whole and in order, through reshards, kills, throttles and retention; what is lost is reported."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.sources.stream.streams import (
    CLICKS,
    FIRST,
    FIRST_DAY,
    FOURTH,
    SECOND,
    THIRD,
    WHOLE,
    Died,
    Trial,
    dying,
    stream_waits,
)

from sluice.errors import MissingResource
from sluice.lake.look import Look
from sluice.lake.partitions import format_ranges
from sluice.lake.store import Lake
from sluice.landing.agreement import FLUSHES
from sluice.landing.parts import Flush, Limits
from sluice.sources.stream import progress as stream_progress
from sluice.sources.stream import read as landing
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, read_checkpoints
from sluice.sources.stream.progress import note_lost_shards, shards_to_read, stream_backlog
from sluice.sources.stream.shards import KinesisStream, Shard

# Windows


def test_window_lands_what_waits_and_moves_the_checkpoint_behind_it(trial: Trial) -> None:
    trial.send(400)
    before = datetime.now(UTC)

    reads = {shard: trial.read(shard) for shard in trial.readable()}

    assert list(reads) == [FIRST, SECOND]
    assert sum(read.messages for read in reads.values()) == 400
    assert sum(read.bytes for read in reads.values()) == sum(len(event.body) for event in trial.sent)
    assert format_ranges(part for read in reads.values() for part in read.partitions) == "dt=2013-01-01..dt=2013-01-02"
    for shard, read in reads.items():
        assert read_checkpoints(trial.lake, "clicks")[shard] == read.checkpoint
        assert (read.checkpoint.at_tip, read.checkpoint.ended, read.gap) == (True, False, None)
        assert read.checkpoint.read_until is not None
        assert before - timedelta(seconds=1) <= read.checkpoint.read_until <= datetime.now(UTC)
    assert [trial.read(shard).messages for shard in reads] == [0, 0]
    trial.conform()
    assert trial.audit().conformed == 400


def test_window_ends_at_each_of_its_limits_and_the_next_continues(trial: Trial) -> None:
    trial.send(300, groups=1)
    (shard,) = [name for name in trial.readable() if stream_waits(trial, name)]

    assert trial.read(shard, Limits(messages=70)).messages == 70
    assert trial.read(shard, Limits(seconds=0)).messages == 230
    trial.send(50, groups=1)
    assert trial.read(shard, Limits(bytes=1)).messages == 50
    trial.read_all()
    trial.conform()
    assert trial.audit().raw == 350


def test_records_are_flushed_by_size_and_each_flush_is_reported(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "FLUSH_MESSAGES", 40)
    monkeypatch.setattr(landing, "MOST_RECORDS", 25)
    trial.send(200, groups=1, days=1)
    flushes: list[Flush] = []

    reads = [trial.read(shard, on_flush=flushes.append) for shard in trial.readable()]

    assert [flush.messages for flush in flushes] == [50, 50, 50, 50]
    assert sum(read.flushes for read in reads) == 4
    assert sum(flush.bytes for flush in flushes) == sum(len(event.body) for event in trial.sent)
    assert all(0 < flush.seconds <= flush.lag_seconds + 1 for flush in flushes)


def test_stopped_read_flushes_what_it_holds(trial: Trial) -> None:
    trial.send(100, groups=1)
    stop = Flag()
    trial.kinesis.meta.events.register("after-call.kinesis.GetRecords", lambda **_: stop.set())

    reads = [trial.read(shard, stop=stop) for shard in (FIRST, SECOND)]

    assert sum(read.messages for read in reads) in (0, 100)
    landed = sum(manifest.rows_out for manifest in Look(trial.lake).manifests("raw/clicks"))
    assert landed == sum(read.messages for read in reads)


def test_missing_stream_or_shard_is_named(trial: Trial) -> None:
    with pytest.raises(MissingResource, match=f"stream {trial.stream} has no shard shard-7 any more"):
        trial.read("shard-7")
    with pytest.raises(MissingResource, match="stream nowhere-to-be-found or its shard is gone"):
        stream_backlog(KinesisStream(trial.kinesis, "nowhere-to-be-found"), trial.lake, CLICKS)


# The backlog


def test_backlog_counts_shards_with_waiting_records_and_takes_nothing(trial: Trial) -> None:
    def count() -> int:
        return stream_backlog(trial.at_aws, trial.lake, CLICKS)

    assert count() == 0
    trial.send(1)
    assert (count(), count()) == (1, 1)
    trial.read_all()
    assert count() == 0
    trial.send(50)
    assert count() == 2
    trial.read_all()
    trial.reshard_by_split(FIRST, 2**126)
    assert count() == 1, "the end of a shard must be read, or its children are never read"
    trial.read_all()
    assert count() == 0


# Reshards


@pytest.mark.parametrize(
    ("parents", "ended", "readable"),
    [
        ({"c": ("a",)}, [], ["a", "b"]),
        ({"c": ("a",)}, ["a"], ["b", "c"]),
        ({"c": ("a", "b")}, ["a"], ["b"]),
        ({"c": ("a", "b")}, ["a", "b"], ["c"]),
        ({"c": ("gone",)}, [], ["a", "b", "c"]),
        ({"c": ("a",), "d": ("c",)}, ["a"], ["b", "c"]),
        ({"c": ("a", "gone")}, [], ["a", "b"]),
    ],
)
def test_child_is_read_once_each_of_its_parents_is_read_to_its_end_or_gone(
    parents: dict[str, tuple[str, ...]], ended: list[str], readable: list[str]
) -> None:
    shards = [Shard(name, parents.get(name, ()), is_open=name not in "ab") for name in sorted({"a", "b", *parents})]
    checkpoints = {name: Checkpoint(shard=name, ended=name in ended) for name in "ab"}

    assert [shard.id for shard in stream_progress._readable(shards, checkpoints)] == readable


def test_splits_and_merges_during_a_run_lose_nothing_and_keep_the_order(trial: Trial) -> None:
    """Records before, between and after; a group's parent is half read when its shard is split, or not at all."""
    trial.send(200)
    trial.read(FIRST, Limits(messages=20))
    trial.reshard_by_split(FIRST, 2**126)  # → THIRD, FOURTH
    trial.send(200)
    assert trial.readable() == [FIRST, SECOND]
    trial.read(FIRST)
    assert trial.readable() == [SECOND, THIRD, FOURTH]
    trial.kinesis.merge_shards(StreamName=trial.stream, ShardToMerge=FOURTH, AdjacentShardToMerge=SECOND)
    trial.send(200)
    trial.reshard_by_split("shardId-000000000004", WHOLE * 3 // 4)
    trial.send(100)
    assert trial.readable() == [SECOND, THIRD, FOURTH]

    trial.read_all()

    assert trial.readable() == [THIRD, "shardId-000000000005", "shardId-000000000006"]
    rows = Look(trial.lake).manifests("raw/clicks")
    assert sum(manifest.rows_out for manifest in rows) == 700
    trial.conform()
    assert trial.audit().conformed == 700


# Kills


@pytest.mark.usefixtures("no_wire")
@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        ("after-call.kinesis.GetRecords", 1),  # nothing is landed yet
        ("before-call.s3.GetObject", 1),  # of a manifest: a part is put and not recorded
        ("before-call.s3.GetObject", 3),  # of the checkpoint: two parts are recorded
        ("before-call.kinesis.GetRecords", 3),  # the first shard is read, the second is not
    ],
)
def test_killed_read_is_repeated(cloud: Cloud, trial: Trial, moment: str, nth: int) -> None:
    trial.send(100)
    mortal = replace(trial, kinesis=cloud.client("kinesis"), lake=Lake(cloud.client("s3"), trial.lake.bucket, "toy"))
    dying(mortal.lake.s3 if ".s3." in moment else mortal.kinesis, moment, nth)
    with pytest.raises(Died):
        mortal.read_all()

    trial.read_all()

    trial.conform()
    assert trial.audit().conformed == 100


def test_records_landed_before_the_checkpoint_moved_land_again_and_count_once(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.send(100)

    def die(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(landing, "advance", die)
        for shard in trial.readable():
            with pytest.raises(Died):
                trial.read(shard)
    assert read_checkpoints(trial.lake, "clicks") == {}
    assert sum(manifest.rows_out for manifest in Look(trial.lake).manifests("raw/clicks")) == 100
    trial.conform()
    conformed = trial.content("conform/")

    trial.read_all()

    assert trial.content("conform/") == conformed
    trial.conform()
    assert trial.audit().conformed == 100


def test_two_readers_at_once_land_what_one_would(cloud: Cloud, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "FLUSH_MESSAGES", 50)
    monkeypatch.setattr(landing, "MOST_RECORDS", 60)
    trial.send(600, groups=3)
    others = [replace(trial, kinesis=cloud.client("kinesis")) for _ in range(2)]

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(each.read, shard) for each in others for shard in (FIRST, SECOND)]
    for read in reads:
        assert read.result().checkpoint.at_tip

    assert [trial.read(shard).messages for shard in (FIRST, SECOND)] == [0, 0]
    trial.conform()
    assert trial.audit().conformed == 600


# The tip


def test_read_that_has_reached_the_tip_ends_the_window(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.send(50)
    reads = Counter[str]()
    monkeypatch.setattr(KinesisStream, "get", counted(KinesisStream.get, reads))

    landed = [trial.read(shard).messages for shard in trial.readable()]

    assert sum(landed) == 50
    assert reads["get"] == len(landed)


def counted(get: Callable[..., Any], reads: Counter[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        reads["get"] += 1
        return get(*arguments)

    return call


# Retention


def test_records_trimmed_before_they_were_read_are_recorded_returned_and_logged(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    """Two days ago FIRST was read; the stream keeps one."""
    now = datetime.now(UTC)
    advance(trial.lake, "clicks", Checkpoint(shard=FIRST, read_until=now - timedelta(days=2), at_tip=True))
    advance(trial.lake, "clicks", Checkpoint(shard=SECOND, read_until=now - timedelta(hours=23), at_tip=True))
    trial.send(100)

    with caplog.at_level(logging.WARNING):
        reads = {shard: trial.read(shard) for shard in (FIRST, SECOND)}

    gap = reads[FIRST].gap
    assert gap is not None
    assert gap.since == now - timedelta(days=2)
    assert abs(gap.until - (now - timedelta(days=1))) < timedelta(minutes=1)
    assert reads[SECOND].gap is None
    assert read_checkpoints(trial.lake, "clicks")[FIRST].gaps == (gap,)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    since = gap.since.isoformat()
    assert warning.startswith(f"stream {trial.stream}, shard {FIRST}: records that arrived from {since} to")
    assert sum(read.messages for read in reads.values()) == 100
    assert trial.read(FIRST).gap is None
    assert read_checkpoints(trial.lake, "clicks")[FIRST].gaps == (gap,)


def test_child_that_waited_longer_than_the_retention_has_a_gap_since_its_parent_was_read(trial: Trial) -> None:
    trial.read_all()
    trial.reshard_by_split(FIRST, 2**126)
    trial.read(FIRST)
    long_ago = datetime.now(UTC) - timedelta(days=3)
    trial.lake.put(
        f"toy/checkpoints/clicks/{FIRST}.json",
        Checkpoint(shard=FIRST, read_until=long_ago, ended=True).model_dump_json().encode(),
    )

    gap = trial.read(THIRD).gap

    assert gap is not None
    assert gap.since == long_ago


def test_shard_that_was_trimmed_before_it_was_read_to_its_end_is_reported_once(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    for shard, ended in (("shard-gone", False), ("shard-done", True)):
        reached = Checkpoint(shard=shard, sequence_number="7", read_until=now - timedelta(days=2), ended=ended)
        advance(trial.lake, "clicks", reached)
    for shard in (FIRST, SECOND):
        trial.read(shard)

    found = note_lost_shards(trial.at_aws, trial.lake, CLICKS)

    assert list(found) == ["shard-gone"]
    checkpoint = read_checkpoints(trial.lake, "clicks")["shard-gone"]
    assert checkpoint.ended
    assert checkpoint.gaps == (found["shard-gone"],)
    assert "shard-gone: records that arrived from" in caplog.text
    assert note_lost_shards(trial.at_aws, trial.lake, CLICKS) == {}
    assert shards_to_read(trial.at_aws, trial.lake, CLICKS) == [FIRST, SECOND]


# Closing


def as_of(trial: Trial, moment: datetime, **shards: Any) -> None:
    """Record all shards as read until a moment, except for those named."""
    for shard in (FIRST, SECOND):
        reached = Checkpoint(shard=shard, read_until=moment, at_tip=True)
        replace_checkpoint(trial, reached.model_copy(update=shards.get(shard[-1], {})))


def test_stream_that_is_read_to_its_tip_is_closed_up_to_the_moment_of_the_slowest_shard(trial: Trial) -> None:
    trial.send(10, days=2)
    trial.read_all()
    noon = datetime(2013, 1, 2, 12, tzinfo=UTC)
    later = replace(trial, lake=replace(trial.lake, now=lambda: noon + timedelta(days=30)))

    as_of(trial, noon)
    assert later.close() == "dt=2013-01-01"
    as_of(trial, noon, **{"1": {"read_until": noon + timedelta(days=3)}})
    assert later.close() == "dt=2013-01-01"
    as_of(trial, noon + timedelta(days=1))
    assert later.close() == "dt=2013-01-01..dt=2013-01-02"


def test_nothing_closes_while_more_waits_in_a_shard(trial: Trial) -> None:
    """However far its event times are: one of them may be ahead of others that still wait."""
    trial.send(10, days=3)
    trial.read_all()
    month = datetime(2013, 2, 1, tzinfo=UTC)

    as_of(trial, month, **{"1": {"at_tip": False, "times": (month,) * FLUSHES}})
    assert trial.close() == ""
    as_of(trial, month)
    assert trial.close() == "dt=2013-01-01..dt=2013-01-03"


def test_stream_that_always_has_a_backlog_is_closed_by_the_event_times_of_the_slowest_shard(trial: Trial) -> None:
    trial.send(10, days=3)
    trial.read_all()
    month, noon = datetime(2013, 2, 1, tzinfo=UTC), FIRST_DAY + timedelta(hours=12)

    def closed(*times: datetime) -> str:
        as_of(trial, month, **{"1": {"at_tip": False, "times": times}})
        return trial.close("event_time")

    day = timedelta(days=1)
    assert closed(*[noon + day] * (FLUSHES - 1)) == ""  # too few agree
    assert closed(*[noon + day] * (FLUSHES - 1), noon) == ""
    assert closed(*[noon + 9 * day] * (FLUSHES - 1), noon + day) == "dt=2013-01-01"


def test_unread_child_holds_the_watermark(trial: Trial) -> None:
    trial.send(14, days=3, groups=14)
    trial.read_all()
    trial.reshard_by_split(FIRST, 2**126)
    assert trial.read(FIRST).checkpoint.ended

    assert trial.close() == ""

    trial.read_all()
    assert trial.close() == "dt=2013-01-01..dt=2013-01-03"


def replace_checkpoint(trial: Trial, checkpoint: Checkpoint) -> Checkpoint:
    trial.lake.put(f"toy/checkpoints/clicks/{checkpoint.shard}.json", checkpoint.model_dump_json().encode())
    return checkpoint


def test_gap_survives_serialization_as_json() -> None:
    now = datetime.now(UTC)
    checkpoint = Checkpoint(shard=FIRST, gaps=(Gap(since=now, until=now),))

    assert Checkpoint.model_validate_json(checkpoint.model_dump_json()) == checkpoint
    assert json.loads(checkpoint.model_dump_json())["schema_version"] == 1

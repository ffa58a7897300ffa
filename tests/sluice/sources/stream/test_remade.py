"""A stream that is deleted and made again is read from its first record, however far the earlier one was read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.draining import workspace_of
from tests.sluice.sources.stream.streams import CLICKS, FIRST, PIPELINE, SECOND, THIRD, WHOLE, Trial

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.landing.parts import Limits
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, read_checkpoints
from sluice.sources.stream.connector import StreamConnector
from sluice.sources.stream.progress import evidence_of_stream, shards_to_read, stream_backlog

Read = Callable[[Trial], Trial]
WAYS = {"polled": lambda trial: trial, "pushed": lambda trial: trial.by_fan_out()}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Read:
    """Returns the trial as it reads a stream that was just made."""
    made: Read = WAYS[request.param]
    return made


def created(trial: Trial) -> datetime:
    return trial.at_aws.retention(datetime.now(UTC)).created


def remake(trial: Trial, shards: int = 2) -> None:
    """Delete the stream and make it again; at AWS that takes longer than the second in which times of creation are."""
    before = created(trial)

    def made() -> bool:
        trial.kinesis.delete_stream(StreamName=trial.stream)
        trial.kinesis.create_stream(StreamName=trial.stream, ShardCount=shards)
        return created(trial) > before

    wait_for(made, what="another time of creation")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def stored(trial: Trial, checkpoint: Checkpoint) -> None:
    trial.lake.put(f"toy/checkpoints/clicks/{checkpoint.shard}.json", checkpoint.model_dump_json().encode())


def test_stream_made_again_twice_in_mid_history_loses_and_repeats_nothing(
    trial: Trial, way: Read, caplog: pytest.LogCaptureFixture
) -> None:
    """The earlier stream was split, so its first shard is read to its end; the new one has the same shard ids."""
    times = [created(trial)]
    first = way(trial)
    first.send(300)
    first.read(FIRST, Limits(messages=20))
    first.reshard_by_split(FIRST, 2**126)
    first.send(100)
    first.read_all()

    remake(trial)
    times.append(created(trial))
    second = way(trial)
    second.send(400)
    assert stream_backlog(second.at_aws, second.lake, CLICKS) == 2
    assert second.readable() == [FIRST, SECOND]
    second.read(SECOND, Limits(messages=50))
    second.reshard_by_split(FIRST, 2**126)  # → THIRD, as in the first one
    second.read_all()

    remake(trial, shards=1)
    times.append(created(trial))
    third = way(trial)
    third.send(200)
    third.read_all()

    assert third.readable() == [FIRST]
    third.conform()
    counts = third.audit()
    assert (counts.raw, counts.conformed) == (1000, 1000)
    assert warnings(caplog) == [
        f"stream {trial.stream} was deleted and made again: the checkpoints are of the one made at {old.isoformat()}, "
        f"and this one was made at {new.isoformat()}; it is read from its first record; have what was on the earlier "
        f"one and did not land sent again"
        for old, new in pairwise(times)
    ]


def test_stream_made_again_between_the_listing_of_shards_and_a_read(
    trial: Trial, way: Read, caplog: pytest.LogCaptureFixture
) -> None:
    first = way(trial)
    first.send(100)
    first.read_all()
    shards = first.readable()
    remake(trial)
    second = way(trial)
    second.send(100)

    assert sum(second.read(shard).messages for shard in shards) == 100
    assert len(warnings(caplog)) == 1
    second.read_all()
    second.conform()
    assert second.audit().raw == 200


def test_nothing_of_a_new_stream_closes_before_each_shard_was_read(trial: Trial) -> None:
    trial.send(50, days=3)
    trial.read_all()
    assert evidence_of_stream(trial.at_aws, trial.lake, CLICKS).landed_until is not None
    remake(trial)

    assert evidence_of_stream(trial.at_aws, trial.lake, CLICKS).landed_until is None
    trial.send(50, days=3)
    trial.read(trial.readable()[0])
    assert evidence_of_stream(trial.at_aws, trial.lake, CLICKS).landed_until is None
    trial.read_all()
    assert evidence_of_stream(trial.at_aws, trial.lake, CLICKS).landed_until is not None


def test_shard_of_the_new_stream_is_not_taken_for_one_of_the_earlier_that_has_its_id(trial: Trial) -> None:
    """In the earlier stream THIRD was the end of a shard; in the new one it begins later, by a split."""
    trial.send(50)
    trial.reshard_by_split(FIRST, 2**126)
    trial.read_all()
    trial.kinesis.merge_shards(StreamName=trial.stream, ShardToMerge=THIRD, AdjacentShardToMerge="shardId-000000000003")
    trial.read_all()
    assert read_checkpoints(trial.lake, "clicks")[THIRD].ended

    remake(trial)
    trial.read_all()
    trial.reshard_by_split(SECOND, WHOLE * 3 // 4)
    trial.send(100)
    trial.read_all()

    assert trial.readable() == [FIRST, THIRD, "shardId-000000000003"]
    assert not read_checkpoints(trial.lake, "clicks")[THIRD].ended
    trial.conform()
    assert trial.audit().raw == 150


def test_gaps_of_the_earlier_stream_are_still_reported(trial: Trial, aws: Aws) -> None:
    now = datetime.now(UTC)
    gap = Gap(since=now - timedelta(days=3), until=now - timedelta(days=2))
    trial.send(50)
    trial.read_all()
    advance(trial.lake, "clicks", read_checkpoints(trial.lake, "clicks")[FIRST].model_copy(update={"gaps": (gap,)}))
    remake(trial, shards=1)
    trial.read_all()

    workspace = replace(workspace_of(trial.lake, PIPELINE, **{"streams/clicks": trial.stream}), aws=aws)
    figures = StreamConnector(workspace, CLICKS).figures()

    assert (figures["shards"], figures["ended"], figures["gaps"]) == (1, 0, 1)


# Checkpoints of earlier versions


def without_names(trial: Trial) -> None:
    """Make the checkpoints what earlier versions wrote."""
    for checkpoint in read_checkpoints(trial.lake, "clicks").values():
        stored(trial, checkpoint.model_copy(update={"stream_created": None}))


def test_checkpoints_without_a_time_of_creation_go_on_and_get_one(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    trial.send(100)
    trial.reshard_by_split(FIRST, 2**126)
    trial.read_all()
    without_names(trial)
    trial.send(60)

    assert stream_backlog(trial.at_aws, trial.lake, CLICKS) > 0
    assert shards_to_read(trial.at_aws, trial.lake, CLICKS) == [SECOND, THIRD, "shardId-000000000003"]
    assert {each.stream_created for each in read_checkpoints(trial.lake, "clicks").values()} == {created(trial)}
    assert sum(read.messages for read in trial.read_all()) == 60
    assert warnings(caplog) == []
    trial.conform()
    assert trial.audit().raw == 160


def test_checkpoint_that_an_earlier_version_wrote_beside_others_is_of_their_stream(trial: Trial) -> None:
    """A worker that is not upgraded yet writes the end of a shard; then the stream is made again."""
    trial.send(100)
    trial.read_all()
    first: Any = read_checkpoints(trial.lake, "clicks")[FIRST]
    stored(trial, first.model_copy(update={"stream_created": None, "ended": True}))
    remake(trial)
    trial.send(100)

    assert trial.readable() == [FIRST, SECOND]
    trial.read_all()
    trial.conform()
    assert trial.audit().raw == 200

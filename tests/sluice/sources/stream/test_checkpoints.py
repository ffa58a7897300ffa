"""A checkpoint never passes what is durable and never goes back, whatever other writers do (P1)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.conftest import Cloud

from sluice.errors import UnreadableObject
from sluice.lake.store import Lake
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, read_checkpoints, unread_since

START = datetime(2013, 1, 1, tzinfo=UTC)
SHARD = "shardId-000000000000"


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


_moments = st.integers(0, 50).map(at)
CHECKPOINTS = st.builds(
    Checkpoint,
    shard=st.just(SHARD),
    stream_created=st.just(START),
    sequence_number=st.none() | st.integers(0, 10**30).map(str),
    read_until=st.none() | _moments,
    at_tip=st.booleans(),
    times=st.lists(_moments, max_size=5).map(tuple),
    ended=st.booleans(),
    gaps=st.lists(st.builds(Gap, since=_moments, until=_moments), max_size=3).map(tuple),
)


@given(CHECKPOINTS, CHECKPOINTS)
def test_merged_checkpoint_does_not_depend_on_the_order_of_the_writes(one: Checkpoint, other: Checkpoint) -> None:
    merged = one.merged(other)

    assert merged == other.merged(one)
    assert merged.merged(one) == merged
    for each in (one, other):
        assert int(merged.sequence_number or -1) >= int(each.sequence_number or -1)
        assert (merged.read_until or START) >= (each.read_until or START)
        assert merged.ended >= each.ended
        assert set(merged.gaps) >= set(each.gaps)


@given(CHECKPOINTS, CHECKPOINTS)
def test_of_two_streams_of_one_name_the_later_counts(one: Checkpoint, other: Checkpoint) -> None:
    later = other.model_copy(update={"stream_created": at(60)})

    merged = one.merged(later)

    assert merged == later.merged(one)
    assert merged.model_copy(update={"gaps": ()}) == later.model_copy(update={"gaps": ()})
    assert set(merged.gaps) == {*one.gaps, *later.gaps}


@given(CHECKPOINTS, CHECKPOINTS)
def test_checkpoint_without_a_time_of_creation_is_merged_as_one_of_the_same_stream(
    one: Checkpoint, other: Checkpoint
) -> None:
    unnamed = other.model_copy(update={"stream_created": None})

    assert one.merged(unnamed) == unnamed.merged(one) == one.merged(other)


def test_sequence_numbers_are_compared_as_numbers_and_the_later_read_decides_whether_more_waits() -> None:
    early = Checkpoint(shard=SHARD, sequence_number="99", read_until=at(1), at_tip=True)
    late = Checkpoint(shard=SHARD, sequence_number="100", read_until=at(2), at_tip=False)

    assert early.merged(late) == late


def test_checkpoints_are_read_by_source_and_shard(lake: Lake) -> None:
    for source in ("clicks", "clicks2"):
        for number in range(3):
            advance(lake, source, Checkpoint(shard=f"shard-{number}", sequence_number=str(number)))

    found = read_checkpoints(lake, "clicks")

    assert {name: checkpoint.sequence_number for name, checkpoint in found.items()} == {
        "shard-0": "0",
        "shard-1": "1",
        "shard-2": "2",
    }
    assert sorted(key for key, _, _ in lake.objects("toy/checkpoints/clicks/")) == [
        f"toy/checkpoints/clicks/shard-{number}.json" for number in range(3)
    ]


def test_shard_without_a_checkpoint_is_unread_since_its_parents_were_read() -> None:
    read = {
        "a": Checkpoint(shard="a", read_until=at(5)),
        "b": Checkpoint(shard="b", read_until=at(9)),
    }

    assert unread_since(["a", "b"], read) == at(5)
    assert unread_since(["gone"], read) == at(9)  # never read, unlike the stream
    assert unread_since(["a", "gone"], read) == at(9)
    assert unread_since([], read) is None
    assert unread_since(["gone"], {}) is None


class Readers(RuleBasedStateMachine):
    """Readers that begin at a checkpoint, land records and move it, in any order; some die in between.

    The model is the shard as a row of numbers, which of them are durable, and the farthest checkpoint seen.
    """

    cloud: Cloud
    _numbers = count()

    def __init__(self) -> None:
        super().__init__()
        name = f"checkpoints-{next(self._numbers)}"
        s3 = self.cloud.client("s3")
        s3.create_bucket(Bucket=name)
        self.lake = Lake(s3, name, "toy")
        self.records = 0
        self.durable: set[int] = set()
        self.readers: list[dict[str, Any]] = []
        self.seen = Checkpoint(shard=SHARD)

    @rule(more=st.integers(1, 5))
    def arrive(self, more: int) -> None:
        self.records += more

    @rule()
    def begin(self) -> None:
        standing = read_checkpoints(self.lake, "clicks").get(SHARD)
        place = int(standing.sequence_number or 0) if standing else 0
        self.readers.append({"read": place, "landed": place})

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), most=st.integers(1, 7))
    def read(self, data: st.DataObject, most: int) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        reader["read"] = min(self.records, reader["read"] + most)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.durable.update(range(reader["landed"] + 1, reader["read"] + 1))
        reader["landed"] = reader["read"]

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Also by a reader that was overtaken long ago: its commit must not move the checkpoint back."""
        reader = data.draw(st.sampled_from(self.readers))
        landed = reader["landed"]
        reached = Checkpoint(
            shard=SHARD,
            sequence_number=str(landed) if landed else None,
            read_until=at(landed),
            at_tip=landed == self.records,
        )
        stored = advance(self.lake, "clicks", reached)
        assert stored == self.seen.merged(reached)
        self.seen = stored

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.readers.remove(data.draw(st.sampled_from(self.readers)))

    @invariant()
    def all_up_to_the_checkpoint_is_durable(self) -> None:
        standing = read_checkpoints(self.lake, "clicks").get(SHARD, Checkpoint(shard=SHARD))
        assert standing == self.seen
        assert self.durable >= set(range(1, int(standing.sequence_number or 0) + 1))


@pytest.mark.parametrize("examples", [8, pytest.param(60, marks=pytest.mark.chaos)])
def test_readers_in_any_order_never_move_a_checkpoint_past_what_is_durable(cloud: Cloud, examples: int) -> None:
    run_state_machine_as_test(
        type("ReadersHere", (Readers,), {"cloud": cloud}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_many_writers_at_once_leave_the_farthest_checkpoint(lake: Lake) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(
            pool.map(
                lambda number: advance(lake, "clicks", Checkpoint(shard=SHARD, sequence_number=str(number))),
                [3, 12, 7, 11, 9, 10],
            )
        )

    assert read_checkpoints(lake, "clicks")[SHARD].sequence_number == "12"


def test_checkpoint_that_can_not_be_read_is_named_and_what_lies_beside_the_checkpoints_is_passed_over(
    lake: Lake,
) -> None:
    checkpoint = advance(lake, "stream", Checkpoint(shard=SHARD, sequence_number="7"))
    for name in ("", "notes.txt", "backup/shardId-000000000001.json"):
        lake.put(f"{lake.layout.checkpoints('stream')}{name}", b"")
    assert read_checkpoints(lake, "stream") == {SHARD: checkpoint}

    key = lake.layout.checkpoint("stream", SHARD)
    lake.put(key, lake.get(key)[:-1])

    with pytest.raises(UnreadableObject, match=f"{key} is no JSON: it is cut off or damaged; restore its former"):
        read_checkpoints(lake, "stream")

"""When a drain receives, flushes and ends: the buffer against a model of a FIFO queue, with events in any order."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sluice.landing.parts import Limits
from sluice.records.record import Record
from sluice.sources.queue import buffer as buffering
from sluice.sources.queue.buffer import Batch, Buffer, ReceiveRequest, most_held

THEN = datetime(2013, 1, 1, tzinfo=UTC)
FLUSH = 40


@pytest.fixture(autouse=True, scope="module")
def _small_flushes() -> object:
    patched = pytest.MonkeyPatch()
    patched.setattr(buffering, "FLUSH_MESSAGES", FLUSH)
    yield
    patched.undo()


def record(number: int, group: str) -> Record:
    return Record(str(number), group, f"{number:039}", THEN, THEN, "body", 1, str(number), "{}", "{}")


class FifoModel:
    """Returns messages of groups that have none in flight, first as many as it can of one group."""

    def __init__(self, groups: list[str]) -> None:
        self.left = [record(number, group) for number, group in enumerate(groups)]
        self.in_flight: dict[str, Record] = {}

    def receive(self, most: int) -> list[Record]:
        locked = {each.group for each in self.in_flight.values()}
        free = [each for each in self.left if each.group not in locked and each.event_id not in self.in_flight]
        order = {each.group: place for place, each in reversed(list(enumerate(free)))}
        given = sorted(free, key=lambda each: order[each.group])[:most]
        self.in_flight.update((each.event_id, each) for each in given)
        return given

    def delete(self, records: list[Record]) -> None:
        gone = {each.event_id for each in records}
        self.left = [each for each in self.left if each.event_id not in gone]
        for event_id in gone:
            del self.in_flight[event_id]


class Draining(RuleBasedStateMachine):
    """Receives that take a while, a writer that takes a while, and a clock."""

    @initialize(
        groups=st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=150) | st.just(["hot"] * 100),
        receivers=st.integers(1, 5),
        messages=st.sampled_from([1, 7, 60, 10_000]),
    )
    def begin(self, groups: list[str], receivers: int, messages: int) -> None:
        self.queue, self.receivers = FifoModel(groups), receivers
        self.sent, self.most = len(groups), messages
        self.buffer = Buffer(Limits(messages=messages), receivers, ends_at=10_000)
        self.now = 0.0
        self.receives: dict[int, tuple[ReceiveRequest, list[Record]]] = {}
        self.flushing: list[Batch] = []
        self.landed: list[Record] = []

    @rule(receiver=st.integers(0, 4))
    def begins_to_receive(self, receiver: int) -> None:
        if receiver >= self.receivers or receiver in self.receives:
            return
        request = self.buffer.begin_receive(receiver, self.now)
        if request is not None:
            self.receives[receiver] = (request, self.queue.receive(request.most))

    @rule(receiver=st.integers(0, 4))
    def ends_to_receive(self, receiver: int) -> None:
        if receiver in self.receives:
            request, records = self.receives.pop(receiver)
            batch = Batch(records, [each.event_id for each in records], 2, 2 * len(records), self.now, self.now + 30)
            self.buffer.end_receive(receiver, request, batch if records else None)

    @precondition(lambda self: not self.flushing)
    @rule()
    def flush_begins(self) -> None:
        if self.buffer.is_due(self.now):
            self.flushing = list(self.buffer.begin_flush())
            assert self.flushing

    @rule()
    def flush_ends(self) -> None:
        if self.flushing:
            records = [each for batch in self.flushing for each in batch.records]
            self.landed += records
            self.queue.delete(records)
            self.buffer.end_flush()
            self.flushing = []

    @rule()
    def a_second_passes(self) -> None:
        self.now += 1

    @invariant()
    def no_more_is_received_than_allowed(self) -> None:
        received = len(self.landed) + len(self.queue.in_flight)
        assert received <= self.most
        waiting = sum(len(batch.records) for batch in self.buffer.waiting)
        assert waiting < FLUSH + 10 * self.receivers

    @invariant()
    def old_messages_are_due(self) -> None:
        waiting = self.buffer.waiting
        if waiting and self.now - waiting[0].since >= buffering.FLUSH_SECONDS:
            assert self.buffer.is_due(self.now)

    @invariant()
    def dry_means_that_nothing_is_buffered_or_left(self) -> None:
        """Except for groups with messages that another receive has not returned yet: after that, it is not dry."""
        if self.buffer.is_dry:
            not_returned_yet = {each.group for _, records in self.receives.values() for each in records}
            assert {each.group for each in self.queue.left} <= not_returned_yet

    def teardown(self) -> None:
        """If every receiver and the writer continue, it ends, and each message within the limits has landed once."""
        if not hasattr(self, "queue"):
            return
        for _ in range(20 * (self.sent + 10)):
            for receiver in range(self.receivers):
                self.begins_to_receive(receiver)
                self.ends_to_receive(receiver)
            self.flush_begins()
            self.flush_ends()
            if self.buffer.is_over(self.now) and not self.receives and not self.buffer.waiting:
                break
            if self.buffer.is_over(self.now) and not self.receives:  # as the writer does when no receiver is left
                self.flushing = list(self.buffer.begin_flush())
                self.flush_ends()
        else:
            raise AssertionError("the drain does not end")
        assert Counter(each.event_id for each in self.landed) <= Counter(str(number) for number in range(self.sent))
        assert len(self.landed) == min(self.sent, self.most)


TestDraining = Draining.TestCase
TestDraining.settings = settings(max_examples=60, stateful_step_count=40)


def test_hot_group_is_flushed_as_soon_as_the_other_receivers_find_nothing() -> None:
    buffer = Buffer(Limits(), receivers=4, ends_at=60)
    requests = [buffer.begin_receive(receiver, 0) for receiver in range(4)]
    assert all(request is not None and not request.is_long_poll for request in requests)
    for receiver, request in enumerate(requests[:3]):
        assert request is not None
        buffer.end_receive(receiver, request, None)
    assert not buffer.is_due(0), "nothing is buffered"
    (hot,) = requests[3:]
    assert hot is not None
    buffer.end_receive(3, hot, Batch([record(0, "hot")], ["r"], 2, 2, 0, 30))

    assert buffer.is_due(0)
    again = buffer.begin_receive(3, 0)
    assert again is not None
    assert again.is_long_poll, "the group is locked: no message is available at once"


def test_many_groups_are_not_flushed_before_a_part_is_full_or_old() -> None:
    buffer = Buffer(Limits(), receivers=4, ends_at=60)
    for receiver in range(4):
        request = buffer.begin_receive(receiver, 0)
        assert request is not None
        buffer.end_receive(receiver, request, Batch([record(receiver, f"g{receiver}")], ["r"], 2, 2, 0, 30))

    assert not buffer.is_due(buffering.FLUSH_SECONDS - 1)
    assert buffer.is_due(buffering.FLUSH_SECONDS)


def test_only_a_long_poll_proves_that_a_queue_is_dry() -> None:
    """A short poll queries only a sample of SQS's servers."""
    buffer = Buffer(Limits(), receivers=1, ends_at=60)
    at_once = buffer.begin_receive(0, 0)
    assert at_once is not None
    buffer.end_receive(0, at_once, None)
    assert not buffer.is_dry
    waiting = buffer.begin_receive(0, 0)
    assert waiting is not None
    assert waiting.is_long_poll
    buffer.end_receive(0, waiting, None)
    assert buffer.is_dry


@pytest.mark.parametrize(("receives", "most"), [(2, 1000), (3, 100), (4, 10), (5, 1), (9, 1)])
def test_the_more_often_messages_were_received_the_fewer_are_held(receives: int, most: int) -> None:
    """At the last receive before the dead-letter queue, a message is alone."""
    assert most_held(receives, max_receives=5) == most


def test_healthy_drain_holds_as_much_as_it_can() -> None:
    assert most_held(1, max_receives=1) == Buffer(Limits(), 8, ends_at=60).most_held > 2 * buffering.FLUSH_MESSAGES


def test_receivers_together_hold_no_more_than_they_may() -> None:
    buffer = Buffer(Limits(), receivers=4, ends_at=60, most_held=12)
    requests = [buffer.begin_receive(receiver, 0) for receiver in range(4)]
    assert [request and request.most for request in requests] == [10, 2, None, None]
    first, second = requests[0], requests[1]
    assert first is not None
    assert second is not None
    buffer.end_receive(0, first, Batch([record(n, "g") for n in range(10)], ["r"] * 10, 20, 20, 0, 30))
    buffer.end_receive(1, second, Batch([record(n, "h") for n in range(2)], ["r"] * 2, 4, 4, 0, 30))

    assert buffer.is_due(0), "what is held is flushed at once"
    buffer.begin_flush()
    assert buffer.begin_receive(0, 0) is None, "what is being flushed is still held"
    buffer.end_flush()
    again = buffer.begin_receive(0, 0)
    assert again is not None
    assert again.most == 10

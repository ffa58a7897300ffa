"""When a drain asks, flushes and ends: the hold against a model of a FIFO queue, in any order of what happens."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sluice.landing.parts import Limits
from sluice.records.record import Record
from sluice.sources.queue import hold as holding
from sluice.sources.queue.hold import Ask, Batch, Hold

THEN = datetime(2013, 1, 1, tzinfo=UTC)
FLUSH = 40


@pytest.fixture(autouse=True, scope="module")
def _small_flushes() -> object:
    patched = pytest.MonkeyPatch()
    patched.setattr(holding, "FLUSH_MESSAGES", FLUSH)
    yield
    patched.undo()


def record(number: int, group: str) -> Record:
    return Record(str(number), group, f"{number:039}", THEN, THEN, "body", 1, str(number), "{}", "{}")


class FifoModel:
    """Gives up to ten messages of groups that have none in flight, as many of one group as it can first."""

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
    """Receivers whose answers are under way for a while, a writer that takes its time, and a clock."""

    @initialize(
        groups=st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=150) | st.just(["hot"] * 100),
        receivers=st.integers(1, 5),
        messages=st.sampled_from([1, 7, 60, 10_000]),
    )
    def begin(self, groups: list[str], receivers: int, messages: int) -> None:
        self.queue, self.receivers = FifoModel(groups), receivers
        self.sent, self.most = len(groups), messages
        self.hold = Hold(Limits(messages=messages), receivers, ends_at=10_000)
        self.now = 0.0
        self.under_way: dict[int, tuple[Ask, list[Record]]] = {}
        self.flushing: list[Batch] = []
        self.landed: list[Record] = []

    @rule(receiver=st.integers(0, 4))
    def asks(self, receiver: int) -> None:
        if receiver >= self.receivers or receiver in self.under_way:
            return
        ask = self.hold.ask(receiver, self.now)
        if ask is not None:
            self.under_way[receiver] = (ask, self.queue.receive(ask.most))

    @rule(receiver=st.integers(0, 4))
    def is_answered(self, receiver: int) -> None:
        if receiver in self.under_way:
            ask, records = self.under_way.pop(receiver)
            batch = Batch(records, [each.event_id for each in records], 2 * len(records), self.now, self.now + 30)
            self.hold.answer(receiver, ask, batch if records else None)

    @precondition(lambda self: not self.flushing)
    @rule()
    def flush_begins(self) -> None:
        if self.hold.is_due(self.now):
            self.flushing = list(self.hold.take())
            assert self.flushing

    @rule()
    def flush_ends(self) -> None:
        if self.flushing:
            records = [each for batch in self.flushing for each in batch.records]
            self.landed += records
            self.queue.delete(records)
            self.hold.flushed()
            self.flushing = []

    @rule()
    def a_second_passes(self) -> None:
        self.now += 1

    @invariant()
    def no_more_is_taken_than_allowed(self) -> None:
        taken = len(self.landed) + len(self.queue.in_flight)
        assert taken <= self.most
        waiting = sum(len(batch.records) for batch in self.hold.waiting)
        assert waiting < FLUSH + 10 * self.receivers

    @invariant()
    def old_messages_are_due(self) -> None:
        waiting = self.hold.waiting
        if waiting and self.now - waiting[0].since >= holding.FLUSH_SECONDS:
            assert self.hold.is_due(self.now)

    @invariant()
    def dry_means_that_nothing_is_held_or_left(self) -> None:
        """But for groups of which something is on its way to another receiver: its answer opens the hold again."""
        if self.hold.is_dry:
            on_its_way = {each.group for _, records in self.under_way.values() for each in records}
            assert {each.group for each in self.queue.left} <= on_its_way

    def teardown(self) -> None:
        """Left alone, every receiver and the writer going on, it ends, with all landed that it may land, once."""
        if not hasattr(self, "queue"):
            return
        for _ in range(20 * (self.sent + 10)):
            for receiver in range(self.receivers):
                self.asks(receiver)
                self.is_answered(receiver)
            self.flush_begins()
            self.flush_ends()
            if self.hold.is_over(self.now) and not self.under_way and not self.hold.waiting:
                break
            if self.hold.is_over(self.now) and not self.under_way:  # what the writer does when no receiver is left
                self.flushing = list(self.hold.take())
                self.flush_ends()
        else:
            raise AssertionError("the drain does not end")
        assert Counter(each.event_id for each in self.landed) <= Counter(str(number) for number in range(self.sent))
        assert len(self.landed) == min(self.sent, self.most)


TestDraining = Draining.TestCase
TestDraining.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_hot_group_is_flushed_as_soon_as_the_others_find_nothing() -> None:
    hold = Hold(Limits(), receivers=4, ends_at=60)
    asks = [hold.ask(receiver, 0) for receiver in range(4)]
    assert all(ask is not None and not ask.waits for ask in asks)
    for receiver, ask in enumerate(asks[:3]):
        assert ask is not None
        hold.answer(receiver, ask, None)
    assert not hold.is_due(0), "nothing is held"
    (hot,) = asks[3:]
    assert hot is not None
    hold.answer(3, hot, Batch([record(0, "hot")], ["r"], 2, 0, 30))

    assert hold.is_due(0)
    again = hold.ask(3, 0)
    assert again is not None
    assert again.waits, "the group is locked: there is nothing to be had at once"


def test_many_groups_are_not_flushed_before_a_part_is_worth_it() -> None:
    hold = Hold(Limits(), receivers=4, ends_at=60)
    for receiver in range(4):
        ask = hold.ask(receiver, 0)
        assert ask is not None
        hold.answer(receiver, ask, Batch([record(receiver, f"g{receiver}")], ["r"], 2, 0, 30))

    assert not hold.is_due(holding.FLUSH_SECONDS - 1)
    assert hold.is_due(holding.FLUSH_SECONDS)


def test_only_a_receive_that_waited_proves_that_a_queue_is_dry() -> None:
    """SQS asks a sample of its servers if it does not wait."""
    hold = Hold(Limits(), receivers=1, ends_at=60)
    at_once = hold.ask(0, 0)
    assert at_once is not None
    hold.answer(0, at_once, None)
    assert not hold.is_dry
    waiting = hold.ask(0, 0)
    assert waiting is not None
    assert waiting.waits
    hold.answer(0, waiting, None)
    assert hold.is_dry

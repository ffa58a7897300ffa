"""The emulator's index of messages has the outcome of a walk over all of them."""

from __future__ import annotations

from itertools import count
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from localcloud.emulator.backlog import Backlog

HELD = ("receipt_handle", "visible_at", "receive_count", "first_receive_at")
GROUPS = st.sampled_from("abc")


def message(number: int, group: str, visible_at: float) -> dict[str, Any]:
    return {
        "id": number,
        "group_id": group,
        "visible_at": visible_at,
        "receive_count": 0,
        "receipt_handle": None,
        "first_receive_at": None,
    }


class AgainstAWalk(RuleBasedStateMachine):
    """Compares the index with a plain list, from which the available messages are computed each time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.numbers, self.handles = count(1), count(1)
        self.backlog = Backlog([], lambda kept: kept["group_id"])
        self.sent: dict[int, dict[str, Any]] = {}  # by number, in sending order
        self.old_handles: list[str] = []
        self.saved: dict[int, dict[str, Any]] = {}  # by place

    def group(self, name: str) -> list[dict[str, Any]]:
        return [kept for kept in self.sent.values() if kept["group_id"] == name]

    def available(self) -> dict[str, list[int]]:
        """Return the numbers of the available messages, in order, of each group without a message in flight."""
        found = {}
        for name in "abc":
            kept = self.group(name)
            if any(each["receive_count"] and each["visible_at"] > self.now for each in kept):
                continue
            numbers = []
            for each in kept:
                if each["visible_at"] > self.now:
                    break
                numbers.append(each["id"])
            found[name] = numbers
        return found

    @rule(group=GROUPS, delay=st.sampled_from([0, 0, 0, 5]))
    def send(self, group: str, delay: int) -> None:
        new = message(next(self.numbers), group, self.now + delay)
        self.sent[new["id"]] = new
        self.backlog.append(new)

    @rule(most=st.integers(1, 4), seconds=st.sampled_from([3, 30]))
    def receive(self, most: int, seconds: int) -> None:
        available = self.available()
        taken = self.backlog.take(most, self.now, self.now + seconds, lambda: f"handle-{next(self.handles)}")
        assert len(taken) == min(most, sum(map(len, available.values())))
        for name in "abc":
            numbers = [each["id"] for each in taken if each["group_id"] == name]
            assert numbers == available.get(name, [])[: len(numbers)]
        self.old_handles += [each["receipt_handle"] for each in taken]

    @precondition(lambda self: self.old_handles)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        handle = data.draw(st.sampled_from(self.old_handles))
        holders = [number for number, kept in self.sent.items() if kept["receipt_handle"] == handle]
        assert self.backlog.delete(handle) == bool(holders)
        for number in holders:
            del self.sent[number]

    @precondition(lambda self: self.old_handles)
    @rule(data=st.data(), seconds=st.sampled_from([0, 10]))
    def hide(self, data: st.DataObject, seconds: int) -> None:
        handle = data.draw(st.sampled_from(self.old_handles))
        holders = [kept for kept in self.sent.values() if kept["receipt_handle"] == handle]
        assert self.backlog.hide(handle, self.now + seconds) == bool(holders)
        assert all(kept["visible_at"] == self.now + seconds for kept in holders)

    @rule(seconds=st.sampled_from([1, 4, 40]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def save(self) -> None:
        """Save as the emulator does with each request: new messages whole, and how the others are held."""
        if self.backlog.is_replaced:
            self.saved.clear()
        for place, kept, is_new in self.backlog.changes():
            if kept is None:
                self.saved.pop(place, None)
            elif is_new:
                assert place not in self.saved
                self.saved[place] = dict(kept)
            else:
                self.saved[place] |= {name: kept[name] for name in HELD}
        self.backlog.saved()
        assert not self.backlog.is_changed()

    @rule()
    def save_and_restore(self) -> None:
        self.save()
        kept = [dict(self.saved[place]) for place in sorted(self.saved)]
        assert kept == list(self.backlog)
        self.sent = {each["id"]: each for each in kept}
        self.backlog = Backlog(kept, lambda each: each["group_id"])

    @rule()
    def purge(self) -> None:
        self.backlog.clear()
        self.sent.clear()

    @invariant()
    def holds_what_was_sent_and_not_deleted(self) -> None:
        assert [kept["id"] for kept in self.backlog] == list(self.sent)
        assert len(self.backlog) == len(self.sent)


TestAgainstAWalk = AgainstAWalk.TestCase


def test_a_receive_takes_as_many_of_one_group_as_it_can() -> None:
    backlog = Backlog([message(n, "ab"[n % 2], 0.0) for n in range(8)], lambda kept: kept["group_id"])
    first = backlog.take(3, 1.0, 31.0, iter("xyz").__next__)
    assert [each["id"] for each in first] == [0, 2, 4]

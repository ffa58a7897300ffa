"""No schedule proves that a message has landed that still waits, although the counters lie as SQS's may.

The property is about every message that was sent before the proved moment: it has landed. So no partition closes for
which such a message waits. A message that is sent later, or that its sender has delayed until later, is late data.
The model assumes that only Sluice reads the queue, and that a long poll that returns nothing has found nothing visible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sluice.sources.queue.progress import Look, QueueProgress

START = datetime(2021, 5, 4, tzinfo=UTC)
VISIBILITY, LIMIT = 150, 100  # seconds
LAG = 60  # how many seconds after a message has changed the counters may still not show it
LANES = st.integers(0, 2)


@dataclass
class Sent:
    """A message. ``hidden_until`` is when it is visible; moments are seconds."""

    at: int
    group: int
    changed: int
    hidden_until: int = 0
    landed: bool = False


@dataclass
class Lane:
    """A drain that runs."""

    name: str
    ends_at: int
    held: list[Sent] = field(default_factory=list)
    received: int = 0


class Evidence(RuleBasedStateMachine):
    settling: ClassVar[timedelta] = timedelta(minutes=2)
    leaves_marks: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.now, self.names = 0, 0
        self.messages: list[Sent] = []
        self.lanes: dict[int, Lane] = {}
        self.progress = QueueProgress()

    # The world

    @rule(group=st.integers(0, 2))
    def send(self, group: int) -> None:
        self.messages.append(Sent(self.now, group, changed=self.now))

    @rule(seconds=st.sampled_from([1, 5, 30, 59, 60, 61, 90, 120, 200]))
    def time_passes(self, seconds: int) -> None:
        """A lane that lives beyond its time has died before."""
        self.now += seconds
        for number in [number for number, lane in self.lanes.items() if self.now >= lane.ends_at]:
            del self.lanes[number]
        for message in self.messages:
            if message.changed < message.hidden_until <= self.now:
                message.changed = message.hidden_until

    def visible(self) -> list[Sent]:
        """What a receive can return: while a message of a group is hidden, its later ones are not given."""
        found: list[Sent] = []
        for group in range(3):
            waiting = [each for each in self.messages if each.group == group and not each.landed]
            if not any(each.hidden_until > self.now for each in waiting):
                found += waiting
        return found

    def look(self, lies: bool) -> Look:
        """If the counters lie, they don't show what has changed within the last minute."""
        unlanded = [each for each in self.messages if not each.landed]
        shown = [each for each in unlanded if not lies or self.now - each.changed >= LAG]
        hidden = sum(each.hidden_until > self.now for each in shown)
        at = START + timedelta(seconds=self.now)
        return Look(at, len(shown) - hidden, hidden, 0, timedelta(seconds=VISIBILITY))

    # Sluice

    @rule(lies=st.booleans())
    def wait(self, lies: bool) -> None:
        self.progress = self.progress.looked(self.look(lies))

    @rule(lies=st.booleans())
    def close(self, lies: bool) -> None:
        self.progress = self.progress.settled(self.look(lies), self.settling)

    @rule(number=LANES)
    def begin(self, number: int) -> None:
        if number not in self.lanes:
            self.names += 1
            self.lanes[number] = Lane(f"lane {self.names}", self.now + LIMIT)
            if self.leaves_marks:
                until = START + timedelta(seconds=self.now + LIMIT + VISIBILITY)
                self.progress = self.progress.begun(self.lanes[number].name, until)

    @precondition(lambda self: self.lanes)
    @rule(number=LANES, most=st.integers(1, 4))
    def receive(self, number: int, most: int) -> None:
        if number in self.lanes:
            found = self.visible()[:most]
            for message in found:
                message.hidden_until, message.changed = self.now + VISIBILITY, self.now
            self.lanes[number].held += found
            self.lanes[number].received += len(found)

    @precondition(lambda self: self.lanes)
    @rule(number=LANES)
    def renew(self, number: int) -> None:
        for message in self.lanes[number].held if number in self.lanes else ():
            if message.hidden_until > self.now:
                message.hidden_until = self.now + VISIBILITY

    @precondition(lambda self: self.lanes)
    @rule(number=LANES, lies=st.booleans(), stops=st.booleans())
    def end(self, number: int, lies: bool, stops: bool) -> None:
        """Land what is held, or give it back on SIGTERM; the drain is dry if nothing is visible then."""
        if number in self.lanes:
            lane = self.lanes.pop(number)
            for message in lane.held:
                if not stops:
                    message.landed = True
                elif message.hidden_until > self.now:
                    message.hidden_until = message.changed = self.now
            self.progress = self.progress.ended(
                lane.name, self.look(lies), is_dry=not stops and not self.visible(), received=lane.received, times=()
            )

    @rule(lies=st.booleans())
    def drain_all(self, lies: bool) -> None:
        """A whole drain, so that schedules with many of them are short."""
        if 0 not in self.lanes:
            self.begin(0)
            for _ in range(3):
                self.receive(0, 100)
                for message in self.lanes[0].held:
                    message.landed = True
            self.end(0, lies, stops=False)

    @rule(number=LANES)
    def die_with_all(self, number: int) -> None:
        """A whole drain that dies, so that schedules with many of them are short."""
        if number not in self.lanes:
            self.begin(number)
            self.receive(number, 100)
            self.die(number)

    @precondition(lambda self: self.lanes)
    @rule(number=LANES)
    def die(self, number: int) -> None:
        self.lanes.pop(number, None)

    @invariant()
    def nothing_that_was_sent_before_the_proved_moment_waits(self) -> None:
        proved = self.progress.landed_until
        waiting = [each for each in self.messages if not each.landed]
        assert proved is None or all(START + timedelta(seconds=each.at) >= proved for each in waiting)

    def teardown(self) -> None:
        """In the end, whatever happened before, it is proved that everything has landed."""
        self.lanes.clear()
        self.time_passes(LIMIT + VISIBILITY)
        last = self.now
        self.drain_all(lies=False)
        for _ in range(3):
            self.time_passes(LAG)
            self.close(lies=False)
        assert all(each.landed for each in self.messages)
        assert self.progress.landed_until is not None
        assert self.progress.landed_until >= START + timedelta(seconds=last)


def run(machine: type[Evidence], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_schedule_proves_too_much() -> None:
    run(Evidence, examples=300)


@pytest.mark.chaos
def test_no_schedule_of_many_proves_too_much() -> None:
    run(Evidence, examples=5_000)


@pytest.mark.parametrize(
    "broken",
    [{"settling": timedelta(0)}, {"leaves_marks": False}],
    ids=["one zero is enough", "a dead drain leaves no mark"],
)
def test_simulation_finds_the_schedule_that_breaks_a_weaker_rule(broken: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        run(type("Broken", (Evidence,), broken), examples=2_000)

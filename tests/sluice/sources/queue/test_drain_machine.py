"""Landing as a state machine: any order of sending, draining, closing and transforming keeps the promises."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.calendars import utc_ranges
from tests.conftest import Cloud
from tests.draining import ALL_LANDED, backlog, drain, workspace_of
from tests.sluice.lake_contents import manifest_json, rows_of
from tests.sluice.toy import EVENTS, TOY, reading

from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence, close_source
from sluice.landing.parts import Limits
from sluice.sources.queue import drain as landing
from sluice.steps.runner import run_step

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 5
LATENESS = timedelta(hours=1)
EVENT = st.tuples(st.integers(0, 9), st.sampled_from([1, 1, 2, "malformed"]))  # which event, in which content
_numbers = count()


class Landing(RuleBasedStateMachine):
    """The model is what was sent, message by message, and what each read of the manifests has returned."""

    cloud: Cloud

    def __init__(self) -> None:
        super().__init__()
        name = f"landing-{next(_numbers)}"
        self.sqs, s3 = self.cloud.client("sqs"), self.cloud.client("s3")
        s3.create_bucket(Bucket=name)
        self.now = FIRST + timedelta(days=1, hours=2)
        self.lake = Lake(s3, name, "toy", lambda: self.now)
        self.queue = self.sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        self.waiting: list[str] = []
        self.landed: list[str] = []
        self.sent = 0
        self.seen: dict[str, tuple[str, int, int]] = {}  # day: state, revision, rows

    # Events from outside

    @rule(events=st.lists(EVENT, min_size=1, max_size=9))
    def send(self, events: list[tuple[int, Any]]) -> None:
        """An event has the same time and group in every content: no other event has its id."""
        for event, content in events:
            body = reading(f"event-{event}", FIRST + timedelta(hours=event * 37 % (24 * DAYS)), content)
            self.sent += 1
            self.sqs.send_message(
                QueueUrl=self.queue,
                MessageBody=body,
                MessageGroupId=f"g{event % 3}",
                MessageDeduplicationId=f"{self.sent}",
            )
            self.waiting.append(body)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    # What Sluice does, and what must hold after each of it

    @rule(most=st.sampled_from([10, 10_000]))
    def drain(self, most: int) -> None:
        drained = drain(self.sqs, self.queue, self.lake, EVENTS, Limits(messages=most))
        if drained.empty:
            self.landed, self.waiting = self.landed + self.waiting, []
        self.check_raw()

    @precondition(lambda self: self.landed)
    @rule()
    def close(self) -> None:
        empty = backlog(self.sqs, self.queue) == 0
        before = self.manifests()
        ranges = close_source(self.lake, TOY, EVENTS, ALL_LANDED if empty else Evidence(landed_until=None))

        after = self.manifests()
        for key, manifest in after.items():
            day = datetime.fromisoformat(key.removeprefix("dt=")).replace(tzinfo=UTC)
            is_due = empty and day + timedelta(days=1) <= self.now - LATENESS
            was_closed = key in before and before[key]["state"] == "closed"
            assert (manifest["state"] == "closed") == (is_due or was_closed), key
        closed = {key for key, manifest in after.items() if manifest["state"] == "closed"}
        assert {partition.key for partition in utc_ranges(ranges)} == closed
        self.check_raw()

    @rule()
    def transform(self) -> None:
        for key, manifest in self.manifests().items():
            if manifest["state"] == "closed":
                run_step(workspace_of(self.lake, TOY), "conform", key)
                self.check_conformed(key)

    def check_raw(self) -> None:
        """What left the queue is in recorded parts once; what was closed stays so, and each change of it counts."""
        manifests = self.manifests()
        bodies = Counter(row["body"] for key in manifests for row in rows_of(self.lake, "raw/events", key))
        assert bodies.total() + backlog(self.sqs, self.queue) == self.sent
        assert bodies <= Counter(self.landed + self.waiting)
        assert sum(manifest["rows_out"] for manifest in manifests.values()) == bodies.total()
        for key, manifest in manifests.items():
            now = (manifest["state"], manifest["revision"], manifest["rows_out"])
            state, revision, rows = self.seen.get(key, ("open", 0, 0))
            if state == "closed":
                assert now[0] == "closed"
                assert (now[1] > revision) == (now[2] > rows)
            elif now[0] == "open":
                assert now[1] == 0
            self.seen[key] = now

    def check_conformed(self, key: str) -> None:
        """The first valid content of each event in the order of its group, derived independently."""
        made = manifest_json(self.lake, "conform", key)
        raw = sorted(rows_of(self.lake, "raw/events", key), key=lambda row: (row["group"], int(row["sequence_number"])))
        expected: dict[str, Any] = {}
        for row in raw:
            body = json.loads(row["body"])
            if isinstance(body["value"], int):
                expected.setdefault(body["id"], body["value"])
        rows = rows_of(self.lake, "conform", key)
        assert {row["id"]: row["value"] for row in rows} == expected
        assert len(rows) == len(expected)
        assert len(rows) + made["duplicates"] + sum(made["rejected"].values()) == len(raw)

    def teardown(self) -> None:
        """In the end everything is landed, closed and conformed: each valid event exactly once over all days."""
        if self.sent:
            self.drain(10_000)
            self.now = FIRST + timedelta(days=DAYS + 2)
            close_source(self.lake, TOY, EVENTS, ALL_LANDED)
            self.transform()
            keys = [partition.key for partition in self.lake.partitions("conform")]
            ids = Counter(row["id"] for key in keys for row in rows_of(self.lake, "conform", key))
            valid = {json.loads(body)["id"] for body in self.landed if '"malformed"' not in body}
            assert ids == Counter(valid)
        self.sqs.delete_queue(QueueUrl=self.queue)

    def manifests(self) -> dict[str, dict[str, Any]]:
        keys = [partition.key for partition in self.lake.partitions("raw/events")]
        return {key: manifest_json(self.lake, "raw/events", key) for key in keys}


@pytest.fixture
def machine(cloud: Cloud, toy_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(landing, "_LONG_POLL_SECONDS", 0)
    return type("LandingHere", (Landing,), {"cloud": cloud})


def _run(machine: Any, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate],  # a history takes a second: to search for a shorter one would take many minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_landing_keeps_its_promises_in_any_order_of_events(machine: Any) -> None:
    _run(machine, examples=5, steps=10)


@pytest.mark.chaos
def test_landing_keeps_its_promises_over_many_histories(machine: Any) -> None:
    _run(machine, examples=30, steps=30)

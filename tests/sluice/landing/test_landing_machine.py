"""Landing as a state machine: any order of sending, draining, closing and transforming keeps the promises."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.conftest import Cloud
from tests.sluice.lake_contents import manifest_json, rows_of
from tests.sluice.toy import EVENTS, TOY, reading

from sluice.lake import Lake
from sluice.landing import queue as landing
from sluice.landing.closing import close_source
from sluice.landing.queue import Limits, backlog, drain
from sluice.partitions import parse_ranges
from sluice.pipeline import Pipeline
from sluice.steps.runner import run_step

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 5
LATENESS = timedelta(hours=1)
_numbers = count()


class Landing(RuleBasedStateMachine):
    """The model is what was sent, message by message, and what each look at the manifests has shown."""

    cloud: Cloud

    def __init__(self) -> None:
        super().__init__()
        name = f"landing-{next(_numbers)}"
        self.sqs, s3 = self.cloud.client("sqs"), self.cloud.client("s3")
        s3.create_bucket(Bucket=name)
        self.now = FIRST
        self.lake = Lake(s3, name, "toy", lambda: self.now)
        self.queue = self.sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        self.waiting: list[str] = []
        self.landed: list[str] = []
        self.sent = 0
        self.seen: dict[str, tuple[str, int, int]] = {}  # day: state, revision, parts

    # What the world does

    @rule(event=st.integers(0, 9), content=st.sampled_from([1, 1, 1, 2, "malformed"]))
    def send(self, event: int, content: Any) -> None:
        """An event has its time and its group whatever its content: an id is not taken by another event."""
        moment = FIRST + timedelta(hours=event * 37 % (24 * DAYS))
        body = reading(f"event-{event}", moment, content)
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

    # What Sluice does

    @rule(most=st.sampled_from([10, 10_000]))
    def drain(self, most: int) -> None:
        drained = drain(self.sqs, self.queue, self.lake, EVENTS, "day", Limits(messages=most))
        if drained.empty:
            self.landed, self.waiting = self.landed + self.waiting, []

    @precondition(lambda self: self.landed)
    @rule()
    def close(self) -> None:
        empty = backlog(self.sqs, self.queue) == 0
        before = {key: self.manifest(key) for key in self.partitions()}
        ranges = close_source(self.lake, EVENTS, drained_empty=empty)

        highest = max(
            (manifest["last_event_time"] for manifest in before.values() if manifest["last_event_time"]), default=None
        )
        passed = self.now if empty else min(datetime.fromisoformat(str(highest)), self.now)
        for key in self.partitions():
            day = datetime.fromisoformat(key.removeprefix("dt=")).replace(tzinfo=UTC)
            is_due = day + timedelta(days=1) <= passed - LATENESS
            was_closed = key in before and before[key]["state"] == "closed"
            assert (self.manifest(key)["state"] == "closed") == (is_due or was_closed), key
        closed = {key for key in self.partitions() if self.manifest(key)["state"] == "closed"}
        assert {partition.key for partition in parse_ranges(ranges)} == closed

    @rule()
    def transform(self) -> None:
        for key in self.partitions():
            if self.manifest(key)["state"] == "closed":
                run_step(self.lake, TOY, "conform", key)

    # What must hold after everything

    @invariant()
    def a_closed_partition_stays_closed_and_every_change_raises_its_revision(self) -> None:
        for key in self.partitions():
            manifest = self.manifest(key)
            now = (manifest["state"], manifest["revision"], len(manifest["files"]))
            state, revision, parts = self.seen.get(key, ("open", 0, 0))
            if state == "closed":
                assert now[0] == "closed"
                assert now[1] - revision == now[2] - parts
            elif now[0] == "open":
                assert now[1] == 0
            self.seen[key] = now

    @invariant()
    def what_left_the_queue_is_in_recorded_parts_once(self) -> None:
        bodies = Counter(row["body"] for key in self.partitions() for row in rows_of(self.lake, "raw/events", key))
        queued = backlog(self.sqs, self.queue)
        assert bodies.total() + queued == self.sent
        assert bodies <= Counter(self.landed + self.waiting)
        rows = sum(self.manifest(key)["rows_out"] for key in self.partitions())
        assert rows == bodies.total()

    @invariant()
    def conformed_rows_are_those_of_the_raw_partition_they_were_made_from(self) -> None:
        for partition in self.lake.partitions("conform"):
            made = manifest_json(self.lake, "conform", partition.key)
            raw = self.lake.manifest("raw/events", partition)
            assert raw is not None
            if made["inputs"] == {f"raw/events/{partition.key}": raw.digest}:
                self.check_conformed(partition.key, made)

    def check_conformed(self, key: str, made: dict[str, Any]) -> None:
        """The first valid content of each event in the order of its group, written down anew."""
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
            close_source(self.lake, EVENTS, drained_empty=True)
            self.transform()
            self.conformed_rows_are_those_of_the_raw_partition_they_were_made_from()
            keys = [partition.key for partition in self.lake.partitions("conform")]
            ids = Counter(row["id"] for key in keys for row in rows_of(self.lake, "conform", key))
            valid = {json.loads(body)["id"] for body in self.landed if '"malformed"' not in body}
            assert ids == Counter(valid)
        self.sqs.delete_queue(QueueUrl=self.queue)

    def partitions(self) -> list[str]:
        return [partition.key for partition in self.lake.partitions("raw/events")]

    def manifest(self, key: str) -> dict[str, Any]:
        return manifest_json(self.lake, "raw/events", key)


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
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_landing_keeps_its_promises_whatever_happens_in_which_order(machine: Any) -> None:
    _run(machine, examples=6, steps=15)


@pytest.mark.chaos
def test_landing_keeps_its_promises_over_many_histories(machine: Any) -> None:
    _run(machine, examples=30, steps=30)

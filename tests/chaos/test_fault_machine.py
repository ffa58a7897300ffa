"""Landing under faults as a state machine: any order of sending, draining, closing and transforming, any faults."""

from __future__ import annotations

from itertools import count
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.chaos.audit import missing, read
from tests.chaos.conftest import Flights
from tests.chaos.faults import DISK_FULL, SLOW_DOWN, TOO_FAST, Fault, Partial, Refuse, Reset, Rule
from tests.chaos.proxy import Proxy
from tests.chaos.seeds import seeded
from tests.chaos.trial import TROUBLE, Trial, is_one_line
from tests.conftest import Cloud
from tests.draining import backlog, workspace_of

from sluice.declaration.loading import load_pipeline
from sluice.landing.parts import Limits
from sluice.sending.lanes import Event
from sluice.steps.runner import run_step

_numbers = count()
_LOST, _CUT = Reset(happened=True), Reset(happened=False)
FAULTS: list[tuple[str, list[Fault]]] = [
    ("s3:PutObject */part-*", [SLOW_DOWN, DISK_FULL, _LOST, _CUT]),
    ("s3:PutObject *_manifest.json", [SLOW_DOWN, DISK_FULL, _LOST, _CUT]),
    ("s3:GetObject *", [SLOW_DOWN, _CUT]),
    ("sqs:ReceiveMessage *", [TOO_FAST, _LOST, _CUT]),
    ("sqs:DeleteMessageBatch *", [TOO_FAST, _LOST, _CUT, Partial(0.5), Partial(1.0)]),
    ("sqs:*", [TOO_FAST, Refuse(403, "AccessDenied")]),
]
RULES = st.lists(
    st.sampled_from([(calls, fault) for calls, faults in FAULTS for fault in faults]).flatmap(
        lambda chosen: st.builds(
            Rule,
            st.just(chosen[0]),
            st.just(chosen[1]),
            rate=st.sampled_from([0.3, 1.0, 1.0]),
            after=st.sampled_from([0, 0, 1, 3]),
            times=st.sampled_from([1, 2, 6, 12]),  # a call is tried six times in all
        )
    ),
    min_size=1,
    max_size=3,
)


class Landing(RuleBasedStateMachine):
    """At any moment what is in no recorded part is on the queue; in the end the checker finds no fault."""

    cloud: Cloud
    events: list[Event]

    def __init__(self) -> None:
        super().__init__()
        self.trial = Trial(self.cloud, f"faults-{next(_numbers)}", load_pipeline("flights"), visibility_seconds=2)
        self.next = 0
        self.errors: list[Exception] = []

    @initialize(many=st.integers(20, 60))
    def begin(self, many: int) -> None:
        self.send_next(many)

    @rule(many=st.integers(1, 60))
    def send(self, many: int) -> None:
        self.send_next(many)

    def send_next(self, many: int) -> None:
        self.trial.send(self.events[self.next : self.next + many])
        self.next += many

    @precondition(lambda self: self.next)
    @rule(many=st.integers(1, 20))
    def send_again(self, many: int) -> None:
        """After the deduplication window: under other ids."""
        for event in self.events[max(0, self.next - many) : self.next]:
            self.trial.put(event.group, event.body, f"again-{len(self.trial.sent)}", event.id)

    @rule(rules=RULES, seed=st.integers(0, 9), most=st.sampled_from([20, 10_000]))
    def drain(self, rules: list[Rule], seed: int, most: int) -> None:
        with Proxy(self.cloud.endpoint_url, seed, *rules) as proxy:
            self.attempt(lambda: self.trial.drain(proxy.url, Limits(messages=most)))
        self.check()

    @rule(rules=RULES, seed=st.integers(0, 9))
    def close(self, rules: list[Rule], seed: int) -> None:
        with Proxy(self.cloud.endpoint_url, seed, *rules) as proxy:
            self.attempt(lambda: self.trial.close(proxy.url))
        self.check()

    @rule(rules=RULES, seed=st.integers(0, 9))
    def transform(self, rules: list[Rule], seed: int) -> None:
        ranges = self.trial.close()
        with Proxy(self.cloud.endpoint_url, seed, *rules) as proxy:
            lake = self.trial.lake(proxy.url)
            self.attempt(lambda: run_step(workspace_of(lake, self.trial.pipeline), "conform", ranges))

    def attempt(self, work: Any) -> None:
        try:
            work()
        except TROUBLE as error:
            self.errors.append(error)

    def check(self) -> None:
        assert all(map(is_one_line, self.errors))
        here = self.trial
        waiting = backlog(here.sqs, here.queue)
        lost = missing(read(here.s3, here.bucket, here.pipeline.name, here.source.name), here.sent)
        assert len(lost) <= waiting, lost

    def teardown(self) -> None:
        if self.next:
            self.trial.finish()
        self.trial.sqs.delete_queue(QueueUrl=self.trial.queue)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@seeded(2)
def test_landing_keeps_its_promises_under_faults_in_any_order(cloud: Cloud, flights: Flights, seed: int) -> None:
    machine = type("LandingHere", (Landing,), {"cloud": cloud, "events": flights(2000)})
    run_state_machine_as_test(
        hypothesis.seed(seed)(machine),
        settings=settings(
            max_examples=10,
            stateful_step_count=10,
            phases=[Phase.generate],  # a history takes many seconds: to search for a shorter one would take hours
            suppress_health_check=list(HealthCheck),
        ),
    )

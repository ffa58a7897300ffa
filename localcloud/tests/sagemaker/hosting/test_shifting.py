"""Traffic is shifted step by step, and back to the old fleet if an alarm goes off or the time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.sagemaker.hosting.manual_clock import ManualClock
from tests.sagemaker.hosting.test_fleet import variants
from tests.sagemaker.hosting.test_rollout import canary, linear, size

from localcloud.sagemaker.data import aws
from localcloud.sagemaker.hosting import rollout
from localcloud.sagemaker.hosting.fleet import Fleet
from localcloud.sagemaker.hosting.rollout import Step
from localcloud.sagemaker.hosting.shifting import Alarms, RolledBackError, Shift, StoppedError, TrafficShifter
from localcloud.testing.clouds import Cloud, free_ports
from localcloud.testing.waiting import wait_for

TIMEOUT = 1800


class Deployment:
    """A shift under way in a thread, by a clock that the test advances."""

    def __init__(self, config: dict[str, Any], cloudwatch: Any) -> None:
        self.clock = ManualClock()
        self.fleet = Fleet()
        self.steps: list[Step] = []
        old, new = variants("old", v=1), variants("new", v=1)
        self.fleet.switch("e", old)
        plan = rollout.plan(config, {"v": 4})
        self._shift = Shift("e", old, new, plan, ends=self.clock.time() + plan.timeout)
        self._shifter = TrafficShifter(self.fleet, Alarms(cloudwatch), self.clock)
        self._thread = ThreadPoolExecutor(1)
        self.done: Future[None] = Future()

    def start(self, report: Callable[[Step], Any] | None = None) -> None:
        self.done = self._thread.submit(self._shifter.run, self._shift, report or self.steps.append)

    def shares(self) -> Counter[str]:
        """Return how many of 20 requests each fleet gets."""
        return Counter(self.fleet.choose("e", None).config for _ in range(20))

    def at(self, step: int) -> None:
        """Wait until so many steps are reported and the bake of the last one is under way."""
        wait_for(lambda: len(self.steps) == step, what=f"step {step}")
        self.clock.asleep()

    def close(self) -> None:
        self.clock.stop()
        self._thread.shutdown()


@pytest.fixture
def cloudwatch(cloud: Cloud) -> Any:
    return cloud.client("cloudwatch")


@pytest.fixture
def alarm(cloudwatch: Any, request: pytest.FixtureRequest) -> str:
    """An alarm for this test, without data."""
    name: str = request.node.name
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Shifting",
        MetricName=name,
        Statistic="Sum",
        Period=3600,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    return name


@pytest.fixture
def deployments() -> Iterator[list[Deployment]]:
    started: list[Deployment] = []
    yield started
    for each in started:
        each.close()


def start(deployments: list[Deployment], config: dict[str, Any], cloudwatch: Any, *alarms: str) -> Deployment:
    watched = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    deployment = Deployment(config | watched, cloudwatch)
    deployments.append(deployment)
    deployment.start()
    return deployment


def test_a_canary_gets_its_share_for_the_whole_bake_and_then_all(
    deployments: list[Deployment], cloudwatch: Any, alarm: str
) -> None:
    config = canary(size(25), wait=600, TerminationWaitInSeconds=120)
    deployment = start(deployments, config, cloudwatch, alarm)
    deployment.at(1)
    deployment.clock.advance(599)
    assert deployment.shares() == {"old": 15, "new": 5}
    deployment.clock.advance(1)
    deployment.at(2)
    assert deployment.shares() == {"new": 20}
    deployment.clock.advance(119)
    assert not deployment.done.done(), "the old fleet is kept until the last bake is over"
    deployment.clock.advance(1)
    assert deployment.done.result(10) is None


def test_linear_steps_follow_one_another(deployments: list[Deployment], cloudwatch: Any) -> None:
    deployment = start(deployments, linear(size(40), wait=300), cloudwatch)
    seen = []
    for step in (1, 2):
        deployment.at(step)
        seen.append(deployment.shares()["new"])
        deployment.clock.advance(300)
    deployment.done.result(10)
    assert [*seen, deployment.shares()["new"]] == [8, 16, 20]


@pytest.mark.parametrize("step", [1, 2])
def test_an_alarm_in_a_bake_returns_all_traffic(
    deployments: list[Deployment], cloudwatch: Any, alarm: str, step: int
) -> None:
    config = canary(size(25), wait=600, TerminationWaitInSeconds=600)
    deployment = start(deployments, config, cloudwatch, alarm)
    for each in range(1, step):
        deployment.at(each)
        deployment.clock.advance(600)
    deployment.at(step)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")
    deployment.clock.advance(2)
    with pytest.raises(RolledBackError, match=f"went into the ALARM state during the deployment: .*{alarm[:10]}"):
        deployment.done.result(10)
    assert deployment.shares() == {"old": 20}


def test_no_traffic_is_shifted_if_an_alarm_is_already_off(
    deployments: list[Deployment], cloudwatch: Any, alarm: str
) -> None:
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")
    deployment = start(deployments, canary(size(25)), cloudwatch, alarm)
    with pytest.raises(RolledBackError):
        deployment.done.result(10)
    assert deployment.steps == []
    assert deployment.shares() == {"old": 20}


def test_a_composite_alarm_counts_as_well(deployments: list[Deployment], cloudwatch: Any, alarm: str) -> None:
    cloudwatch.put_composite_alarm(AlarmName=f"all-{alarm}", AlarmRule=f'ALARM("{alarm}")')
    deployment = start(deployments, canary(size(25)), cloudwatch, f"all-{alarm}")
    deployment.at(1)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")
    deployment.clock.advance(2)
    with pytest.raises(RolledBackError, match=f"all-{alarm}"):
        deployment.done.result(10)


def test_a_deployment_that_takes_too_long_is_rolled_back(deployments: list[Deployment], cloudwatch: Any) -> None:
    config = linear(size(10), wait=300, MaximumExecutionTimeoutInSeconds=TIMEOUT)
    deployment = start(deployments, config, cloudwatch)
    for step in range(1, 7):
        deployment.at(step)
        deployment.clock.advance(300)
    deployment.at(7)
    deployment.clock.advance(1)
    with pytest.raises(RolledBackError, match="within its maximum execution timeout of 1800 seconds"):
        deployment.done.result(10)
    assert deployment.shares() == {"old": 20}


def test_no_traffic_is_shifted_while_cloudwatch_does_not_answer(deployments: list[Deployment]) -> None:
    away = aws.cloudwatch_client(f"http://127.0.0.1:{free_ports(1)[0]}")
    config = canary(size(25), wait=0, MaximumExecutionTimeoutInSeconds=TIMEOUT)
    deployment = start(deployments, config, away, "any")
    deployment.clock.asleep()
    deployment.clock.advance(TIMEOUT - 1)
    assert deployment.steps == []
    deployment.clock.advance(2)
    with pytest.raises(RolledBackError, match="maximum execution timeout"):
        deployment.done.result(10)


def test_an_error_of_the_stand_in_returns_all_traffic(deployments: list[Deployment], cloudwatch: Any) -> None:
    deployment = Deployment(canary(size(25), wait=0), cloudwatch)
    deployments.append(deployment)
    deployment.start(report=lambda step: step.shares["unknown"])
    with pytest.raises(KeyError):
        deployment.done.result(10)
    assert deployment.shares() == {"old": 20}


def test_traffic_stays_as_it_is_when_the_stand_in_ends(deployments: list[Deployment], cloudwatch: Any) -> None:
    deployment = start(deployments, canary(size(25)), cloudwatch)
    deployment.at(1)
    deployment.clock.stop()
    with pytest.raises(StoppedError):
        deployment.done.result(10)
    assert deployment.shares() == {"old": 15, "new": 5}

"""The steps of a deployment, and which DeploymentConfigs are refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.sagemaker.hosting.rollout import InvalidDeploymentConfigError, Step, check, check_fleets, plan


def size(value: int, kind: str = "CAPACITY_PERCENT") -> dict[str, Any]:
    return {"Type": kind, "Value": value}


def blue_green(routing: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **members}}


def canary(canary_size: dict[str, Any], wait: int = 600, **members: Any) -> dict[str, Any]:
    return blue_green({"Type": "CANARY", "CanarySize": canary_size, "WaitIntervalInSeconds": wait}, **members)


def linear(step_size: dict[str, Any], wait: int = 300, **members: Any) -> dict[str, Any]:
    return blue_green({"Type": "LINEAR", "LinearStepSize": step_size, "WaitIntervalInSeconds": wait}, **members)


def rolling(batch: dict[str, Any], wait: int = 60) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait}}


def steps_of(config: dict[str, Any], instances: int) -> list[tuple[float, str, float, str]]:
    """Return share, stage, seconds and their member of each step, for an endpoint with one variant."""
    return [
        (round(step.shares["v"], 4), step.stage, step.seconds, step.wait)
        for step in plan(config, {"v": instances}).steps
    ]


def test_without_a_config_all_traffic_is_shifted_at_once() -> None:
    assert steps_of({}, 2) == [(1.0, "full", 0, "TerminationWaitInSeconds")]
    assert plan({}, {"v": 2}).alarms == ()


def test_a_canary_bakes_and_then_the_whole_fleet() -> None:
    config = canary(size(30), TerminationWaitInSeconds=120, MaximumExecutionTimeoutInSeconds=1800)
    assert steps_of(config, 3) == [
        (0.3, "canary", 600, "WaitIntervalInSeconds"),
        (1.0, "full", 120, "TerminationWaitInSeconds"),
    ]
    assert (plan(config, {"v": 3}).seconds, plan(config, {"v": 3}).timeout) == (720, 1800)
    assert steps_of(canary(size(1, "INSTANCE_COUNT")), 4)[0][0] == 0.25


def test_linear_steps_bake_one_by_one() -> None:
    assert steps_of(linear(size(30)), 10) == [
        (0.3, "linear", 300, "WaitIntervalInSeconds"),
        (0.6, "linear", 300, "WaitIntervalInSeconds"),
        (0.9, "linear", 300, "WaitIntervalInSeconds"),
        (1.0, "full", 0, "TerminationWaitInSeconds"),
    ]
    assert [share for share, *_ in steps_of(linear(size(1, "INSTANCE_COUNT")), 3)] == [0.3333, 0.6667, 1.0]


def test_every_batch_of_a_rolling_update_bakes() -> None:
    assert steps_of(rolling(size(50)), 2) == [
        (0.5, "batch", 60, "WaitIntervalInSeconds"),
        (1.0, "batch", 60, "WaitIntervalInSeconds"),
    ]


@pytest.mark.parametrize(
    ("wait", "termination", "bake"),
    [
        (0, 0, (0, "TerminationWaitInSeconds")),
        (5, 0, (5, "WaitIntervalInSeconds")),
        (5, 9, (9, "TerminationWaitInSeconds")),
    ],
)
def test_all_at_once_bakes_for_the_longer_wait(wait: int, termination: int, bake: tuple[float, str]) -> None:
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": wait}
    config = blue_green(routing, TerminationWaitInSeconds=termination)
    assert steps_of(config, 1) == [(1.0, "full", *bake)]


def test_each_variant_shifts_by_its_own_instances() -> None:
    steps = plan(linear(size(1, "INSTANCE_COUNT")), {"small": 2, "large": 4}).steps
    assert [dict(step.shares) for step in steps] == [
        {"small": 0.5, "large": 0.25},
        {"small": 1.0, "large": 0.5},
        {"small": 1.0, "large": 0.75},
        {"small": 1.0, "large": 1.0},
    ]
    assert steps[0].active({"small": 2, "large": 4}) == {"small": 1, "large": 1}


@given(
    kind=st.sampled_from(["linear", "canary", "rolling"]),
    percent=st.integers(10, 50),
    instances=st.integers(1, 50),
    wait=st.integers(0, 3600),
)
def test_the_steps_of_every_config_rise_to_all_traffic(kind: str, percent: int, instances: int, wait: int) -> None:
    make = {"linear": linear, "canary": canary, "rolling": rolling}[kind]
    config = make(size(percent), wait=wait)
    check(config)
    check_fleets(config, {"v": 1}, {"v": instances})
    steps = plan(config, {"v": instances}).steps
    shares = [0.0, *(step.shares["v"] for step in steps)]
    rises = [after - before for before, after in itertools.pairwise(shares)]
    assert all(rise > 0 for rise in rises)
    assert [step.is_full for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(step.seconds == wait for step in steps[:-1])
    active = [step.active({"v": instances})["v"] for step in steps]
    assert active == sorted(active)
    assert active[-1] == instances
    if kind == "canary":
        assert len(steps) == 2
    else:
        assert all(abs(rise - percent / 100) < 1e-9 for rise in rises[:-1])
        assert rises[-1] <= percent / 100 + 1e-9


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (blue_green({"Type": "CANARY", "WaitIntervalInSeconds": 1}), "CanarySize is required"),
        (blue_green({"Type": "LINEAR", "WaitIntervalInSeconds": 1}), "LinearStepSize is required"),
        (
            blue_green({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 1, "CanarySize": size(10)}),
            "CanarySize is not supported for the traffic routing type ALL_AT_ONCE",
        ),
        (canary(size(10)) | rolling(size(10)), "Only one update policy"),
        ({"AutoRollbackConfiguration": {"Alarms": [{}]}}, "needs an AlarmName"),
        (
            canary(size(10), wait=400, TerminationWaitInSeconds=200, MaximumExecutionTimeoutInSeconds=600),
            r"MaximumExecutionTimeoutInSeconds \(600\) must be larger than the total waiting time of .* \(600\)",
        ),
    ],
    ids=["no canary", "no step", "canary of all", "two policies", "alarm without a name", "waits beyond the time-out"],
)
def test_an_invalid_config_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDeploymentConfigError, match=message):
        check(config)


def test_waits_below_the_time_out_are_accepted() -> None:
    check(canary(size(10), wait=400, TerminationWaitInSeconds=199, MaximumExecutionTimeoutInSeconds=600))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (canary(size(51)), r"CanarySize must be less than or equal to 50% .* of variant v \(3\)"),
        (canary(size(2, "INSTANCE_COUNT")), "CanarySize must be less than or equal to 50%"),
        (linear(size(9)), "LinearStepSize must be between 10% and 50%"),
        (linear(size(51)), "LinearStepSize must be between 10% and 50%"),
        (rolling(size(4)), "MaximumBatchSize must be between 5% and 50%"),
    ],
    ids=["canary too large", "canary of two in three", "step too small", "step too large", "batch too small"],
)
def test_a_size_that_does_not_fit_the_fleet_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDeploymentConfigError, match=message):
        check_fleets(config, {"v": 3}, {"v": 3})


def test_steps_need_variants_of_the_same_names_and_rolling_ones_a_single_variant() -> None:
    with pytest.raises(InvalidDeploymentConfigError, match=r"variants of the same names: .*\['old'\].*\['new'\]"):
        check_fleets(canary(size(10)), {"old": 1}, {"new": 1})
    check_fleets({}, {"old": 1}, {"new": 1})
    with pytest.raises(InvalidDeploymentConfigError, match="RollingUpdatePolicy is not supported"):
        check_fleets(rolling(size(10)), {"a": 1, "b": 1}, {"a": 1, "b": 1})


def test_at_least_one_instance_is_active() -> None:
    assert Step({"v": 0.1}, "canary", 0, "").active({"v": 1}) == {"v": 1}

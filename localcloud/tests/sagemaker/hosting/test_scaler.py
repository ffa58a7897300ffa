"""How many instances a variant should have, by its policy, its bounds and its cooldowns."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.sagemaker.hosting.scaler import wanted

NOW = 10_000.0


def target(*, scaled: float | None = None, least: int = 1, most: int = 5, **tracking: Any) -> Any:
    """A target whose policy was put an hour ago and asks for 100 invocations a minute of each instance."""
    policy = {
        "CreationTime": NOW - 3600,
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 100.0, **tracking},
    }
    return {
        "MinCapacity": least,
        "MaxCapacity": most,
        "Policies": {"p": policy},
        **({} if scaled is None else {"ScaledTime": NOW - scaled}),
    }


@pytest.mark.parametrize(
    ("invocations", "instances", "expected"),
    [(0, 1, 1), (100, 1, 1), (101, 1, 2), (450, 1, 5), (10_000, 1, 5), (150, 4, 2), (0, 3, 1)],
)
def test_each_instance_gets_at_most_the_target_value(invocations: int, instances: int, expected: int) -> None:
    assert wanted(target(), instances, invocations, NOW) == expected


def test_bounds_hold_without_a_policy() -> None:
    unruled = {**target(least=2, most=3), "Policies": {}}

    assert [wanted(unruled, instances, 0, NOW) for instances in (1, 2, 3, 4)] == [2, 2, 3, 3]


@pytest.mark.parametrize(("cooldown", "scaled", "expected"), [(60, 59, 1), (60, 60, 3), (None, 299, 1), (None, 300, 3)])
def test_scaling_out_waits_for_its_cooldown(cooldown: int | None, scaled: float, expected: int) -> None:
    tracking = {} if cooldown is None else {"ScaleOutCooldown": cooldown}

    assert wanted(target(scaled=scaled, **tracking), 1, 250, NOW) == expected


@pytest.mark.parametrize(("cooldown", "scaled", "expected"), [(60, 59, 4), (60, 60, 1), (None, 299, 4), (None, 300, 1)])
def test_scaling_in_waits_for_its_cooldown(cooldown: int | None, scaled: float, expected: int) -> None:
    tracking = {} if cooldown is None else {"ScaleInCooldown": cooldown}

    assert wanted(target(scaled=scaled, **tracking), 4, 10, NOW) == expected


def test_new_policy_scales_in_only_after_its_cooldown() -> None:
    new = target(ScaleInCooldown=120)
    new["Policies"]["p"]["CreationTime"] = NOW - 119

    assert wanted(new, 4, 10, NOW) == 4


def test_scaling_in_may_be_disabled() -> None:
    assert wanted(target(DisableScaleIn=True), 4, 10, NOW) == 4

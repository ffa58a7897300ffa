"""The plan of a deployment: what was requested of an endpoint, and how far it is.

A worker may be killed at any moment. So the plan is in the lake before the endpoint is changed, and the next try, or
another program, reads it there and goes on.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.errors import DeploymentFailed
from sluice.lake.store import Lake
from sluice.serving.recipe import Recipe
from sluice.training.models import Model

Phase = Literal["requesting", "proving", "restoring", "ended"]


class Target(BaseModel):
    """What should be live: a model behind a configuration, and the number of the verdict that chose it."""

    model_config = ConfigDict(frozen=True)

    model: Model
    recipe: Recipe
    verdict: int

    @property
    def config(self) -> str:
        """The name of the endpoint configuration."""
        return self.recipe.config_name


class Plan(BaseModel):
    """The plan for one endpoint.

    ``former`` is the configuration to restore after a failure; None: there was no endpoint. ``former_recipe`` creates
    it again if no deployment record does. ``phase`` is what comes next. ``requests`` counts those of this phase.
    ``reason`` is why what served before is restored, and ``passes`` whether the same deployment may succeed later.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    endpoint: str
    target: Target
    former: str | None = None
    former_recipe: Recipe | None = None
    phase: Phase = "requesting"
    requests: int = 0
    reason: str = ""
    passes: bool = False

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.phase != "ended"


def read_plan(lake: Lake, endpoint: str) -> Plan | None:
    """Return the plan for an endpoint; None if there never was one.

    Args:
        lake: The lake of the plans.
        endpoint: The name of the endpoint.
    """
    return lake.stored(lake.layout.endpoint(endpoint), Plan).value


def begin_plan(lake: Lake, plan: Plan) -> Plan:
    """Record a plan; it replaces that of another deployment.

    Args:
        lake: The lake of the plans.
        plan: The plan.

    Raises:
        ConflictingWrite: other deployments keep recording theirs.
    """
    return lake.update(lake.layout.endpoint(plan.endpoint), Plan, lambda _: plan)


def update_plan(lake: Lake, plan: Plan) -> Plan:
    """Record the progress of a plan.

    Args:
        lake: The lake of the plans.
        plan: The plan, with its progress.

    Raises:
        DeploymentFailed: another deployment of the endpoint has begun since.
    """

    def progressed(current: Plan | None) -> Plan:
        if current is None or current.target != plan.target:
            raise taken_over(plan.endpoint, current)
        return plan

    return lake.update(lake.layout.endpoint(plan.endpoint), Plan, progressed)


def taken_over(endpoint: str, current: Plan | None) -> DeploymentFailed:
    """Return the error of a deployment whose plan was replaced.

    Args:
        endpoint: The name of the endpoint.
        current: The plan that is recorded now.
    """
    other = f"that of {current.target.model.job}" if current else "one that is not recorded"
    return DeploymentFailed(
        f"another deployment of endpoint {endpoint} has begun, {other}, and it decides what serves; look at who else "
        f"deploys, then clear this task"
    )

"""What a deployment costs, at the prices that were known when it was proven."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict

from sluice.evaluation.transforms import attempted_scorings
from sluice.evaluation.verdict import Judgement
from sluice.serving.recipe import Recipe
from sluice.training.prices import hourly_price, price_of
from sluice.workspace import Workspace


class Cost(BaseModel):
    """What a model and its endpoint cost, in USD. None: no price is known.

    ``training`` is that of the model's job. ``scoring`` is that of all attempts to score the rows that judged it.
    ``endpoint_per_hour`` is that of all instances of the endpoint; None without one.
    """

    model_config = ConfigDict(frozen=True)

    training: float | None
    scoring: float | None
    endpoint_per_hour: float | None


def cost_of(workspace: Workspace, recipe: Recipe | None, judgement: Judgement) -> Cost:
    """Return what a model that was judged, and its endpoint, cost.

    Args:
        workspace: The workspace of the pipeline that trained.
        recipe: The requests that make the endpoint's configuration; None without an endpoint.
        judgement: What the model reached.
    """
    model = judgement.model
    scorings = attempted_scorings(workspace, PurePosixPath(judgement.scores).name)
    return Cost(
        training=price_of(workspace, model.instance_type, model.seconds),
        scoring=_total([price_of(workspace, each.instance_type, each.billable_seconds) for each in scorings]),
        endpoint_per_hour=endpoint_price(workspace, recipe) if recipe else None,
    )


def endpoint_price(workspace: Workspace, recipe: Recipe) -> float | None:
    """Return what an endpoint costs.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        recipe: The requests that make its configuration.

    Returns:
        USD per hour; None if no price of an instance is known.
    """
    variants = recipe.config["ProductionVariants"]
    return _total([_variant_price(workspace, each) for each in variants])


def _variant_price(workspace: Workspace, variant: dict[str, object]) -> float | None:
    hourly = hourly_price(workspace, str(variant.get("InstanceType")))
    count = variant.get("InitialInstanceCount")
    return hourly * count if hourly is not None and isinstance(count, int) else None


def _total(prices: list[float | None]) -> float | None:
    """Return the sum; None if one is unknown, or if there is none to add."""
    known = [price for price in prices if price is not None]
    return sum(known) if known and len(known) == len(prices) else None

"""What an hour of a SageMaker instance costs.

A list price is a fact that ages, so the declaration may replace each of these (docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Mapping

from sluice.workspace import Workspace

_REGION = "us-east-1"
# USD per hour, on demand, for training, batch transform and hosting alike. From copies of AWS's price list that agreed
# on 2026-11-29; the list itself is at https://aws.amazon.com/sagemaker/ai/pricing/.
_LISTED: Mapping[str, float] = {
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.c5.9xlarge": 1.836,
    "ml.c5.18xlarge": 3.672,
    "ml.g4dn.xlarge": 0.736,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.m5.12xlarge": 2.765,
    "ml.m5.24xlarge": 5.53,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
}


def hourly_price(workspace: Workspace, instance_type: str) -> float | None:
    """Return what an hour of an instance costs: the declared price, else the list price of us-east-1.

    Args:
        workspace: The workspace of the pipeline whose jobs or endpoint use the instance.
        instance_type: The type, such as ``ml.m5.large``.

    Returns:
        USD per hour. None if no price is known: the type is not listed, or the region is another one.
    """
    declared = workspace.pipeline.prices.get(instance_type)
    if declared is not None:
        return declared
    return _LISTED.get(instance_type) if workspace.aws.client("sagemaker").meta.region_name == _REGION else None


def price_of(workspace: Workspace, instance_type: str, seconds: float) -> float | None:
    """Return what a job on one instance costs.

    Args:
        workspace: The workspace of the pipeline whose job it is.
        instance_type: The type, such as ``ml.m5.large``.
        seconds: The seconds that AWS bills.

    Returns:
        USD; None if no price is known.
    """
    hourly = hourly_price(workspace, instance_type)
    return None if hourly is None else hourly * seconds / 3600

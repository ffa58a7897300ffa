"""The account's quotas of SageMaker's instances, by the names that Service Quotas gives them.

They resemble those of a new account: none of the instances with accelerators, and a few of each of the others. AWS sets
each quota by itself, so the exact values differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_WITH_ACCELERATOR = re.compile(r"ml\.(p\d|g\d|inf\d|trn\d|dl\d)")
_FEW = 20

# What an instance is for, by the shape of SageMaker's service model that enumerates the types that can do it.
USAGES: Mapping[str, tuple[str, ...]] = {
    "TrainingInstanceType": ("training job usage", "spot training job usage"),
    "TransformInstanceType": ("transform job usage",),
    "ProductionVariantInstanceType": ("endpoint usage",),
}


def quota_name(instance_type: str, usage: str) -> str:
    """Return the name of a quota, such as ``ml.m5.large for endpoint usage``.

    Args:
        instance_type: The type of the instance, such as ``ml.m5.large``.
        usage: One of those in :data:`USAGES`.
    """
    return f"{instance_type} for {usage}"


def quota(instance_type: str) -> int:
    """Return how many instances of a type the account may use at once, for each usage.

    Args:
        instance_type: The type of the instance, such as ``ml.m5.large``.
    """
    return 0 if _WITH_ACCELERATOR.match(instance_type) else _FEW

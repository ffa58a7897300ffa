"""What a second of each runtime costs. A list price is a fact that ages (docs/decisions/0018).

From copies of AWS's price list for us-east-1 that agreed on 2026-11-29: https://aws.amazon.com/lambda/pricing/,
https://aws.amazon.com/fargate/pricing/ (x86, Linux).
"""

from __future__ import annotations

_LAMBDA_GB_SECOND = 0.0000166667
_FARGATE_VCPU_HOUR = 0.04048
_FARGATE_GB_HOUR = 0.004445


def lambda_price(memory_mb: int) -> float:
    """Return what a second of a function costs, in US dollars.

    Args:
        memory_mb: The memory of the function, in MiB.
    """
    return memory_mb / 1024 * _LAMBDA_GB_SECOND


def fargate_price(vcpu: float, memory_gb: float) -> float:
    """Return what a second of a task costs on demand, in US dollars. Spot costs less; AWS bills at least a minute.

    Args:
        vcpu: The number of vCPUs.
        memory_gb: The memory, in GiB.
    """
    return (vcpu * _FARGATE_VCPU_HOUR + memory_gb * _FARGATE_GB_HOUR) / 3600

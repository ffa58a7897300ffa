"""Amazon resource names of the stand-in's resources."""

from __future__ import annotations

ACCOUNT = "000000000000"
REGION = "us-east-1"


def arn(kind: str, name: str) -> str:
    """Return the ARN of a resource; the name is in lower case there.

    Args:
        kind: The kind as the service spells it, such as ``training-job``.
        name: The resource's name; of a model package's version, ``group/version``.
    """
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


def name_of(name_or_arn: str) -> str:
    """Return the name in what may be an ARN; ``group/version`` stays together."""
    return name_or_arn.partition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn


def log_group_arn(group: str) -> str:
    """Return the ARN of a CloudWatch log group."""
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"

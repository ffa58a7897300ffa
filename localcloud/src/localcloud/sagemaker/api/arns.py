"""Amazon resource names of what the stand-in holds."""

from __future__ import annotations

ACCOUNT = "000000000000"
REGION = "us-east-1"


def arn(kind: str, name: str) -> str:
    """The ARN of a resource; ``kind`` as the service spells it, such as ``training-job``."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


def log_group_arn(group: str) -> str:
    """The ARN of a CloudWatch log group."""
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"

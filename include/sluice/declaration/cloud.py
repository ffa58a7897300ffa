"""What a pipeline declares for all its resources at AWS: a network, a key, tags."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sluice.declaration.checks import check_instance_type
from sluice.errors import DeclarationError

_SUBNET, _SECURITY_GROUP = re.compile(r"subnet-[0-9a-f]+"), re.compile(r"sg-[0-9a-f]+")
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
_TAG = re.compile(r"[\w .:/=+@-]*")
_LONGEST_TAG_KEY, _LONGEST_TAG_VALUE = 128, 256
# AWS takes 50 tags; a training job has three of Sluice's own.
_MOST_TAGS = 47


@dataclass(frozen=True)
class Network:
    """The part of a VPC in which training jobs, endpoints, and steps on Lambda and Fargate run.

    The VPC needs a gateway endpoint for S3: without access to S3 a job can't read its data (SageMaker developer guide,
    "Give SageMaker training jobs access to resources in your Amazon VPC"). Steps also need Systems Manager, and those
    on Fargate ECR and CloudWatch Logs: by a NAT gateway, or by interface endpoints.

    Args:
        subnets: 1 to 16 ids, such as ``subnet-0a1b2c3d``.
        security_groups: 1 to 5 ids, such as ``sg-0a1b2c3d``.

    Raises:
        DeclarationError: an id has another form, or there are too few or too many ids.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_ids("subnets", self.subnets, _SUBNET, 16, "subnet-0a1b2c3d")
        _check_ids("security_groups", self.security_groups, _SECURITY_GROUP, 5, "sg-0a1b2c3d")


def _check_ids(member: str, ids: tuple[str, ...], form: re.Pattern[str], most: int, example: str) -> None:
    if not isinstance(ids, tuple) or not 1 <= len(ids) <= most or not all(form.fullmatch(each) for each in ids):
        raise DeclarationError(f"network: {member}={ids!r} must be 1 to {most} ids; write it as ({example!r},)")


def check_kms_key(pipeline: str, arn: str) -> None:
    """Require the ARN of a KMS key. A policy allows neither an alias nor a bare id.

    Args:
        pipeline: The name of the pipeline, for the message.
        arn: What the user declared.

    Raises:
        DeclarationError: it is not the ARN of a key.
    """
    if not _KEY_ARN.fullmatch(arn):
        raise DeclarationError(
            f"pipeline {pipeline}: kms_key={arn!r} is no ARN of a key; write it as "
            f"'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-…', as `aws kms describe-key` gives it"
        )


def check_tags(pipeline: str, tags: Mapping[str, str]) -> None:
    """Require tags that AWS accepts and that Sluice does not set itself.

    Args:
        pipeline: The name of the pipeline, for the message.
        tags: What the user declared: values by key, at most 47.

    Raises:
        DeclarationError: there are more, or a key or a value is not allowed.
    """
    if len(tags) > _MOST_TAGS:
        raise DeclarationError(f"pipeline {pipeline} has {len(tags)} tags; AWS leaves room for {_MOST_TAGS}")
    for key, value in tags.items():
        if key.lower().startswith(("aws:", "sluice:")):
            raise DeclarationError(f"pipeline {pipeline}: tag {key!r} is reserved; use another prefix")
        if not (_is_tag(key, _LONGEST_TAG_KEY) and key and _is_tag(value, _LONGEST_TAG_VALUE)):
            raise DeclarationError(
                f"pipeline {pipeline}: tag {key!r}: {value!r} is not allowed; use letters, digits, spaces and "
                f"_.:/=+@-, at most {_LONGEST_TAG_KEY} in the key and {_LONGEST_TAG_VALUE} in the value"
            )


def check_prices(pipeline: str, prices: Mapping[str, float]) -> None:
    """Require prices of SageMaker's instances.

    Args:
        pipeline: The name of the pipeline, for the message.
        prices: What the user declared: USD per hour by instance type.

    Raises:
        DeclarationError: a key is no instance type, or a price is no number from 0.
    """
    for instance_type, price in prices.items():
        check_instance_type(f"pipeline {pipeline}: prices", instance_type)
        number = isinstance(price, int | float) and not isinstance(price, bool) and math.isfinite(price)
        if not number or price < 0:
            raise DeclarationError(
                f"pipeline {pipeline}: the price {price!r} of {instance_type} must be USD per hour, 0 or more"
            )


def _is_tag(text: str, longest: int) -> bool:
    return len(text) <= longest and _TAG.fullmatch(text) is not None

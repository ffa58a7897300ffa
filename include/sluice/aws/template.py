"""What a part of a pipeline adds to the pipeline's CloudFormation template. Values only; provisioning renders them.

Text may hold CloudFormation's own ``${AWS::Region}``, ``${AWS::AccountId}`` and ``${AWS::Partition}``: one template
goes to any account and region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from troposphere import AWSObject


@dataclass(frozen=True)
class Statement:
    """What a policy allows: ``actions`` on ``resources``, which are ARNs, under a ``condition`` of IAM.

    Statements of one ``sid`` are one statement of the policy, on the resources of all of them.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """A value that the stack gives out: as its output ``name``, and in Parameter Store for the code to find.

    ``parameter`` is what follows ``/sluice/<pipeline>/`` there. ``value`` is an intrinsic function of CloudFormation.
    """

    name: str
    parameter: str
    value: Any
    description: str


@dataclass(frozen=True)
class Fragment:
    """A part of the template: resources, what it gives out, and what the workers may do with it."""

    resources: tuple[AWSObject, ...] = ()
    exports: tuple[Export, ...] = ()
    statements: tuple[Statement, ...] = ()


def arn(service: str, name: str) -> str:
    """The ARN of a resource in the stack's own account and region."""
    return f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{name}"


def bucket_name(pipeline: str) -> str:
    """The name of the bucket that holds a pipeline's lake. S3 allows no underscore in it."""
    return f"sluice-{pipeline.replace('_', '-')}-${{AWS::AccountId}}-${{AWS::Region}}"


def lake_arn(pipeline: str, path: str = "") -> str:
    """The ARN of the lake's bucket, or with a ``path`` such as ``/drops/*`` of objects in it."""
    return f"arn:${{AWS::Partition}}:s3:::{bucket_name(pipeline)}{path}"


def logical_id(source: str, kind: str) -> str:
    """The name of a source's resource in the template: ``EventsQueue``. It must not change: the resource would be new.

    A source that is called as its kind says it once: the stream ``stream`` is ``Stream``.
    """
    words = "".join(word.capitalize() for word in source.split("_"))
    return words if words == kind else words + kind

"""The parts of a pipeline's CloudFormation template, as values. ``sluice.provisioning`` renders them.

Texts may contain CloudFormation's ``${AWS::Region}``, ``${AWS::AccountId}`` and ``${AWS::Partition}``, so that one
template fits any account and region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from troposphere import AWSObject


@dataclass(frozen=True)
class Statement:
    """A statement of an IAM policy that allows something.

    Statements with the same ``sid`` are merged into one, with the resources of all of them. They must have the same
    actions and the same condition.

    Args:
        sid: The statement's id: letters and digits.
        actions: IAM actions, such as ``sqs:SendMessage``.
        resources: ARNs, or ``*``.
        condition: The condition as in IAM's JSON; empty for none.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """A value that the stack exports, as an output and as a parameter in Parameter Store, where the code finds it.

    Args:
        name: The name of the output.
        parameter: The path of the parameter below ``/sluice/<pipeline>/``.
        value: An intrinsic function of CloudFormation, such as a troposphere ``Ref``.
        description: The description of the output.
    """

    name: str
    parameter: str
    value: Any
    description: str


@dataclass(frozen=True)
class Fragment:
    """A part of the template: resources, exports, and statements of the workers' policy."""

    resources: tuple[AWSObject, ...] = ()
    exports: tuple[Export, ...] = ()
    statements: tuple[Statement, ...] = ()


def arn(service: str, name: str) -> str:
    """Return the ARN of a resource in the stack's account and region.

    Args:
        service: The service in the ARN, such as ``sqs``.
        name: The rest of the ARN after the account, such as ``stream/flights-clicks``.
    """
    return f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{name}"


def bucket_name(pipeline: str) -> str:
    """Return the name of the bucket that holds a pipeline's lake. S3 allows no underscore in it."""
    return f"sluice-{pipeline.replace('_', '-')}-${{AWS::AccountId}}-${{AWS::Region}}"


def bucket_arn(bucket: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:${{AWS::Partition}}:s3:::{bucket}"


def lake_arn(pipeline: str, path: str = "") -> str:
    """Return the ARN of the lake's bucket, or of objects in it.

    Args:
        pipeline: The name of the pipeline.
        path: The objects, such as ``/drops/*``; empty for the bucket itself.
    """
    return f"{bucket_arn(bucket_name(pipeline))}{path}"


def logical_id(source: str, kind: str) -> str:
    """Return the logical id of a source's resource, such as ``EventsQueue``.

    It must never change, because CloudFormation would replace the resource. A source that is named for its kind has the
    name once: the stream ``stream`` is ``Stream``.

    Args:
        source: The name of the source.
        kind: The kind of the resource, such as ``Queue``.
    """
    words = "".join(word.capitalize() for word in source.split("_"))
    return words if words == kind else words + kind

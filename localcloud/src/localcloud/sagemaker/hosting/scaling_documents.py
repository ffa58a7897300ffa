"""Requests and documents of Application Auto Scaling, as far as the stand-in has it (its API reference)."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind


class VariantOf(TypedDict):
    """The members that name a variant: its ResourceId is ``endpoint/<endpoint>/variant/<variant>``."""

    ServiceNamespace: str
    ResourceId: str
    ScalableDimension: str


class RegisterScalableTarget(VariantOf):
    """The request; the first one of a variant has both capacities."""

    MinCapacity: NotRequired[int]
    MaxCapacity: NotRequired[int]


class DescribeScalableTargets(TypedDict):
    """The request."""

    ServiceNamespace: str
    ResourceIds: NotRequired[list[str]]
    ScalableDimension: NotRequired[str]


class MetricSpecification(TypedDict):
    """The metric that a policy tracks."""

    PredefinedMetricType: str


class TargetTracking(TypedDict):
    """What a policy keeps: the value of its metric. Cooldowns are in seconds."""

    TargetValue: float
    PredefinedMetricSpecification: NotRequired[MetricSpecification]
    ScaleOutCooldown: NotRequired[int]
    ScaleInCooldown: NotRequired[int]
    DisableScaleIn: NotRequired[bool]


class PutScalingPolicy(VariantOf):
    """The request."""

    PolicyName: str
    PolicyType: NotRequired[str]
    TargetTrackingScalingPolicyConfiguration: NotRequired[TargetTracking]


class NamedPolicy(VariantOf):
    """The request of DeleteScalingPolicy."""

    PolicyName: str


class DescribeScalingPolicies(TypedDict):
    """The request."""

    ServiceNamespace: str
    PolicyNames: NotRequired[list[str]]
    ResourceId: NotRequired[str]
    ScalableDimension: NotRequired[str]


class Policy(VariantOf):
    """A policy, as DescribeScalingPolicies shows it."""

    PolicyName: str
    PolicyARN: str
    PolicyType: str
    TargetTrackingScalingPolicyConfiguration: TargetTracking
    CreationTime: float


class ScalableTarget(VariantOf):
    """A variant that scales, with its policies by name. ``ScaledTime`` is when its instances last changed."""

    ScalableTargetARN: str
    MinCapacity: int
    MaxCapacity: int
    RoleARN: str
    CreationTime: float
    Policies: dict[str, Policy]
    ScaledTime: NotRequired[float]


SCALABLE_TARGET = DocumentKind[ScalableTarget]("scalable-target")

"""Endpoint configurations and endpoints, as requests, answers and the store have them.

They hold the members that the stand-in reads or writes; further ones of a valid request are kept as they are. Times
are seconds since the epoch, waits are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind
from localcloud.sagemaker.api.tags import Tag

OpaqueConfig = Mapping[str, Any]
"""A configuration that is kept and shown, but not read."""


class ServerlessConfig(TypedDict):
    """The size of a serverless variant."""

    MemorySizeInMB: int
    MaxConcurrency: int
    ProvisionedConcurrency: NotRequired[int]


class ProductionVariant(TypedDict):
    """A model with a weight, and the instances that serve it."""

    VariantName: str
    ModelName: NotRequired[str]
    InitialVariantWeight: NotRequired[float]
    InitialInstanceCount: NotRequired[int]
    InstanceType: NotRequired[str]
    ServerlessConfig: NotRequired[ServerlessConfig]
    RoutingConfig: NotRequired[OpaqueConfig]


class DataCaptureConfig(TypedDict):
    """Which requests and answers are captured; here it is off."""

    InitialSamplingPercentage: int
    DestinationS3Uri: str
    EnableCapture: NotRequired[bool]
    KmsKeyId: NotRequired[str]


class CreateEndpointConfig(TypedDict):
    """The request of CreateEndpointConfig."""

    EndpointConfigName: str
    ProductionVariants: list[ProductionVariant]
    DataCaptureConfig: NotRequired[DataCaptureConfig]
    MetricsConfig: NotRequired[OpaqueConfig]
    Tags: NotRequired[list[Tag]]


class EndpointConfig(CreateEndpointConfig):
    """An endpoint configuration's document."""

    EndpointConfigArn: str
    CreationTime: float


class CapacitySize(TypedDict):
    """A number of instances (INSTANCE_COUNT), or a percentage (CAPACITY_PERCENT)."""

    Type: str
    Value: int


class TrafficRouting(TypedDict):
    """How traffic is shifted: ALL_AT_ONCE, CANARY or LINEAR."""

    Type: str
    WaitIntervalInSeconds: int
    CanarySize: NotRequired[CapacitySize]
    LinearStepSize: NotRequired[CapacitySize]


class BlueGreenUpdatePolicy(TypedDict):
    """A deployment to a whole new fleet."""

    TrafficRoutingConfiguration: TrafficRouting
    TerminationWaitInSeconds: NotRequired[int]
    MaximumExecutionTimeoutInSeconds: NotRequired[int]


class RollingUpdatePolicy(TypedDict):
    """A deployment in batches."""

    MaximumBatchSize: CapacitySize
    WaitIntervalInSeconds: int
    MaximumExecutionTimeoutInSeconds: NotRequired[int]
    RollbackMaximumBatchSize: NotRequired[CapacitySize]


class Alarm(TypedDict, total=False):
    """An alarm that rolls a deployment back."""

    AlarmName: str


class AutoRollbackConfiguration(TypedDict, total=False):
    """What rolls a deployment back."""

    Alarms: list[Alarm]


class DeploymentConfig(TypedDict, total=False):
    """How an endpoint is updated; empty: all at once."""

    BlueGreenUpdatePolicy: BlueGreenUpdatePolicy
    RollingUpdatePolicy: RollingUpdatePolicy
    AutoRollbackConfiguration: AutoRollbackConfiguration


class CreateEndpoint(TypedDict):
    """The request of CreateEndpoint."""

    EndpointName: str
    EndpointConfigName: str
    DeploymentConfig: NotRequired[DeploymentConfig]
    Tags: NotRequired[list[Tag]]


class VariantProperty(TypedDict):
    """A property that an update doesn't retain."""

    VariantPropertyType: str


class UpdateEndpoint(TypedDict):
    """The request of UpdateEndpoint."""

    EndpointName: str
    EndpointConfigName: str
    DeploymentConfig: NotRequired[DeploymentConfig]
    RetainDeploymentConfig: NotRequired[bool]
    RetainAllVariantProperties: NotRequired[bool]
    ExcludeRetainedVariantProperties: NotRequired[list[VariantProperty]]


class ServerlessUpdateConfig(TypedDict, total=False):
    """The new size of a serverless variant."""

    MaxConcurrency: int
    ProvisionedConcurrency: int


class DesiredWeightAndCapacity(TypedDict):
    """The new weight and size of a variant."""

    VariantName: str
    DesiredWeight: NotRequired[float]
    DesiredInstanceCount: NotRequired[int]
    ServerlessUpdateConfig: NotRequired[ServerlessUpdateConfig]


class UpdateEndpointWeightsAndCapacities(TypedDict):
    """The request of UpdateEndpointWeightsAndCapacities."""

    EndpointName: str
    DesiredWeightsAndCapacities: list[DesiredWeightAndCapacity]


class NamedEndpoint(TypedDict):
    """The request of DescribeEndpoint and of DeleteEndpoint."""

    EndpointName: str


class VariantStatus(TypedDict):
    """The stage of a variant's deployment (API reference, ProductionVariantStatus)."""

    Status: str
    StatusMessage: str
    StartTime: float


class DeployedVariant(TypedDict):
    """A production variant with the model that it serves. Weights and instances are as they are, and as desired."""

    VariantName: str
    Weight: float
    DesiredWeight: float
    Instances: NotRequired[int]
    DesiredInstances: int
    InstanceType: NotRequired[str]
    ServerlessConfig: NotRequired[ServerlessConfig]
    RoutingConfig: NotRequired[OpaqueConfig]
    ModelName: str
    Image: str
    ResolutionTime: float
    ModelDataUrl: str
    Environment: dict[str, str]
    Status: NotRequired[VariantStatus]


class Deployment(TypedDict):
    """What serves or will serve. The revision counts the endpoint's deployments."""

    EndpointConfigName: str
    Revision: int
    StartTime: float
    DeploymentConfig: DeploymentConfig
    Variants: list[DeployedVariant]
    DataCaptureConfig: NotRequired[DataCaptureConfig]
    MetricsConfig: NotRequired[OpaqueConfig]


class Endpoint(TypedDict):
    """An endpoint's document: what serves (``Deployed``), and what will serve (``Wanted``)."""

    EndpointName: str
    EndpointArn: str
    EndpointConfigName: str
    EndpointStatus: str
    CreationTime: float
    LastModifiedTime: float
    FailureReason: NotRequired[str]
    LastDeploymentConfig: NotRequired[DeploymentConfig]
    Deployed: NotRequired[Deployment]
    Wanted: NotRequired[Deployment]
    Tags: NotRequired[list[Tag]]


class DeployedImage(TypedDict):
    """The image of a variant."""

    SpecifiedImage: str
    ResolvedImage: str
    ResolutionTime: float


class VariantSummary(TypedDict):
    """A variant in DescribeEndpoint's answer; only a pending one has an InstanceType."""

    VariantName: str
    DeployedImages: list[DeployedImage]
    CurrentWeight: float
    DesiredWeight: float
    CurrentInstanceCount: int
    DesiredInstanceCount: int
    CurrentServerlessConfig: NotRequired[ServerlessConfig]
    DesiredServerlessConfig: NotRequired[ServerlessConfig]
    RoutingConfig: NotRequired[OpaqueConfig]
    VariantStatus: NotRequired[list[VariantStatus]]
    InstanceType: NotRequired[str]


class DataCaptureConfigSummary(TypedDict):
    """The data capture in DescribeEndpoint's answer."""

    EnableCapture: bool
    CaptureStatus: str
    CurrentSamplingPercentage: int
    DestinationS3Uri: str
    KmsKeyId: str


class PendingDeploymentSummary(TypedDict):
    """The deployment under way in DescribeEndpoint's answer."""

    EndpointConfigName: str
    StartTime: float
    ProductionVariants: list[VariantSummary]


class EndpointDetails(TypedDict, total=False):
    """What DescribeEndpoint's answer has of the deployments."""

    ProductionVariants: list[VariantSummary]
    MetricsConfig: OpaqueConfig
    DataCaptureConfig: DataCaptureConfigSummary
    PendingDeploymentSummary: PendingDeploymentSummary


class DescribedEndpoint(Endpoint, EndpointDetails):
    """DescribeEndpoint's answer, before the service model drops what it doesn't know."""


ENDPOINT = DocumentKind[Endpoint]("endpoint")
ENDPOINT_CONFIG = DocumentKind[EndpointConfig]("endpoint-config")

"""How an endpoint's document changes, and what DescribeEndpoint makes of it.

Beside what the service shows, a document holds what serves and, while something else is to serve, that. It so stays
independent of models and configurations that are deleted later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from localcloud.sagemaker.hosting.rollout import Step

_LONGEST_REASON = 1024


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
    ServerlessConfig: NotRequired[dict[str, int]]
    RoutingConfig: NotRequired[dict[str, Any]]
    ModelName: str
    Image: str
    ResolutionTime: float
    ModelDataUrl: str
    Environment: dict[str, str]
    Status: NotRequired[VariantStatus]


class Deployment(TypedDict):
    """What serves or is to serve; a revision is one more than that of the deployment before."""

    EndpointConfigName: str
    Revision: int
    StartTime: float
    DeploymentConfig: Mapping[str, Any]
    Variants: list[DeployedVariant]
    DataCaptureConfig: NotRequired[dict[str, Any]]
    MetricsConfig: NotRequired[dict[str, Any]]


class Endpoint(TypedDict):
    """An endpoint's document."""

    EndpointName: str
    EndpointArn: str
    EndpointConfigName: str
    EndpointStatus: str
    CreationTime: float
    LastModifiedTime: float
    FailureReason: NotRequired[str]
    LastDeploymentConfig: NotRequired[Mapping[str, Any]]
    Deployed: NotRequired[Deployment]
    Wanted: NotRequired[Deployment]


def instances(deployment: Deployment) -> dict[str, int]:
    """The instances by variant; a serverless variant counts as one."""
    return {variant["VariantName"]: max(1, variant["DesiredInstances"]) for variant in deployment["Variants"]}


def begin(endpoint: Endpoint, wanted: Deployment, status: str, now: float) -> None:
    """A deployment starts: Creating or Updating."""
    for variant in wanted["Variants"]:
        variant["Instances"] = 0
        variant["Status"] = _stage("Creating", f"Launching {variant['DesiredInstances']} instance(s).", now)
    endpoint["Wanted"] = wanted
    endpoint.pop("FailureReason", None)
    _enter(endpoint, status, now)


def bake(endpoint: Endpoint, step: Step, now: float) -> None:
    """A step of the deployment has its traffic."""
    active = step.active(instances(endpoint["Wanted"]))
    for variant in endpoint["Wanted"]["Variants"]:
        count = active[variant["VariantName"]]
        capacity = f"{step.stage} capacity of {count} instance(s)."
        if step.seconds:
            said = f"Baking for {step.seconds:.0f} seconds ({step.wait}) with traffic enabled on {capacity}"
            variant["Status"] = _stage("Baking", said, now)
        else:
            variant["Status"] = _stage("ActivatingTraffic", f"Activating traffic on {capacity}", now)
        variant["Instances"] = min(count, variant["DesiredInstances"])
    endpoint["LastModifiedTime"] = now


def put_in_service(endpoint: Endpoint, now: float) -> None:
    """What was wanted serves."""
    deployed = endpoint.pop("Wanted")
    endpoint["EndpointConfigName"] = deployed["EndpointConfigName"]
    endpoint["Deployed"] = deployed
    settle(endpoint, now)


def fail(endpoint: Endpoint, reason: str, now: float) -> None:
    """Back to what served before; Failed if nothing did."""
    endpoint.pop("Wanted", None)
    endpoint["FailureReason"] = reason[:_LONGEST_REASON]
    _enter(endpoint, "InService" if "Deployed" in endpoint else "Failed", now)


def give_up(endpoint: Endpoint, reason: str, now: float) -> None:
    """What served can't serve again."""
    endpoint.pop("Deployed", None)
    fail(endpoint, reason, now)


def adjust(endpoint: Endpoint, desired: list[dict[str, Any]], now: float) -> None:
    """Weights and instance counts are to change, by the DesiredWeightsAndCapacities of known variants."""
    variants = {variant["VariantName"]: variant for variant in endpoint["Deployed"]["Variants"]}
    for change in desired:
        variant = variants[change["VariantName"]]
        variant["DesiredWeight"] = change.get("DesiredWeight", variant["DesiredWeight"])
        count = change.get("DesiredInstanceCount", variant["DesiredInstances"])
        if count != variant["Instances"]:
            scaling = "Scaling out" if count > variant["Instances"] else "Scaling in"
            variant["Status"] = _stage("Updating", f"{scaling} desired instance count to {count}.", now)
        variant["DesiredInstances"] = count
        if "ServerlessUpdateConfig" in change:
            variant["ServerlessConfig"] |= change["ServerlessUpdateConfig"]
    endpoint.pop("FailureReason", None)
    _enter(endpoint, "Updating", now)


def settle(endpoint: Endpoint, now: float) -> None:
    """Each variant is as it is desired to be."""
    for variant in endpoint["Deployed"]["Variants"]:
        variant["Weight"], variant["Instances"] = variant["DesiredWeight"], variant["DesiredInstances"]
        variant.pop("Status", None)
    _enter(endpoint, "InService", now)


def delete(endpoint: Endpoint, now: float) -> None:
    """The endpoint is to go."""
    _enter(endpoint, "Deleting", now)


def described(endpoint: Endpoint) -> dict[str, Any]:
    """The members of DescribeEndpoint; while Updating, the old configuration and variants."""
    shown: dict[str, Any] = dict(endpoint)
    if "Deployed" in endpoint:
        shown |= _deployed(endpoint["Deployed"])
    if "Wanted" in endpoint:
        wanted = endpoint["Wanted"]
        shown["PendingDeploymentSummary"] = {
            "EndpointConfigName": wanted["EndpointConfigName"],
            "StartTime": wanted["StartTime"],
            "ProductionVariants": [_pending_variant(each) for each in wanted["Variants"]],
        }
    return shown


def _deployed(deployment: Deployment) -> dict[str, Any]:
    shown: dict[str, Any] = {"ProductionVariants": [_variant(each) for each in deployment["Variants"]]}
    if "MetricsConfig" in deployment:
        shown["MetricsConfig"] = deployment["MetricsConfig"]
    if "DataCaptureConfig" in deployment:
        capture = deployment["DataCaptureConfig"]
        shown["DataCaptureConfig"] = {
            "EnableCapture": False,
            "CaptureStatus": "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    return shown


def _enter(endpoint: Endpoint, status: str, now: float) -> None:
    endpoint["EndpointStatus"] = status
    endpoint["LastModifiedTime"] = now


def _stage(status: str, message: str, now: float) -> VariantStatus:
    return {"Status": status, "StatusMessage": message, "StartTime": now}


def _variant(variant: DeployedVariant) -> dict[str, Any]:
    image = variant["Image"]
    shown: dict[str, Any] = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": variant["ResolutionTime"]}
        ],
        "CurrentWeight": variant["Weight"],
        "DesiredWeight": variant["DesiredWeight"],
        "CurrentInstanceCount": variant["Instances"],
        "DesiredInstanceCount": variant["DesiredInstances"],
    }
    if "ServerlessConfig" in variant:
        shown["CurrentServerlessConfig"] = shown["DesiredServerlessConfig"] = variant["ServerlessConfig"]
    if "RoutingConfig" in variant:
        shown["RoutingConfig"] = variant["RoutingConfig"]
    if "Status" in variant:
        shown["VariantStatus"] = [variant["Status"]]
    return shown


def _pending_variant(variant: DeployedVariant) -> dict[str, Any]:
    kind = {"InstanceType": variant["InstanceType"]} if "InstanceType" in variant else {}
    return _variant(variant) | kind

"""How an endpoint's document changes, and what DescribeEndpoint shows of it.

Beside what the service shows, a document holds what serves and, during a deployment, what will serve. So it doesn't
depend on models and configurations that are deleted later. Documents are changed in place; each ``now`` is the time in
seconds since the epoch.
"""

from __future__ import annotations

from localcloud.sagemaker.hosting.documents import (
    DeployedVariant,
    Deployment,
    DescribedEndpoint,
    DesiredWeightAndCapacity,
    Endpoint,
    EndpointDetails,
    VariantStatus,
    VariantSummary,
)
from localcloud.sagemaker.hosting.rollout import Step

_LONGEST_REASON = 1024


def instances(deployment: Deployment) -> dict[str, int]:
    """Return the number of instances by variant; a serverless variant counts as one."""
    return {variant["VariantName"]: max(1, variant["DesiredInstances"]) for variant in deployment["Variants"]}


def begin(endpoint: Endpoint, wanted: Deployment, now: float) -> None:
    """Start a deployment of an endpoint that exists.

    Args:
        endpoint: The endpoint's document.
        wanted: What will serve.
        now: The time in seconds since the epoch.
    """
    launch(wanted, now)
    endpoint["Wanted"] = wanted
    endpoint.pop("FailureReason", None)
    _enter(endpoint, "Updating", now)


def launch(wanted: Deployment, now: float) -> None:
    """Show that the variants of a deployment are created.

    Args:
        wanted: What will serve.
        now: The time in seconds since the epoch.
    """
    for variant in wanted["Variants"]:
        variant["Instances"] = 0
        variant["Status"] = _stage("Creating", f"Launching {variant['DesiredInstances']} instance(s).", now)


def bake(endpoint: Endpoint, step: Step, now: float) -> None:
    """Show that a step of the deployment has its traffic, and how long it bakes."""
    active = step.active(instances(endpoint["Wanted"]))
    for variant in endpoint["Wanted"]["Variants"]:
        count = active[variant["VariantName"]]
        capacity = f"{step.stage} capacity of {count} instance(s)."
        if step.seconds:
            message = f"Baking for {step.seconds:.0f} seconds ({step.wait}) with traffic enabled on {capacity}"
            variant["Status"] = _stage("Baking", message, now)
        else:
            variant["Status"] = _stage("ActivatingTraffic", f"Activating traffic on {capacity}", now)
        variant["Instances"] = min(count, variant["DesiredInstances"])
    endpoint["LastModifiedTime"] = now


def put_in_service(endpoint: Endpoint, now: float) -> None:
    """End a deployment: what was wanted serves."""
    deployed = endpoint.pop("Wanted")
    endpoint["EndpointConfigName"] = deployed["EndpointConfigName"]
    endpoint["Deployed"] = deployed
    settle(endpoint, now)


def fail(endpoint: Endpoint, reason: str, now: float) -> None:
    """End a change that failed; the endpoint keeps what served before, and is Failed if nothing did.

    Args:
        endpoint: The endpoint's document.
        reason: The FailureReason; its first 1024 characters are kept.
        now: The time in seconds since the epoch.
    """
    endpoint.pop("Wanted", None)
    endpoint["FailureReason"] = reason[:_LONGEST_REASON]
    _enter(endpoint, "InService" if "Deployed" in endpoint else "Failed", now)


def give_up(endpoint: Endpoint, reason: str, now: float) -> None:
    """End an endpoint that can't serve again what it served; the reason is as for `fail`."""
    endpoint.pop("Deployed", None)
    fail(endpoint, reason, now)


def adjust(endpoint: Endpoint, desired: list[DesiredWeightAndCapacity], now: float) -> None:
    """Start a change of weights and instance counts.

    Args:
        endpoint: The endpoint's document, whose variants serve.
        desired: The changes, of variants that the endpoint has.
        now: The time in seconds since the epoch.
    """
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
            variant["ServerlessConfig"] = {**variant["ServerlessConfig"], **change["ServerlessUpdateConfig"]}
    endpoint.pop("FailureReason", None)
    _enter(endpoint, "Updating", now)


def settle(endpoint: Endpoint, now: float) -> None:
    """End a change: each variant has its desired weight and instances."""
    for variant in endpoint["Deployed"]["Variants"]:
        variant["Weight"], variant["Instances"] = variant["DesiredWeight"], variant["DesiredInstances"]
        variant.pop("Status", None)
    _enter(endpoint, "InService", now)


def delete(endpoint: Endpoint, now: float) -> None:
    """Start the deletion of the endpoint."""
    _enter(endpoint, "Deleting", now)


def described(endpoint: Endpoint) -> DescribedEndpoint:
    """Return the answer of DescribeEndpoint; while Updating, it has the old configuration and variants."""
    shown: DescribedEndpoint = {**endpoint, **_deployed(endpoint)}
    if "Wanted" in endpoint:
        wanted = endpoint["Wanted"]
        shown["PendingDeploymentSummary"] = {
            "EndpointConfigName": wanted["EndpointConfigName"],
            "StartTime": wanted["StartTime"],
            "ProductionVariants": [_pending_variant(each) for each in wanted["Variants"]],
        }
    return shown


def _deployed(endpoint: Endpoint) -> EndpointDetails:
    if "Deployed" not in endpoint:
        return {}
    deployment = endpoint["Deployed"]
    shown: EndpointDetails = {"ProductionVariants": [_variant(each) for each in deployment["Variants"]]}
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


def _variant(variant: DeployedVariant) -> VariantSummary:
    image = variant["Image"]
    shown: VariantSummary = {
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


def _pending_variant(variant: DeployedVariant) -> VariantSummary:
    shown = _variant(variant)
    if "InstanceType" in variant:
        shown["InstanceType"] = variant["InstanceType"]
    return shown

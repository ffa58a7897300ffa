"""Application Auto Scaling of endpoint variants: their targets and their policies.

Sources: Application Auto Scaling API reference; SageMaker developer guide, "Automatic scaling of Amazon SageMaker AI
models" and "Update endpoints that use auto scaling".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable

from localcloud.sagemaker.api.arns import ACCOUNT, REGION
from localcloud.sagemaker.api.protocol import Api, OpaqueAnswer
from localcloud.sagemaker.api.store import MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.hosting.documents import ENDPOINT, DeployedVariant, Deployment
from localcloud.sagemaker.hosting.scaling_documents import (
    SCALABLE_TARGET,
    DescribeScalableTargets,
    DescribeScalingPolicies,
    NamedPolicy,
    Policy,
    PutScalingPolicy,
    RegisterScalableTarget,
    ScalableTarget,
    VariantOf,
)
from localcloud.sagemaker.hosting.shifting import Clock
from localcloud.service_model.errors import ServiceError, validation_error

_NAMESPACE, _DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_METRIC = "SageMakerVariantInvocationsPerInstance"
_ROLE = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


def endpoint_and_variant(resource_id: str) -> tuple[str, str]:
    """Return the names of the endpoint and of the variant that a ResourceId names.

    Raises:
        ServiceError: it has another form.
    """
    found = _RESOURCE.fullmatch(resource_id)
    if found is None:
        raise validation_error(
            f"The resource ID '{resource_id}' isn't of the form endpoint/my-endpoint/variant/my-variant."
        )
    return found[1], found[2]


class ScalableTargets:
    """Targets and their policies, as Application Auto Scaling shows them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def api(self) -> Api:
        """Return the operations."""
        return Api(
            {
                "RegisterScalableTarget": self._register,
                "DescribeScalableTargets": self._describe,
                "DeregisterScalableTarget": self._deregister,
                "PutScalingPolicy": self._put_policy,
                "DescribeScalingPolicies": self._describe_policies,
                "DeleteScalingPolicy": self._delete_policy,
            },
            service="application-autoscaling",
            prefix="AnyScaleFrontendService.",
        )

    def all(self) -> list[ScalableTarget]:
        """Return all targets."""
        return self._store.all(SCALABLE_TARGET)

    def scaled(self, resource_id: str) -> None:
        """Note that the instances of a target have changed now."""

        def note(target: ScalableTarget) -> None:
            target["ScaledTime"] = self._clock.time()

        self._store.update(SCALABLE_TARGET, resource_id, note)

    def drop(self, endpoint: str) -> None:
        """Remove the targets of an endpoint that is deleted, with their policies."""
        for target in self.all():
            if endpoint_and_variant(target["ResourceId"])[0] == endpoint:
                self._store.delete(SCALABLE_TARGET, target["ResourceId"])

    def check_update(self, endpoint: str, deployed: Deployment, wanted: Deployment) -> None:
        """Require that an update keeps each variant that scales, and its instance type.

        Raises:
            ServiceError: It doesn't.
        """
        types = {each["VariantName"]: each.get("InstanceType") for each in wanted["Variants"]}
        for variant in deployed["Variants"]:
            name = variant["VariantName"]
            scales = any(endpoint_and_variant(each["ResourceId"]) == (endpoint, name) for each in self.all())
            if scales and types.get(name) != variant.get("InstanceType"):
                raise validation_error(
                    f"Variant {name} of endpoint {endpoint} is a scalable target of Application Auto Scaling, so it "
                    "can't be removed, and its instance type can't be changed. Deregister the scalable target first."
                )

    def _register(self, request: RegisterScalableTarget) -> OpaqueAnswer:
        _check(request)
        self._require_variant(request["ResourceId"])
        resource_id, now = request["ResourceId"], self._clock.time()
        digest = hashlib.sha256(resource_id.encode()).hexdigest()[:32]
        target: ScalableTarget = {
            "ServiceNamespace": request["ServiceNamespace"],
            "ResourceId": resource_id,
            "ScalableDimension": request["ScalableDimension"],
            "ScalableTargetARN": f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/{digest}",
            "MinCapacity": request.get("MinCapacity", -1),
            "MaxCapacity": request.get("MaxCapacity", -1),
            "RoleARN": _ROLE,
            "CreationTime": now,
            "Policies": {},
        }

        def change(target: ScalableTarget) -> None:
            target["MinCapacity"] = request.get("MinCapacity", target["MinCapacity"])
            target["MaxCapacity"] = request.get("MaxCapacity", target["MaxCapacity"])
            _check_capacities(target)

        try:
            self._store.update(SCALABLE_TARGET, resource_id, change)
        except MissingResourceError:
            _check_capacities(target)
            try:
                self._store.insert(SCALABLE_TARGET, resource_id, target)
            except NameTakenError as error:
                raise ServiceError("ConcurrentUpdateException", "Another request registers this target.") from error
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _describe(self, request: DescribeScalableTargets) -> OpaqueAnswer:
        wanted = request.get("ResourceIds")
        found = [each for each in self.all() if wanted is None or each["ResourceId"] in wanted]
        return {"ScalableTargets": found if _is_known(request.get("ScalableDimension")) else []}

    def _deregister(self, request: VariantOf) -> None:
        _check(request)
        self._changed(request, lambda _: None)
        self._store.delete(SCALABLE_TARGET, request["ResourceId"])

    def _put_policy(self, request: PutScalingPolicy) -> OpaqueAnswer:
        _check(request)
        tracking = request.get("TargetTrackingScalingPolicyConfiguration")
        if request.get("PolicyType") != "TargetTrackingScaling" or tracking is None:
            raise validation_error("This stand-in scales by PolicyType TargetTrackingScaling, with its configuration.")
        if tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType") != _METRIC:
            raise validation_error(f"This stand-in scales by the PredefinedMetricType {_METRIC} only.")
        if tracking["TargetValue"] <= 0:
            raise validation_error("TargetValue must be above 0.")
        name = request["PolicyName"]
        arn = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:{_id(request, name)}:policyName/{name}"
        policy: Policy = {
            "ServiceNamespace": request["ServiceNamespace"],
            "ResourceId": request["ResourceId"],
            "ScalableDimension": request["ScalableDimension"],
            "PolicyName": name,
            "PolicyARN": arn,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
            "CreationTime": self._clock.time(),
        }

        def put(target: ScalableTarget) -> None:
            if len({*target["Policies"], name}) > 1:
                raise validation_error(
                    "Only one TargetTrackingScaling policy for a given metric specification is allowed."
                )
            target["Policies"][name] = policy

        self._changed(request, put)
        return {"PolicyARN": arn, "Alarms": []}

    def _describe_policies(self, request: DescribeScalingPolicies) -> OpaqueAnswer:
        names, resource_id = request.get("PolicyNames"), request.get("ResourceId")
        found = [
            policy
            for target in self.all()
            for policy in target["Policies"].values()
            if (names is None or policy["PolicyName"] in names) and resource_id in (None, policy["ResourceId"])
        ]
        return {"ScalingPolicies": found if _is_known(request.get("ScalableDimension")) else []}

    def _delete_policy(self, request: NamedPolicy) -> None:
        _check(request)

        def remove(target: ScalableTarget) -> None:
            if target["Policies"].pop(request["PolicyName"], None) is None:
                raise ServiceError("ObjectNotFoundException", f"No scaling policy found for {_shown(request)}")

        self._changed(request, remove)

    def _changed(self, request: VariantOf, change: Callable[[ScalableTarget], None]) -> None:
        try:
            self._store.update(SCALABLE_TARGET, request["ResourceId"], change)
        except MissingResourceError as error:
            raise ServiceError("ObjectNotFoundException", f"No scalable target found for {_shown(request)}") from error

    def _require_variant(self, resource_id: str) -> None:
        name, variant = endpoint_and_variant(resource_id)
        try:
            deployed = self._store.get(ENDPOINT, name).get("Deployed")
        except MissingResourceError:
            deployed = None
        if deployed is None or variant not in _with_instances(deployed["Variants"]):
            raise validation_error(f"SageMaker has no variant with instances that serves as {resource_id}.")


def _with_instances(variants: Iterable[DeployedVariant]) -> set[str]:
    return {each["VariantName"] for each in variants if "ServerlessConfig" not in each}


def _check(request: VariantOf) -> None:
    if request["ServiceNamespace"] != _NAMESPACE or not _is_known(request["ScalableDimension"]):
        raise validation_error(f"This stand-in scales ServiceNamespace {_NAMESPACE} by {_DIMENSION} only.")
    endpoint_and_variant(request["ResourceId"])


def _is_known(dimension: str | None) -> bool:
    return dimension in (None, _DIMENSION)


def _check_capacities(target: ScalableTarget) -> None:
    least, most = target["MinCapacity"], target["MaxCapacity"]
    if min(least, most) < 0:
        raise validation_error("MinCapacity and MaxCapacity are required to register a target that doesn't exist.")
    if least < 1:
        raise validation_error("MinCapacity must be at least 1: an endpoint without inference components needs one.")
    if least > most:
        raise validation_error("Maximum capacity cannot be less than minimum capacity")


def _id(request: VariantOf, name: str) -> str:
    return hashlib.sha256(f"{request['ResourceId']}/{name}".encode()).hexdigest()[:32]


def _shown(request: VariantOf) -> str:
    return (
        f"service namespace: {request['ServiceNamespace']}, resource ID: {request['ResourceId']}, scalable dimension: "
        f"{request['ScalableDimension']}"
    )

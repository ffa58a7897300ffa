"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig and ListEndpointConfigs."""

from __future__ import annotations

import time

from localcloud.sagemaker.api.collection import Collection, Kind, already_existing, could_not_find
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.hosting.documents import (
    ENDPOINT_CONFIG,
    CreateEndpointConfig,
    EndpointConfig,
    ProductionVariant,
    ServerlessConfig,
)
from localcloud.sagemaker.registry.models import Models
from localcloud.service_model.errors import ServiceError, validation_error

_KIND = Kind(
    name=ENDPOINT_CONFIG,
    prefix="EndpointConfig",
    missing=could_not_find("endpoint configuration"),
    taken=already_existing("endpoint configuration"),
    summaries="EndpointConfigs",
    summary=("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
)
_LARGEST_WEIGHT = 3.4028235e38  # a VariantWeight is a float of 32 bits
_MEMORY_SIZES = range(1024, 6145, 1024)  # of a serverless variant, in MB

# What changes the answers or where data goes, and isn't done here; to ignore it would mislead.
_REFUSED = {
    "AsyncInferenceConfig": "asynchronous inference",
    "ExplainerConfig": "explanations",
    "ShadowProductionVariants": "shadow variants",
}
_REFUSED_OF_VARIANT = {
    "InstancePools": "instance pools: give InstanceType and InitialInstanceCount",
    "AcceleratorType": "Elastic Inference, nor does SageMaker any longer",
}


class EndpointConfigs:
    """Endpoint configurations: production variants, each a model with a weight.

    A configuration is never changed. It may be deleted while endpoints use it: they keep a copy.
    """

    def __init__(self, store: Store, tags: Tags, models: Models) -> None:
        self._configs = Collection(store, tags, _KIND)
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._configs.describe,
            "DeleteEndpointConfig": self._configs.delete,
            "ListEndpointConfigs": self._configs.list,
        }

    def get(self, name: str) -> EndpointConfig:
        """Return the configuration.

        Raises:
            ServiceError: There is none.
        """
        return self._configs.get(name)

    def _create(self, request: CreateEndpointConfig) -> OpaqueAnswer:
        _check(request)
        for variant in request["ProductionVariants"]:
            self._models.get(variant["ModelName"])
        name = request["EndpointConfigName"]
        config: EndpointConfig = {
            **request,
            "CreationTime": time.time(),
            "ProductionVariants": [{"InitialVariantWeight": 1.0, **each} for each in request["ProductionVariants"]],
            "EndpointConfigArn": self._configs.arn(name),
        }
        return {"EndpointConfigArn": self._configs.insert(name, config)}


def _check(request: CreateEndpointConfig) -> None:
    """Refuse a request that the service, or this stand-in, can't serve."""
    for member, what in _REFUSED.items():
        if member in request:
            raise validation_error(f"{member}: this stand-in has no {what}.")
    capture = request.get("DataCaptureConfig")
    if capture is not None and capture.get("EnableCapture", True):
        raise validation_error("DataCaptureConfig: this stand-in captures no data; set EnableCapture to false.")
    variants = request["ProductionVariants"]
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise validation_error(f"Production variant names must be unique within an endpoint configuration: {names}.")
    for position, variant in enumerate(variants, start=1):
        _check_variant(variant, position)
    if len(variants) > 1 and any("ServerlessConfig" in variant for variant in variants):
        raise validation_error("A serverless endpoint can only have one production variant.")


def check_weight(name: str, weight: float) -> None:
    """Refuse a weight by which traffic can't be shared.

    Args:
        name: The variant's name, for the message.
        weight: The weight, at least 0.

    Raises:
        ServiceError: The weight isn't finite, or is more than the service's type holds.
    """
    if not weight <= _LARGEST_WEIGHT:
        raise validation_error(f"The weight of variant {name} must be at most {_LARGEST_WEIGHT}; it is {weight}.")


def _check_variant(variant: ProductionVariant, position: int) -> None:
    name = variant["VariantName"]
    check_weight(name, variant.get("InitialVariantWeight", 1.0))
    if "ModelName" not in variant:
        raise validation_error(f"Variant {name} has no ModelName: this stand-in has no inference components.")
    if "ManagedInstanceScaling" in variant:
        raise validation_error("ManagedInstanceScaling is only supported for inference component endpoints.")
    for member, what in _REFUSED_OF_VARIANT.items():
        if member in variant:
            raise validation_error(f"{member} of variant {name}: this stand-in has no {what}.")
    of_instances = [member for member in ("InstanceType", "InitialInstanceCount") if member in variant]
    if "ServerlessConfig" in variant:
        if of_instances:
            raise validation_error(f"Variant {name} can't have both ServerlessConfig and {' and '.join(of_instances)}.")
        _check_serverless(name, variant["ServerlessConfig"])
        return
    for member in ("initialInstanceCount", "instanceType"):
        if member[0].upper() + member[1:] not in variant:
            raise _null(f"productionVariants.{position}.member.{member}")


def _check_serverless(name: str, config: ServerlessConfig) -> None:
    memory, most = config["MemorySizeInMB"], config["MaxConcurrency"]
    if memory not in _MEMORY_SIZES:
        raise validation_error(
            f"MemorySizeInMB of variant {name} must be one of {', '.join(map(str, _MEMORY_SIZES))}; it is {memory}."
        )
    if config.get("ProvisionedConcurrency", 0) > most:
        raise validation_error(
            f"ProvisionedConcurrency of variant {name} can't be more than its MaxConcurrency, {most}."
        )


def _null(member: str) -> ServiceError:
    """Return the service's error for a missing member; the service model doesn't mark these as required."""
    return validation_error(
        f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )

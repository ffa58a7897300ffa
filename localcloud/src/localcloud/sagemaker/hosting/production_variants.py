"""Which production variants, and which other parts of an endpoint configuration, are taken."""

from __future__ import annotations

from typing import Any

from localcloud.sagemaker.api.errors import ServiceError, validation_error

_LARGEST_WEIGHT = 3.4028235e38  # a VariantWeight is a float of 32 bits
_MEMORY_SIZES = range(1024, 6145, 1024)  # MB that a serverless variant may have

# What changes the answers or where data goes, and isn't done here: to take it in silence would mislead.
_REFUSED = {
    "AsyncInferenceConfig": "asynchronous inference",
    "ExplainerConfig": "explanations",
    "ShadowProductionVariants": "shadow variants",
}
_REFUSED_OF_VARIANT = {
    "InstancePools": "instance pools: give InstanceType and InitialInstanceCount",
    "AcceleratorType": "Elastic Inference, nor does SageMaker any longer",
}


def check(request: dict[str, Any]) -> None:
    """Refuse a CreateEndpointConfig request that the service, or this stand-in, has no use for.

    Raises:
        ServiceError: ValidationException with the reason.
    """
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

    Raises:
        ServiceError: it isn't finite, or more than the service's type holds.
    """
    if not weight <= _LARGEST_WEIGHT:
        raise validation_error(f"The weight of variant {name} must be at most {_LARGEST_WEIGHT}; it is {weight}.")


def _check_variant(variant: dict[str, Any], position: int) -> None:
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


def _check_serverless(name: str, config: dict[str, int]) -> None:
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
    """As the service words a required member that is absent; the service model doesn't mark these as required."""
    return validation_error(
        f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )

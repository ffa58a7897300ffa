"""The members of InvokeEndpoint in a request's headers, checked against the service model of ``sagemaker-runtime``."""

from __future__ import annotations

import functools

import botocore.loaders
from botocore.model import OperationModel, ServiceModel
from starlette.datastructures import Headers

from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import validate


def members(endpoint: str, headers: Headers) -> dict[str, str]:
    """Return the members of InvokeEndpoint that a request has as headers, by their names in the service model.

    Args:
        endpoint: The endpoint's name, as in the path.
        headers: The request's headers.

    Raises:
        ServiceError: A header, or the endpoint's name, breaks a constraint; or the header is for an endpoint with
            several models to a variant, which this stand-in doesn't have.
    """
    names, found = _names(), dict[str, str]()
    for header, value in headers.raw:
        if header in names:
            found.setdefault(names[header], value.decode("latin-1"))
    _check(endpoint, frozenset(found.items()))
    return found


@functools.lru_cache(maxsize=256)  # a client's requests have the same headers, and most are small
def _check(endpoint: str, found: frozenset[tuple[str, str]]) -> None:
    """Raise the ServiceError of `members`; only valid headers are cached."""
    try:
        validate(_operation(), {"EndpointName": endpoint, "Body": "", **dict(found)})
    except ServiceError as error:
        raise ServiceError("ValidationError", error.message) from error
    _refuse_other_targets(endpoint, dict(found))


def _refuse_other_targets(endpoint: str, found: dict[str, str]) -> None:
    if "TargetModel" in found:
        raise ServiceError(
            "ValidationError",
            f"Endpoint {endpoint} is not a multi-model endpoint and does not support target model header.",
        )
    for member in ("TargetContainerHostname", "InferenceComponentName"):
        if member in found:
            raise ServiceError(
                "ValidationError", f"Endpoint {endpoint} has one container to a variant: it takes no {member}."
            )


@functools.cache
def _operation() -> OperationModel:
    description = botocore.loaders.Loader().load_service_model("sagemaker-runtime", "service-2")
    return ServiceModel(description, "sagemaker-runtime").operation_model("InvokeEndpoint")


@functools.cache
def _names() -> dict[bytes, str]:
    """Return the members by header, in lower case as in ASGI."""
    shape = _operation().input_shape
    return {
        member.serialization["name"].lower().encode(): name
        for name, member in (shape.members.items() if shape is not None else ())
        if member.serialization.get("location") == "header"
    }

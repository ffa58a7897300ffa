"""What a request to the runtime says in its headers, checked against the service model of ``sagemaker-runtime``."""

from __future__ import annotations

import functools

import botocore.loaders
from botocore.model import OperationModel, ServiceModel
from starlette.datastructures import Headers

from localcloud.sagemaker.api.errors import ServiceError
from localcloud.sagemaker.api.validation import validate


def members(endpoint: str, headers: Headers) -> dict[str, str]:
    """The members of InvokeEndpoint that headers stand for, by their names in the service model.

    Raises:
        ServiceError: a header, or the endpoint's name, breaks a constraint; or an endpoint of one model to a variant,
            as this stand-in has them, doesn't take it.
    """
    names, found = _names(), dict[str, str]()
    for header, value in headers.raw:
        if header in names:
            found.setdefault(names[header], value.decode("latin-1"))
    _check(endpoint, frozenset(found.items()))
    return found


@functools.lru_cache(maxsize=256)  # a client's requests are alike, and most of them are small
def _check(endpoint: str, found: frozenset[tuple[str, str]]) -> None:
    """Raises the ServiceError of `members`; an error isn't remembered."""
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
    """Members by header, in lower case as they come."""
    shape = _operation().input_shape
    return {
        member.serialization["name"].lower().encode(): name
        for name, member in (shape.members.items() if shape is not None else ())
        if member.serialization.get("location") == "header"
    }

"""The errors that the stand-in answers with, by the service's own codes."""

from __future__ import annotations

from localcloud.service_model.errors import ServiceError


def resource_in_use(message: str) -> ServiceError:
    """Return ResourceInUse: the name is taken, or something else still needs the resource."""
    return ServiceError("ResourceInUse", message)


def conflict(message: str) -> ServiceError:
    """Return ConflictException, which the model registry answers where the others answer ResourceInUse."""
    return ServiceError("ConflictException", message, status=409)

"""The errors that the stand-in answers with, by the service's own codes."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """An answer that isn't a success: the service's error code, its words and the HTTP status.

    ``members`` are further members of the error's shape, such as ModelError's OriginalStatusCode.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def cause(error: BaseException) -> str:
    """The kind of an unforeseen error and its text: many a text alone says nothing (``KeyError: 'x'``)."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def validation_error(message: str) -> ServiceError:
    """The control plane's ValidationException."""
    return ServiceError("ValidationException", message)


def resource_in_use(message: str) -> ServiceError:
    """ResourceInUse: the name is taken, or something else still needs the resource."""
    return ServiceError("ResourceInUse", message)


def conflict(message: str) -> ServiceError:
    """ConflictException: what the model registry answers where others say ResourceInUse."""
    return ServiceError("ConflictException", message, status=409)

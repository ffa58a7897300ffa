"""Errors as answers, by the services' own codes."""

from __future__ import annotations


class ServiceError(Exception):
    """An answer that isn't a success.

    Attributes:
        code: The service's error code.
        message: The text of the error.
        status: The HTTP status.
        members: Further members of the error's shape, such as ModelError's OriginalStatusCode.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: str | int | list[str]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def cause(error: BaseException) -> str:
    """Return an unforeseen error's kind and text: many texts mean nothing alone (``KeyError: 'x'``)."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def validation_error(message: str) -> ServiceError:
    """Return a ValidationException."""
    return ServiceError("ValidationException", message)

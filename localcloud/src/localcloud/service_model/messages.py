"""The requests and answers of the JSON protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel

from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import known, validate


def request(operation: OperationModel, body: bytes) -> dict[str, Any]:
    """Return the members of a valid request, without those that the operation doesn't have.

    Args:
        operation: The operation's part of the service model.
        body: The request as JSON; empty counts as ``{}``.

    Raises:
        ServiceError: The body is no JSON object, or the service model doesn't allow the request.
    """
    members = _parse(body)
    try:
        validate(operation, members)
        valid: dict[str, Any] = known(operation.input_shape, members) if operation.input_shape is not None else {}
    except RecursionError as error:
        raise ServiceError("SerializationException", "The body is nested too deeply.") from error
    return valid


def answer(operation: OperationModel, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the operation's answer has.

    Args:
        operation: The operation's part of the service model.
        members: These, and any others.
    """
    shown = operation.output_shape.members if operation.output_shape is not None else {}
    return {name: value for name, value in members.items() if name in shown}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}", parse_constant=_refuse_constant)
        if rb"\u" in body:
            json.dumps(request, ensure_ascii=False).encode()  # refuses half of a surrogate pair, which is no text
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "The body is not a JSON object.")
    return request


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

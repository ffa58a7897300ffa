"""The control plane's wire format: JSON 1.1, one POST whose ``X-Amz-Target`` names the operation."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.sagemaker.api.errors import ServiceError, cause, validation_error
from localcloud.sagemaker.api.http import TooLargeError, bounded_body
from localcloud.sagemaker.api.store import MissingResourceError
from localcloud.sagemaker.api.validation import known, service_model, validate

_CONTENT_TYPE = "application/x-amz-json-1.1"
_PREFIX = "SageMaker."
_LARGEST = 4 * 1024 * 1024  # bytes of a request: several times what the largest valid one has
_SECONDS = 60.0  # for the body of a request to come
_TIMED_OUT = 408

logger = logging.getLogger(__name__)

Operation = Callable[[dict[str, Any]], dict[str, Any] | None]


class ControlPlane:
    """Answers one control-plane request: finds the operation, validates against the service model, runs it."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def answer(self, request: Request) -> Response:
        """Answer one HTTP request."""
        try:
            body = await _body(request)
            answer = await run_in_threadpool(self.run, request.headers.get("x-amz-target", ""), body)
        except ServiceError as error:
            return _error(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception as error:
            logger.exception("%s", request.headers.get("x-amz-target"))
            said = f"The stand-in failed; see its log. {cause(error)}"
            return _error(ServiceError("InternalFailure", said, status=500))
        return Response(json.dumps(answer) if answer is not None else b"", media_type=_CONTENT_TYPE)

    def run(self, target: str, body: bytes) -> dict[str, Any] | None:
        """Run the operation that the target names.

        Raises:
            ServiceError: the operation is unknown, the request invalid, or the operation refused.
        """
        name = target.removeprefix(_PREFIX)
        operation = self._operations.get(name)
        if operation is None or not target.startswith(_PREFIX):
            raise ServiceError("UnknownOperationException", f"This stand-in has no operation '{target}'.")
        request = _parse(body)
        model = service_model().operation_model(name)
        try:
            validate(model, request)
            request = known(model.input_shape, request) if model.input_shape is not None else {}
        except RecursionError as error:
            raise ServiceError("SerializationException", "The body is nested too deeply.") from error
        try:
            answer = operation(request)
        except MissingResourceError as error:  # another request has deleted it since this one looked
            raise validation_error("Requested resource not found.") from error
        shown = model.output_shape.members if model.output_shape is not None else {}
        return None if answer is None else {key: value for key, value in answer.items() if key in shown}


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS):
            return await bounded_body(request, _LARGEST)
    except TooLargeError as error:
        raise ServiceError("RequestEntityTooLargeException", f"{error}.", status=413) from error
    except TimeoutError as error:
        said = f"The request's body didn't come in {_SECONDS:g} s."
        raise ServiceError("RequestTimeoutException", said, status=_TIMED_OUT) from error


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}", parse_constant=_refuse_constant)
        if rb"\u" in body:
            json.dumps(request, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "The body is not a JSON object.")
    return request


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _error(error: ServiceError) -> Response:
    return Response(
        json.dumps({"__type": error.code, "message": error.message, **error.members}),
        status_code=error.status,
        headers={"Connection": "close"} if error.status == _TIMED_OUT else None,  # the rest of it isn't waited for
        media_type=_CONTENT_TYPE,
    )

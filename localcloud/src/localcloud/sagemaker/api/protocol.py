"""The control plane's wire format: JSON 1.1, one POST whose ``X-Amz-Target`` names the API and the operation."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localcloud.sagemaker.api.http import TooLargeError, bounded_body
from localcloud.sagemaker.api.store import MissingResourceError
from localcloud.service_model import messages
from localcloud.service_model.errors import ServiceError, cause, validation_error
from localcloud.service_model.validation import service_model

_CONTENT_TYPE = "application/x-amz-json-1.1"
_LARGEST = 4 * 1024 * 1024  # bytes of a request: several times those of the largest valid one
_SECONDS = 60.0  # until the body of a request has to be there
_TIMED_OUT = 408

logger = logging.getLogger(__name__)

OpaqueAnswer = Mapping[str, Any]
"""The answer of any operation, whose members the service model names."""

Operation = Callable[[Any], OpaqueAnswer | None]
"""Takes a request that is valid by the service model, as the TypedDict of its operation, and returns the answer."""


@dataclass(frozen=True)
class Api:
    """The operations of a service, by their names.

    Attributes:
        operations: The operations.
        service: The name of the service in botocore.
        prefix: The part of ``X-Amz-Target`` before the operation's name.
    """

    operations: Mapping[str, Operation]
    service: str = "sagemaker"
    prefix: str = "SageMaker."


class ControlPlane:
    """Answers control-plane requests: finds the operation, validates the request by the service model, runs it."""

    def __init__(self, *apis: Api) -> None:
        self._operations = {
            f"{api.prefix}{name}": (api.service, name, operation)
            for api in apis
            for name, operation in api.operations.items()
        }

    async def answer(self, request: Request) -> Response:
        """Answer one HTTP request."""
        try:
            body = await _body(request)
            answer = await run_in_threadpool(self.run, request.headers.get("x-amz-target", ""), body)
        except ServiceError as error:
            return _error(error)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone and won't read it
        except Exception as error:
            logger.exception("%s", request.headers.get("x-amz-target"))
            message = f"The stand-in failed; see its log. {cause(error)}"
            return _error(ServiceError("InternalFailure", message, status=500))
        return Response(json.dumps(answer) if answer is not None else b"", media_type=_CONTENT_TYPE)

    def run(self, target: str, body: bytes) -> OpaqueAnswer | None:
        """Run an operation and return its answer; None for an empty body.

        Args:
            target: The ``X-Amz-Target``, such as ``SageMaker.CreateModel``.
            body: The request as JSON; empty counts as ``{}``.

        Raises:
            ServiceError: The operation is unknown, the request is invalid, or the operation refuses it.
        """
        if target not in self._operations:
            raise ServiceError("UnknownOperationException", f"This stand-in has no operation '{target}'.")
        service, name, operation = self._operations[target]
        model = service_model(service).operation_model(name)
        valid = messages.request(model, body)
        try:
            answer = operation(valid)
        except MissingResourceError as error:  # another request has deleted it meanwhile
            raise validation_error("Requested resource not found.") from error
        return None if answer is None else messages.answer(model, answer)


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS):
            return await bounded_body(request, _LARGEST)
    except TooLargeError as error:
        raise ServiceError("RequestEntityTooLargeException", f"{error}.", status=413) from error
    except TimeoutError as error:
        message = f"The request's body didn't come in {_SECONDS:g} s."
        raise ServiceError("RequestTimeoutException", message, status=_TIMED_OUT) from error


def _error(error: ServiceError) -> Response:
    return Response(
        json.dumps({"__type": error.code, "message": error.message, **error.members}),
        status_code=error.status,
        headers={"Connection": "close"} if error.status == _TIMED_OUT else None,  # the rest of the body isn't awaited
        media_type=_CONTENT_TYPE,
    )

"""InvokeEndpoint: the runtime's REST protocol in front of the loaded models."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, thread_time

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.sagemaker.algorithms.serving import Answer, Invocation, ModelServer
from localcloud.sagemaker.api.arns import ACCOUNT, REGION, log_group_arn
from localcloud.sagemaker.api.errors import ServiceError, cause
from localcloud.sagemaker.api.http import TooLargeError, bounded_body
from localcloud.sagemaker.hosting import invocation_headers
from localcloud.sagemaker.hosting.fleet import Fleet, NotServingError, UnknownVariantError, Variant

_SECONDS = 60.0
_LARGEST = 6_291_456  # bytes of a request
_THREADS_PER_CORE = 4  # that models answer in; further requests wait for one
# A request of so few bytes, to a model that took no longer last time, isn't worth a thread of its own.
_SMALL = 4096
_QUICK_SECONDS = 0.002
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
_NOT_HERE = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Invoked:
    """An invocation that is over: the model's status, and how many seconds it was waited for.

    ``overhead_seconds`` have passed since the request came and before the model was asked.
    """

    endpoint: str
    variant: Variant
    status: int
    seconds: float
    overhead_seconds: float


class Runtime:
    """Answers ``POST /endpoints/{name}/invocations``."""

    def __init__(self, fleet: Fleet, *observers: Callable[[Invoked], None]) -> None:
        """The observers hear of each invocation; they are called on the event loop."""
        self._fleet = fleet
        self._observers = observers
        # Of their own: the threads of the control plane are never all taken by invocations.
        self._threads = anyio.CapacityLimiter(_THREADS_PER_CORE * (os.cpu_count() or 1))
        self._last_seconds: dict[tuple[str, str], float] = {}
        self._large: Counter[tuple[str, str]] = Counter()  # large requests that are under way

    def routes(self) -> list[Route]:
        """InvokeEndpoint's path and those of its siblings; and the container's own two, which the service keeps."""
        return [
            Route("/endpoints/{name}/invocations", self._invocations, methods=["POST"]),
            *(Route(f"/endpoints/{{name}}/{path}", self._not_here, methods=["POST"]) for path in _NOT_HERE),
            Route("/endpoints/{name}/ping", self._ping, methods=["GET"]),
            Route("/endpoints/{name}/execution-parameters", self._execution_parameters, methods=["GET"]),
        ]

    async def _invocations(self, request: Request) -> Response:
        endpoint, arrived = request.path_params["name"], perf_counter()
        try:
            said = invocation_headers.members(endpoint, request.headers)
            variant = self._variant(endpoint, said.get("TargetVariant"))
            invocation = Invocation(await _body(request), said.get("ContentType"), said.get("Accept"))
            answer = await self._invoke(endpoint, variant, invocation, arrived)
        except ServiceError as error:
            return _error(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if answer.status >= 400:
            return _error(_model_error(endpoint, answer.status, answer.body.decode(errors="replace")))
        # Custom attributes are the container's to return, and those of the built-in algorithms return none.
        headers = {"x-Amzn-Invoked-Production-Variant": variant.name}
        return Response(answer.body, status_code=answer.status, headers=headers, media_type=answer.content_type)

    async def _not_here(self, request: Request) -> Response:
        operation = _NOT_HERE[request.url.path.rpartition("/")[2]]
        return _error(ServiceError("ValidationError", f"This stand-in has no {operation}: use InvokeEndpoint."))

    async def _ping(self, request: Request) -> Response:
        """200: a model that can't be loaded is never put into service."""
        try:
            self._variant(request.path_params["name"], None)
        except ServiceError as error:
            return _error(error)
        return Response(media_type="text/html")

    async def _execution_parameters(self, request: Request) -> Response:
        try:
            parameters = self._variant(request.path_params["name"], None).server.execution_parameters()
            return Response(json.dumps(dict(parameters)), media_type="application/json")
        except ServiceError as error:
            return _error(error)

    def _variant(self, endpoint: str, target: str | None) -> Variant:
        try:
            return self._fleet.choose(endpoint, target)
        except NotServingError as error:
            raise ServiceError("ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found.") from error
        except UnknownVariantError as error:
            raise ServiceError("ValidationError", f"Variant {target} not found for Request") from error

    async def _invoke(self, endpoint: str, variant: Variant, invocation: Invocation, arrived: float) -> Answer:
        asked = _Asked(variant.server)
        started = perf_counter()
        status = 500  # of an answer that didn't come
        try:
            answer = await self._answer(endpoint, variant.name, invocation, asked)
            status = answer.status
            return answer
        finally:
            self._tell(Invoked(endpoint, variant, status, perf_counter() - started, started - arrived))

    async def _answer(self, endpoint: str, variant: str, invocation: Invocation, asked: _Asked) -> Answer:
        """The model's answer, from the event loop's own thread where that holds nobody up.

        That is: for a small request, to a model that was quick last time and isn't busy with a large one, which it may
        have to wait for.
        """
        key, is_large = (endpoint, variant), len(invocation.body) > _SMALL
        try:
            if not (is_large or self._large[key] or self._last_seconds.get(key, _SECONDS) > _QUICK_SECONDS):
                return asked.invoke(invocation, perf_counter)
            self._large[key] += is_large
            try:
                async with asyncio.timeout(_SECONDS):
                    # When the time is over the thread goes on, since none can be ended; nobody waits for it.
                    return await anyio.to_thread.run_sync(asked.invoke, invocation, thread_time, limiter=self._threads)
            finally:
                self._large[key] -= is_large
        except TimeoutError as error:
            raise _model_error(endpoint, 0, _TIMED_OUT) from error
        except Exception as error:
            logger.exception("endpoint %s, variant %s", endpoint, variant)
            raise _model_error(endpoint, 500, f"the stand-in failed: {cause(error)}") from error
        finally:
            self._last_seconds[key] = asked.seconds

    def _tell(self, invoked: Invoked) -> None:
        """The one place that knows of every invocation."""
        for observe in self._observers:
            observe(invoked)


class _Asked:
    """A model that is asked once, and how many ``seconds`` it took.

    In a thread it is that thread's own time which counts: what it waits for others says nothing of the model.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.seconds = _SECONDS

    def invoke(self, invocation: Invocation, clock: Callable[[], float]) -> Answer:
        began = clock()
        try:
            return self._server.invoke(invocation)
        finally:
            self.seconds = clock() - began


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS):
            return await bounded_body(request, _LARGEST)
    except TooLargeError as error:
        # The service's front refuses it, with no error of the service model: boto3 tells the status as its code.
        raise ServiceError("", f"HTTP content length exceeded {_LARGEST} bytes.", 413) from error
    except TimeoutError as error:
        raise ServiceError("ValidationError", f"The request's body didn't come in {_SECONDS:g} s.", 408) from error


def _model_error(endpoint: str, status: int, said: str) -> ServiceError:
    side = "client" if 400 <= status < 500 else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{said}". '
        f"See {console}#logEventViewer:group=/aws/sagemaker/Endpoints/{endpoint} in account {ACCOUNT} "
        "for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=said,
        LogStreamArn=log_group_arn(f"/aws/sagemaker/Endpoints/{endpoint}"),
    )


def _error(error: ServiceError) -> Response:
    return Response(
        json.dumps({"Message": error.message, **error.members}),
        status_code=error.status,
        headers={"x-amzn-ErrorType": error.code} if error.code else {},
        media_type="application/json",
    )

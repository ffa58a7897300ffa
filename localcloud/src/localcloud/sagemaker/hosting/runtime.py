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
from localcloud.sagemaker.api.http import TooLargeError, bounded_body
from localcloud.sagemaker.hosting import invocation_headers
from localcloud.sagemaker.hosting.fleet import Fleet, NotServingError, UnknownVariantError, Variant
from localcloud.service_model.errors import ServiceError, cause

_SECONDS = 60.0
_LARGEST = 6_291_456  # bytes of a request
_THREADS_PER_CORE = 4  # for models; further requests wait for one
# A request of at most so many bytes, to a model that was this quick last time, isn't worth a thread of its own.
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
    """An invocation that is over.

    Attributes:
        endpoint: The endpoint's name.
        variant: The variant that answered.
        status: The model's HTTP status.
        seconds: How long the model took, its wait for a thread included.
        overhead_seconds: How long the request took before the model.
    """

    endpoint: str
    variant: Variant
    status: int
    seconds: float
    overhead_seconds: float


class Runtime:
    """Answers ``POST /endpoints/{name}/invocations``.

    Args:
        fleet: The loaded variants.
        observers: Called on the event loop with each invocation.
    """

    def __init__(self, fleet: Fleet, *observers: Callable[[Invoked], None]) -> None:
        self._fleet = fleet
        self._observers = observers
        # Threads of their own, so that invocations never take all threads of the control plane.
        self._threads = anyio.CapacityLimiter(_THREADS_PER_CORE * (os.cpu_count() or 1))
        self._last_seconds: dict[tuple[str, str], float] = {}
        self._large: Counter[tuple[str, str]] = Counter()  # large requests under way

    def routes(self) -> list[Route]:
        """Return the routes of InvokeEndpoint and its siblings, and of the container's own paths, which AWS hides."""
        return [
            Route("/endpoints/{name}/invocations", self._invocations, methods=["POST"]),
            *(Route(f"/endpoints/{{name}}/{path}", self._not_here, methods=["POST"]) for path in _NOT_HERE),
            Route("/endpoints/{name}/ping", self._ping, methods=["GET"]),
            Route("/endpoints/{name}/execution-parameters", self._execution_parameters, methods=["GET"]),
        ]

    async def _invocations(self, request: Request) -> Response:
        endpoint, arrived = request.path_params["name"], perf_counter()
        try:
            members = invocation_headers.members(endpoint, request.headers)
            variant = self._variant(endpoint, members.get("TargetVariant"))
            invocation = Invocation(await _body(request), members.get("ContentType"), members.get("Accept"))
            answer = await self._invoke(endpoint, variant, invocation, arrived)
        except ServiceError as error:
            return _error(error)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone and won't read it
        if answer.status >= 400:
            return _error(_model_error(endpoint, answer.status, answer.body.decode(errors="replace")))
        # The container returns custom attributes, and those of the built-in algorithms return none.
        headers = {"x-Amzn-Invoked-Production-Variant": variant.name}
        return Response(answer.body, status_code=answer.status, headers=headers, media_type=answer.content_type)

    async def _not_here(self, request: Request) -> Response:
        operation = _NOT_HERE[request.url.path.rpartition("/")[2]]
        return _error(ServiceError("ValidationError", f"This stand-in has no {operation}: use InvokeEndpoint."))

    async def _ping(self, request: Request) -> Response:
        """Answer 200, as a model that can't be loaded never serves."""
        try:
            self._variant(request.path_params["name"], None)
        except ServiceError as error:
            return _error(error)
        return Response(media_type="text/html")

    async def _execution_parameters(self, request: Request) -> Response:
        try:
            parameters = self._variant(request.path_params["name"], None).server.execution_parameters()
            return Response(json.dumps(parameters), media_type="application/json")
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
        call = _TimedCall(variant.server)
        started = perf_counter()
        status = 500  # of an answer that didn't come
        try:
            answer = await self._answer(endpoint, variant.name, invocation, call)
            status = answer.status
            return answer
        finally:
            self._report(Invoked(endpoint, variant, status, perf_counter() - started, started - arrived))

    async def _answer(self, endpoint: str, variant: str, invocation: Invocation, call: _TimedCall) -> Answer:
        """Return the model's answer, computed on the event loop's own thread if that delays no other request.

        This is so for a small request to a model that was quick last time and has no large request under way, for which
        it might have to wait.
        """
        key, is_large = (endpoint, variant), len(invocation.body) > _SMALL
        try:
            if not (is_large or self._large[key] or self._last_seconds.get(key, _SECONDS) > _QUICK_SECONDS):
                return call.invoke(invocation, perf_counter)
            self._large[key] += is_large
            try:
                async with asyncio.timeout(_SECONDS):
                    # After the time-out the thread continues, as a thread can't be ended; its answer is dropped.
                    return await anyio.to_thread.run_sync(call.invoke, invocation, thread_time, limiter=self._threads)
            finally:
                self._large[key] -= is_large
        except TimeoutError as error:
            raise _model_error(endpoint, 0, _TIMED_OUT) from error
        except Exception as error:
            logger.exception("endpoint %s, variant %s", endpoint, variant)
            raise _model_error(endpoint, 500, f"the stand-in failed: {cause(error)}") from error
        finally:
            self._last_seconds[key] = call.seconds

    def _report(self, invoked: Invoked) -> None:
        for observe in self._observers:
            observe(invoked)


class _TimedCall:
    """One call of a model, and how many ``seconds`` it took by a clock.

    In a thread the clock is the thread's own CPU time, as a wait for other threads says nothing about the model.
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
        # The service's front end refuses it, with no error of the service model: boto3 shows the status as its code.
        raise ServiceError("", f"HTTP content length exceeded {_LARGEST} bytes.", 413) from error
    except TimeoutError as error:
        raise ServiceError("ValidationError", f"The request's body didn't come in {_SECONDS:g} s.", 408) from error


def _model_error(endpoint: str, status: int, message: str) -> ServiceError:
    side = "client" if 400 <= status < 500 else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{message}". '
        f"See {console}#logEventViewer:group=/aws/sagemaker/Endpoints/{endpoint} in account {ACCOUNT} "
        "for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=log_group_arn(f"/aws/sagemaker/Endpoints/{endpoint}"),
    )


def _error(error: ServiceError) -> Response:
    return Response(
        json.dumps({"Message": error.message, **error.members}),
        status_code=error.status,
        headers={"x-amzn-ErrorType": error.code} if error.code else {},
        media_type="application/json",
    )

"""Answers requests to Lambda: checks them, runs invocations, and leaves all else to the emulator.

Restores: a request is checked; a function can't be invoked before it is active, nor updated while an update is under
way, and an update doesn't make it inactive; a payload reaches the function as it was sent; an event that was accepted
isn't lost.

Source: AWS Lambda API reference; AWS Lambda Developer Guide, "Lambda function states".
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.concurrency import run_reentrant
from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from localcloud.emulator.functions import requests
from localcloud.emulator.functions.delivery import Delivery
from localcloud.emulator.functions.executor import Executor
from localcloud.emulator.functions.outcome import THROTTLED, Invocation
from localcloud.emulator.functions.request_ids import INVOCATION
from localcloud.emulator.functions.requests import Request
from localcloud.images import Image
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.rest import HttpRequest

Answer = tuple[int, dict[str, Any], Any]
Handler = Callable[[str, str, dict[str, str], bytes, Mapping[str, Any]], Awaitable[Answer]]

_JSON = {"Content-Type": "application/json"}
_FUNCTION_CHANGES = ("CreateFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration")
_SETTLE_SECONDS = 0.5


class Operations:
    """The operations of Lambda that differ from the emulator's.

    Args:
        handle: The emulator's handler, for all others.
        images: What runs in place of images and runtimes, by name.
        executor: Runs synchronous invocations.
        delivery: Runs asynchronous ones.
    """

    def __init__(self, handle: Handler, images: Mapping[str, Image], executor: Executor, delivery: Delivery) -> None:
        self._handle = handle
        self._images = images
        self._executor = executor
        self._delivery = delivery

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Answer:
        """Answer a request, in place of the emulator's handler."""
        try:
            request = requests.read(HttpRequest(method, path, query, headers, body))
            if request.operation == "Invoke":
                return await self._invoke(request, body or b"{}")
            if request.operation == "UpdateFunctionEventInvokeConfig":
                return _update_event_invoke_config(request)
            if request.operation in _FUNCTION_CHANGES:
                requests.check_function(request.members, self._images)
                _require_settled(request)
            return await self._handle(method, path, headers, body, query)
        except ServiceError as error:
            answer: Answer = error_response_json(error.code, error.message, error.status, error.members)
            return answer

    async def _invoke(self, request: Request, payload: bytes) -> Answer:
        name, qualifier = lambda_svc._resolve_request_scoped_name_and_qualifier(request.members["FunctionName"])
        qualifier = request.members.get("Qualifier") or qualifier
        function = lambda_svc._functions.get(name)
        record, config = lambda_svc._effective_func_record_for_qualifier(function, qualifier)
        if record is None or config is None:
            arn = lambda_svc._func_arn(name) + (f":{qualifier}" if qualifier else "")
            raise ServiceError("ResourceNotFoundException", f"Function not found: {arn}", status=404)
        if config["State"] != "Active":
            raise _conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: "
                f"{config['State']}"
            )
        kind = request.members.get("InvocationType", "RequestResponse")
        requests.check_payload(payload, is_event=kind == "Event")
        arn = config["FunctionArn"] + (f":{qualifier}" if qualifier else "")
        request_id = str(uuid.uuid4())
        version = {"X-Amz-Executed-Version": config["Version"], INVOCATION: request_id}
        if kind == "DryRun":
            return 204, version, b""
        if kind == "Event":
            self._delivery.accept(request_id, arn, payload)
            return 202, version, b""
        context = request.members.get("ClientContext")
        client_context = base64.b64decode(context).decode() if context else None
        return await self._synchronous(record, Invocation(request_id, payload, arn, client_context), request, version)

    async def _synchronous(
        self, record: Any, invocation: Invocation, request: Request, headers: dict[str, str]
    ) -> Answer:
        outcome = await run_reentrant(self._executor.execute, record, invocation)
        if outcome.status == THROTTLED:
            code = "TooManyRequestsException"
            return 429, {**_JSON, **headers, "x-amzn-errortype": code, "Retry-After": "1"}, outcome.payload
        headers = {**_JSON, **headers}
        if outcome.has_failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.members.get("LogType") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(outcome.log.encode()).decode()
        return 200, headers, outcome.payload


def settle_at_once() -> None:
    """Make all functions active: what was under way when an earlier cloud ended is done."""
    for function in lambda_svc._functions._data.values():
        settle(function)


def settle_soon(name: str, _delay: float) -> None:
    """Make a function active in half a second, in place of the emulator's `_schedule_state_transition`.

    Args:
        name: The function, in the account and the region of this request.
        _delay: The emulator's own delay.
    """
    function = lambda_svc._functions.get(name)
    if function is None:
        return
    if function["config"].get("StateReasonCode") == "Updating":
        function["config"] |= {"State": "Active", "StateReason": "", "StateReasonCode": ""}  # it still runs as it was
    timer = threading.Timer(_SETTLE_SECONDS, settle, [function])
    timer.daemon = True
    timer.start()


def settle(function: dict[str, Any]) -> None:
    """Make a function active, with no update under way."""
    for member in ("StateReason", "StateReasonCode", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"):
        function["config"][member] = ""
    function["config"] |= {"State": "Active", "LastUpdateStatus": "Successful"}


def _require_settled(request: Request) -> None:
    if request.operation == "CreateFunction":
        return
    name, _ = lambda_svc._resolve_request_scoped_name_and_qualifier(request.members["FunctionName"])
    function = lambda_svc._functions.get(name)
    if function is None:
        return
    if function["config"]["State"] != "Active":
        state = function["config"]["State"]
        raise _conflict(
            f"The operation cannot be performed at this time. The function is currently in the following state: {state}"
        )
    if function["config"].get("LastUpdateStatus") == "InProgress":
        arn = function["config"]["FunctionArn"]
        raise _conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {arn}")


def _update_event_invoke_config(request: Request) -> Answer:
    """Answer UpdateFunctionEventInvokeConfig: change the members that are given."""
    name, qualifier = lambda_svc._resolve_request_scoped_name_and_qualifier(request.members["FunctionName"])
    qualifier = request.members.get("Qualifier") or qualifier
    found: Answer = lambda_svc._get_event_invoke_config(name, qualifier)
    if found[0] != 200:
        return found
    changed: Answer = lambda_svc._put_event_invoke_config(name, qualifier, {**json.loads(found[2]), **request.members})
    return changed


def _conflict(message: str) -> ServiceError:
    return ServiceError("ResourceConflictException", message, status=409)

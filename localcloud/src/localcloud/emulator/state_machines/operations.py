"""Answers requests to Step Functions: checks them and definitions, and leaves all else to the emulator."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import stepfunctions

from localcloud.emulator.state_machines.definitions import faults
from localcloud.service_model.errors import ServiceError, validation_error
from localcloud.service_model.messages import request
from localcloud.service_model.validation import service_model

Answer = tuple[int, dict[str, Any], Any]
Handler = Callable[[str, str, dict[str, str], bytes, Any], Awaitable[Answer]]

OPERATIONS = frozenset(
    {
        *("CreateStateMachine", "UpdateStateMachine", "DeleteStateMachine", "DescribeStateMachine"),
        *("ListStateMachines", "ValidateStateMachineDefinition", "DescribeStateMachineForExecution"),
        *("StartExecution", "StopExecution", "DescribeExecution", "ListExecutions", "GetExecutionHistory"),
        *("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"),
        *("TagResource", "UntagResource", "ListTagsForResource"),
    }
)
_MOST_SHOWN = 10


def checked(handle: Handler) -> Handler:
    """Return the emulator's handler of Step Functions, with checks before it."""

    async def call(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            if operation not in OPERATIONS:
                message = f"This cloud's Step Functions has no operation {operation}."
                raise ServiceError("UnknownOperationException", message)
            members = request(service_model("stepfunctions").operation_model(operation), body)
            answer = _own_answer(operation, members)
            return answer or await handle(method, path, headers, body, query)
        except ServiceError as error:
            refused: Answer = error_response_json(error.code, error.message, error.status)
            return refused

    return call


def require_known(machine_type: str) -> None:
    """Refuse a type of state machine that this cloud doesn't have.

    Raises:
        ServiceError: It is another than STANDARD.
    """
    if machine_type != "STANDARD":
        raise validation_error(f"This cloud has no state machines of type {machine_type}, but of type STANDARD.")


def require_valid(definition: str) -> None:
    """Refuse a definition that can't work.

    Raises:
        ServiceError: InvalidDefinition, with what is wrong.
    """
    if found := faults(definition):
        shown = ", ".join(map(str, found[:_MOST_SHOWN]))
        raise ServiceError("InvalidDefinition", f"Invalid State Machine Definition: '{shown}'")


def _own_answer(operation: str, members: Mapping[str, Any]) -> Answer | None:
    """Return the answer of an operation; None for the emulator's own."""
    if operation == "ValidateStateMachineDefinition":
        return _validated(members)
    if operation == "StartExecution":
        return _running(members)
    if operation in ("CreateStateMachine", "UpdateStateMachine"):
        require_known(members.get("type", "STANDARD"))
        if members.get("publish"):
            raise validation_error("This cloud has no versions of state machines: leave publish out.")
        if "definition" in members:
            require_valid(members["definition"])
    return None


def _validated(members: Mapping[str, Any]) -> Answer:
    found = [
        {"severity": "ERROR", "code": each.code, "message": each.message, "location": each.location}
        for each in faults(members["definition"])
    ]
    result = {"result": "FAIL" if found else "OK", "diagnostics": found, "truncated": False}
    answer: Answer = json_response(result)
    return answer


def _running(members: Mapping[str, Any]) -> Answer | None:
    """Return the answer of the execution that runs already with this name and input, if there is one."""
    given = members.get("input", "{}")
    try:
        json.loads(given)
    except (ValueError, RecursionError) as error:
        raise ServiceError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from error
    machine = stepfunctions._resolve_state_machine_arn(members["stateMachineArn"])
    if machine is None or "name" not in members:
        return None
    name = stepfunctions._state_machines[machine]["name"]
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:execution:{name}:{members['name']}"
    execution = stepfunctions._executions.get(arn)
    if execution is None or execution["status"] != "RUNNING" or execution["input"] != given:
        return None
    answer: Answer = stepfunctions._finalize_response(
        json_response({"executionArn": arn, "startDate": execution["startDate"]})
    )
    return answer

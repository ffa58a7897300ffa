"""Patches the emulator's interpreter of executions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from ministack import app
from ministack.core.responses import get_region
from ministack.services import stepfunctions

from localcloud.emulator.clients import Client
from localcloud.emulator.state_machines.operations import checked

_RESTARTED = "States.ServiceRestart"
_ATTEMPTS = 10


def install(client: Client) -> None:
    """Replace the emulator's functions.

    Args:
        client: Returns clients of this cloud.
    """
    app.SERVICE_HANDLERS["states"] = checked(app.SERVICE_HANDLERS["states"])
    stepfunctions._execute_task = _only_while_running(stepfunctions._execute_task)
    stepfunctions._fail_execution = _unless_ended(stepfunctions._fail_execution)
    stepfunctions._SERVICE_DISPATCH["arn:aws:states:::sns:publish"] = _publishing(client)
    stepfunctions._SERVICE_DISPATCH["arn:aws:states:::sqs:sendMessage"] = _sending(client)
    stepfunctions.get_state = _while_executions_run(stepfunctions.get_state)
    stepfunctions.load_persisted_state = _with_history(stepfunctions.load_persisted_state)


def _only_while_running(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Start no task of an execution that was stopped; its Map and Parallel states go on otherwise."""

    def call(state: Any, given: Any, execution: dict[str, Any], context: Any) -> Any:
        if execution["status"] != "RUNNING":
            raise stepfunctions._ExecutionError("States.TaskFailed", "The execution was stopped.")
        return execute(state, given, execution, context)

    return call


def _unless_ended(fail: Callable[..., None]) -> Callable[..., None]:
    """Leave an execution as it was stopped, even if a task of it fails then."""

    def call(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    return call


def _publishing(client: Client) -> Callable[[str, dict[str, Any]], Any]:
    def call(_resource: str, arguments: dict[str, Any]) -> Any:
        return _called("SNS", client("sns", get_region()).publish, _with_text(arguments, "Message"))

    return call


def _sending(client: Client) -> Callable[[str, dict[str, Any]], Any]:
    def call(_resource: str, arguments: dict[str, Any]) -> Any:
        return _called("SQS", client("sqs", get_region()).send_message, _with_text(arguments, "MessageBody"))

    return call


def _called(service: str, operation: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = operation(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"].rpartition(".")[2].removesuffix("Exception")
        raise stepfunctions._ExecutionError(f"{service}.{code}Exception", str(error)) from error
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _with_text(arguments: dict[str, Any], member: str) -> dict[str, Any]:
    """Return the arguments with a member as text: Step Functions sends an object as JSON."""
    value = arguments.get(member)
    return arguments if isinstance(value, str) else {**arguments, member: json.dumps(value)}


def _while_executions_run(get_state: Callable[[], Any]) -> Callable[[], Any]:
    """Copy the state again if an execution changes it meanwhile: each has a thread of its own."""

    def call() -> Any:
        for _ in range(_ATTEMPTS):
            try:
                return get_state()
            except RuntimeError:
                continue
        return get_state()

    return call


def _with_history(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Record in the history that an execution which ran in an earlier cloud has failed."""

    def call(state: Any) -> None:
        load(state)
        for execution in stepfunctions._executions._data.values():
            failed = execution["status"] == "FAILED" and execution.get("error") == _RESTARTED
            if failed and execution["events"][-1]["type"] != "ExecutionFailed":
                details = {"error": _RESTARTED, "cause": execution["cause"]}
                stepfunctions._add_event(execution, "ExecutionFailed", {"executionFailedEventDetails": details})

    return call

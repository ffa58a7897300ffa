"""Runs one invocation: within the function's concurrency, in a warm environment or a new one, with its log."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ministack.services import lambda_svc

from localcloud.emulator.clients import Client
from localcloud.emulator.functions import metrics
from localcloud.emulator.functions.deployed import Deployments, Record
from localcloud.emulator.functions.environment import ExecutionEnvironment
from localcloud.emulator.functions.logs import InvocationLog
from localcloud.emulator.functions.outcome import THROTTLED, Invocation, Outcome, error
from localcloud.emulator.functions.pool import Pool
from localcloud.images import MissingImageError

_THROTTLE_REASONS = {
    "function": "ReservedFunctionConcurrentInvocationLimitExceeded",
    "account": "ConcurrentInvocationLimitExceeded",
}


class Executor:
    """Runs invocations, each in the thread of its caller.

    Args:
        deployments: Reads the emulator's records of functions.
        pool: Has the execution environments.
        client: Returns clients of this cloud.
    """

    def __init__(self, deployments: Deployments, pool: Pool, client: Client) -> None:
        self._deployments = deployments
        self._pool = pool
        self._client = client

    def execute(self, record: Record, invocation: Invocation) -> Outcome:
        """Run an invocation to its end.

        Args:
            record: The function, or the version of it.
            invocation: The invocation.
        """
        began = time.monotonic()
        outcome = self._within_concurrency(record, invocation)
        _, _, _, region, _, _, name, *_ = record["config"]["FunctionArn"].split(":")
        metrics.publish(self._client("cloudwatch", region), name, outcome, time.monotonic() - began)
        return outcome

    def execute_for_service(self, record: Record, event: Any) -> dict[str, Any]:
        """Run an invocation of another service, in place of the emulator's `_execute_function`."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        outcome = self.execute(record, Invocation(str(uuid.uuid4()), payload, record["config"]["FunctionArn"]))
        if outcome.status == THROTTLED:
            body = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "Rate Exceeded."}
            return {"throttle": True, "error": True, "body": body}
        if outcome.has_failed:
            return {"error": True, "function_error": "Unhandled", "body": json.loads(outcome.payload)}
        return {"body": outcome.payload}

    def _within_concurrency(self, record: Record, invocation: Invocation) -> Outcome:
        slot, limit = lambda_svc._acquire_execution_slot(_base(record), record["config"])
        if slot is None:
            reason = {"Reason": _THROTTLE_REASONS[limit], "Type": "User", "message": "Rate Exceeded."}
            return Outcome(THROTTLED, json.dumps(reason).encode())
        try:
            return self._execute(record, invocation)
        finally:
            lambda_svc._release_execution_slot(slot)

    def _execute(self, record: Record, invocation: Invocation) -> Outcome:
        try:
            function = lambda_svc._run_with_function_config_scope(record, self._deployments.function, record)
        except MissingImageError as missing:
            return error("Runtime.InvalidEntrypoint", f"RequestId: {invocation.request_id} Error: {missing}")
        environment = self._pool.take(function)
        try:
            return self._logged(environment, invocation)
        finally:
            self._pool.give_back(environment)

    def _logged(self, environment: ExecutionEnvironment, invocation: Invocation) -> Outcome:
        log = InvocationLog(self._client("logs", environment.function.region), environment, invocation.request_id)
        log.start()
        outcome = environment.invoke(invocation, log.follow)
        return log.ended(outcome)


def _base(record: Record) -> Any:
    """Return the function of a version: its concurrency is that of all its versions."""
    _, _, _, region, account, _, name, *_ = record["config"]["FunctionArn"].split(":")
    return lambda_svc._functions.get_scoped(account, region, name) or record

"""The log of an invocation: the platform's lines and the function's, in CloudWatch Logs.

Source: AWS Lambda Developer Guide, "Working with Lambda function logs" and "Lambda Telemetry API schema reference".
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.emulator.functions.environment import ExecutionEnvironment
from localcloud.emulator.functions.outcome import TIMEOUT, Outcome
from localcloud.log_streams import LogStream

_TAIL = 4096  # bytes
_MIB = 1024 * 1024

logger = logging.getLogger("functions")


class InvocationLog:
    """The log of one invocation.

    Args:
        client: A client of CloudWatch Logs. An invocation doesn't fail because its log can't be published.
        environment: Where the invocation runs.
        request_id: The invocation's id.
    """

    def __init__(self, client: Any, environment: ExecutionEnvironment, request_id: str) -> None:
        self._client = client
        self._environment = environment
        self._request_id = request_id
        self._is_json = environment.function.log_format == "JSON"
        self._stream = LogStream(client, environment.function.log_group, environment.log_stream)
        self._rest = ""  # a line of the function's that isn't complete yet
        self._tail = ""

    def start(self) -> None:
        """Make the log stream if it is missing, and write the START line."""
        names = {"logGroupName": self._environment.function.log_group}
        self._try(lambda: _make(self._client, self._client.create_log_group, **names))
        names["logStreamName"] = self._environment.log_stream
        self._try(lambda: _make(self._client, self._client.create_log_stream, **names))
        version = self._environment.function.version
        self._platform("start", f"START RequestId: {self._request_id} Version: {version}", version=version)

    def follow(self) -> None:
        """Read what the function has written, and publish it once a second."""
        self._read()
        self._try(self._stream.publish_now_and_then)

    def ended(self, outcome: Outcome) -> Outcome:
        """Write how the invocation ended, publish everything, and return the outcome with the log's last lines."""
        self._read()
        self._add(*filter(None, [self._rest]))
        if not self._is_json:
            self._add(*self._last_lines(outcome))
        self._report(outcome)
        self._try(self._stream.publish)
        return replace(outcome, log=self._tail.encode()[-_TAIL:].decode(errors="ignore"))

    def _last_lines(self, outcome: Outcome) -> list[str]:
        lines = [f"END RequestId: {self._request_id}"]
        if outcome.status == TIMEOUT:
            limit = self._environment.function.limits.seconds
            return [f"{_now()} {self._request_id} Task timed out after {limit:.2f} seconds", *lines]
        if outcome.error_type:
            return [json.loads(outcome.payload).get("errorMessage", ""), outcome.error_type, *lines]
        return lines

    def _report(self, outcome: Outcome) -> None:
        init, seconds = self._environment.init_seconds, self._environment.seconds
        memory = self._environment.function.limits.memory // _MIB
        used = min(memory, math.ceil(self._environment.peak_memory / _MIB))
        metrics: dict[str, Any] = {
            "durationMs": round(seconds * 1000, 2),
            "billedDurationMs": math.ceil((seconds + init) * 1000),
            "memorySizeMB": memory,
            "maxMemoryUsedMB": used,
        }
        line = (
            f"REPORT RequestId: {self._request_id}\tDuration: {metrics['durationMs']:.2f} ms\t"
            f"Billed Duration: {metrics['billedDurationMs']} ms\tMemory Size: {memory} MB\tMax Memory Used: {used} MB\t"
        )
        if init:
            metrics["initDurationMs"] = round(init * 1000, 2)
            line += f"Init Duration: {metrics['initDurationMs']:.2f} ms\t"
        if outcome.status == TIMEOUT or outcome.error_type:
            line += f"Status: {outcome.status}\t"
            line += f"Error Type: {outcome.error_type}\t" if outcome.status != TIMEOUT else ""
        self._platform("report", line, status=outcome.status, metrics=metrics)

    def _platform(self, kind: str, line: str, **record: Any) -> None:
        if self._is_json:
            shown = {"requestId": self._request_id, **record}
            line = json.dumps({"time": _now(), "type": f"platform.{kind}", "record": shown})
        self._add(line)

    def _read(self) -> None:
        text = self._rest + self._environment.new_output().decode(errors="replace")
        *lines, self._rest = text.split("\n")
        self._add(*lines)

    def _add(self, *lines: str) -> None:
        for line in lines:
            self._stream.add(line)
            self._tail = (self._tail + line + "\n")[-_TAIL:]

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (BotoCoreError, ClientError) as error:
            group = self._environment.function.log_group
            logger.warning("%s: CloudWatch Logs, group %s lacks lines: %s", self._request_id, group, error)


def _make(client: Any, create: Callable[..., Any], **names: str) -> None:
    try:
        create(**names)
    except client.exceptions.ResourceAlreadyExistsException:
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""An execution environment: the process of a function's runtime, with its limits. It runs one invocation at a time.

Source: AWS Lambda Developer Guide, "Lambda execution environment lifecycle", "Lambda quotas" and "Defined runtime
environment variables".
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty

import psutil

from localcloud.emulator.functions.deployed import Function
from localcloud.emulator.functions.outcome import ERROR, SUCCESS, TIMEOUT, Invocation, Outcome, error
from localcloud.emulator.functions.runtime_api import Answered, Failed, Ready, RuntimeApi
from localcloud.emulator.functions.runtime_api import Event as Reported
from localcloud.launcher import SIGNALLED, Order, launch
from localcloud.memory import held
from localcloud.sessions import kill_session

_INIT_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0
_MIB = 1024 * 1024

Progress = Callable[[], None]


class ExecutionEnvironment:
    """A runtime that is started, and its folders. Not safe to share between threads.

    Args:
        function: What it runs.
        folder: A folder that doesn't exist yet; it is removed at the end.
        endpoints: The variables with which boto3 finds the cloud.

    Attributes:
        function: What it runs.
        log_stream: The name of its log stream.
        init_seconds: How long the initialization took; 0.0 if the last invocation found it initialized.
        seconds: How long the last invocation took, without the initialization.
        idle_since: When its last invocation ended, on the monotonic clock.
    """

    def __init__(self, function: Function, folder: Path, endpoints: Mapping[str, str]) -> None:
        self.function = function
        self.log_stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{function.version}]{uuid.uuid4().hex}"
        self.init_seconds = self.seconds = 0.0
        self.idle_since = time.monotonic()
        self._folder = folder
        self._scratch = folder / "tmp"
        self._scratch.mkdir(parents=True)
        self._output = folder / "output"
        self._read = 0  # how much of the output is read
        self._is_initialized = False
        self._peak = 0
        self._api = RuntimeApi()
        with self._output.open("ab") as output:  # a file: what the function has written is there when it answers
            self._process = launch(self._order(endpoints), output)

    def invoke(self, invocation: Invocation, progress: Progress) -> Outcome:
        """Run one invocation to its end. If `is_reusable` is false then, close the environment.

        Args:
            invocation: The invocation.
            progress: Called several times a second meanwhile.
        """
        limits = self.function.limits
        self.init_seconds = self.seconds = 0.0
        if not self._is_initialized:
            began = time.monotonic()
            reported = self._next(invocation, began + _INIT_SECONDS + limits.seconds, progress)
            self.init_seconds = time.monotonic() - began
            if not isinstance(reported, Ready):
                return self._ended(reported)
            self._is_initialized = True
        began = time.monotonic()
        self._api.offer(invocation, time.time() + limits.seconds)
        while isinstance(reported := self._next(invocation, began + limits.seconds, progress), Ready):
            pass  # it waits since its last invocation
        self.seconds = time.monotonic() - began
        return self._ended(reported)

    @property
    def is_reusable(self) -> bool:
        """Whether it can run another invocation."""
        return self._is_initialized and self._process.poll() is None

    @property
    def peak_memory(self) -> int:
        """The most memory that it has used, in bytes."""
        return max(self._peak, self._memory())

    def new_output(self) -> bytes:
        """Return what the function has written since the last call."""
        with self._output.open("rb") as output:
            output.seek(self._read)
            text = output.read()
        self._read += len(text)
        return text

    def forget_output(self) -> None:
        """Free the space of what was written; call it between invocations."""
        os.truncate(self._output, 0)
        self._read = 0

    def kill(self) -> None:
        """End its processes at once."""
        self._is_initialized = False
        kill_session(self._process.pid)
        self._process.wait(_END_SECONDS)

    def close(self) -> None:
        """End its processes, and remove its folder."""
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._api.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _next(self, invocation: Invocation, ends: float, progress: Progress) -> Reported | Outcome:
        """Return what the runtime reports next, or the outcome if a limit ends it first."""
        while True:
            with contextlib.suppress(Empty):
                reported = self._api.events.get(timeout=max(0.0, min(_LOOK_SECONDS, ends - time.monotonic())))
                return self._overdrawn(invocation) or reported
            exceeded = self._exit(invocation) or self._overdrawn(invocation)
            if exceeded is None and time.monotonic() >= ends:
                message = f"Task timed out after {self.function.limits.seconds:.2f} seconds"
                exceeded = error("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {message}", TIMEOUT)
            if exceeded is not None:
                self.kill()
                return exceeded
            progress()

    def _ended(self, reported: Answered | Failed | Outcome) -> Outcome:
        if isinstance(reported, Answered):
            return Outcome(SUCCESS, reported.payload)
        if isinstance(reported, Outcome):
            return reported
        if not self._is_initialized:
            self.kill()
        return Outcome(ERROR, reported.payload, reported.error_type if reported.is_runtimes else None)

    def _exit(self, invocation: Invocation) -> Outcome | None:
        code = self._process.poll()
        if code is None:
            return None
        how = "exited without providing a reason"
        if code:
            number = -code if code < 0 else code - SIGNALLED
            description = signal.strsignal(number) if 0 < number < signal.NSIG else None
            how = f"exited with error: {f'signal: {description.lower()}' if description else f'exit status {code}'}"
        return error("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime {how}")

    def _overdrawn(self, invocation: Invocation) -> Outcome | None:
        """Return the outcome if the environment takes more memory or storage than it may, else None."""
        limits = self.function.limits
        self._peak = max(self._peak, self._memory())
        if self._peak > limits.memory:
            self.kill()
            how = "Runtime exited with error: signal: killed"
            return error("Runtime.OutOfMemory", f"RequestId: {invocation.request_id} Error: {how}")
        if (used := _size(self._scratch)) > limits.storage:
            self.kill()
            how = f"No space left on device: /tmp has {used} bytes of {limits.storage}"
            return error("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: {how}")
        return None

    def _memory(self) -> int:
        """Return the memory that the runtime and its children hold."""
        try:
            return held(psutil.Process(self._process.pid).children(recursive=True), self.function.limits.memory)
        except psutil.NoSuchProcess:
            return 0

    def _order(self, endpoints: Mapping[str, str]) -> Order:
        function, image = self.function, self.function.image
        root = str((*function.code, *image.path, self._scratch)[0])
        environment = {
            **image.environment(self._scratch, function.region, endpoints),
            **function.credentials,
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **function.variables,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.limits.memory // _MIB),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_LOG_FORMAT": function.log_format,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": root,
            "_HANDLER": function.handler,
        }
        path = [*map(str, (*function.code, *image.path)), function.variables.get("PYTHONPATH", "")]
        return Order(
            command=function.command,
            environment={**environment, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            folder=str(self._scratch),
            working_folder=function.working_folder or root,
            readable=tuple(map(str, (*function.code, *image.code()))),
            largest_file=function.limits.storage,
        )


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total

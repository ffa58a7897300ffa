"""Keeps execution environments warm: one for each invocation at a time, for as long as they are fit to use.

Source: AWS Lambda Developer Guide, "Lambda execution environment lifecycle" (environments are kept for some time, and
are not used after an update).
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from localcloud.emulator.functions.deployed import Function
from localcloud.emulator.functions.environment import ExecutionEnvironment

_IDLE_SECONDS = 300.0
_SECONDS_BETWEEN_SWEEPS = 2.0

logger = logging.getLogger("functions")


class Pool:
    """The environments of all functions. Safe to share between threads.

    Args:
        folder: Gets a folder for each environment; what an earlier cloud has left in it is removed.
        endpoints: The variables with which boto3 finds the cloud.
        is_current: Returns whether an environment's function still is what a new one would run.
    """

    def __init__(
        self, folder: Path, endpoints: Mapping[str, str], is_current: Callable[[ExecutionEnvironment], bool]
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._endpoints = endpoints
        self._is_current = is_current
        self._idle: dict[str, list[ExecutionEnvironment]] = defaultdict(list)
        self._started = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, name="functions-sweep", daemon=True).start()

    def take(self, function: Function) -> ExecutionEnvironment:
        """Return an environment that nobody else uses: the one that was used last, or a new one."""
        with self._lock:
            idle = self._idle[function.key]
            while idle:
                environment = idle.pop()
                if environment.is_reusable:
                    return environment
                environment.close()
            self._started += 1
            folder = self._folder / f"{function.name}-{self._started}"
        return ExecutionEnvironment(function, folder, self._endpoints)

    def give_back(self, environment: ExecutionEnvironment) -> None:
        """Keep the environment for a later invocation if it is fit for one."""
        if not environment.is_reusable:
            environment.close()
            return
        environment.forget_output()
        environment.idle_since = time.monotonic()
        with self._lock:
            self._idle[environment.function.key].append(environment)

    def _sweep(self) -> None:
        while True:
            time.sleep(_SECONDS_BETWEEN_SWEEPS)
            try:
                for environment in self._unfit():
                    environment.close()
            except Exception:
                logger.exception("the sweep of idle execution environments failed; it is tried again")

    def _unfit(self) -> list[ExecutionEnvironment]:
        oldest = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            found = [each for idle in self._idle.values() for each in idle]
        fit = [each for each in found if each.idle_since >= oldest and each.is_reusable and self._is_current(each)]
        with self._lock:
            taken = [each for each in found if each not in fit and each in self._idle[each.function.key]]
            for each in taken:
                self._idle[each.function.key].remove(each)
            self._idle = defaultdict(list, {key: idle for key, idle in self._idle.items() if idle})
        return taken

"""The child process of a job: started with a container's environment, stopped with a grace period."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.log import JobLog
from localcloud.sagemaker.jobs.metrics import FinalMetrics
from localcloud.sagemaker.jobs.runner import StoppedError
from localcloud.sessions import kill_session

_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0
_INTERPRETERS = ("PYTHON", "LD_", "DYLD_")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """What a job may take of the machine: the size of a file, and the memory."""

    volume_bytes: int
    memory_bytes: int

    @classmethod
    def of(cls, volume_bytes: int, cores: int) -> Bounds:
        """Return the bounds of a job; its share of the memory is its share of the cores.

        Args:
            volume_bytes: The size of the job's volume.
            cores: How many of the machine's cores the job has.
        """
        share = min(cores / (os.cpu_count() or 1), 1.0)
        return cls(volume_bytes, int(psutil.virtual_memory().total * share))


def run(
    module: str,
    layout: Layout,
    environment: Mapping[str, str],
    log: JobLog,
    metrics: FinalMetrics,
    check: Callable[[], None],
    bounds: Bounds,
) -> int:
    """Run a module in a child process to its end, and return its exit status, negative for a signal.

    Args:
        module: The module, which is run as ``python -m``.
        layout: The job's folders, already made.
        environment: All environment variables of the child.
        log: Gets the child's output.
        metrics: Read each line of the output.
        check: Called several times a second. If it raises StoppedError, the child gets SIGTERM, and SIGKILL 120 seconds
            later; if it raises anything else, SIGKILL at once. The error is raised again.
        bounds: What the child may take of the machine.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(layout.root), str(bounds.volume_bytes), str(bounds.memory_bytes)],
        cwd=layout.root,
        env=dict(environment),
        stdin=subprocess.PIPE,  # closes when this process ends, which ends the child
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    reader = threading.Thread(target=log.copy, args=(child.stdout, metrics), daemon=True)
    reader.start()
    try:
        return _wait(child, log, check)
    finally:
        _kill_session(child)
        if child.stdin is not None:
            child.stdin.close()
        reader.join(_END_SECONDS)


def reason(code: int, layout: Layout) -> str:
    """Return why a process failed: what it left in its failure file, else how it ended.

    Args:
        code: The exit status, which isn't 0; negative for a signal.
        layout: The job's folders.
    """
    if layout.failure.exists():
        return layout.failure.read_text(errors="replace")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"AlgorithmError: the job's process ended with {how} and left no reason; see its log."


def environment(layout: Layout, own: Mapping[str, str], threads: int | None) -> Mapping[str, str]:
    """Return a container's environment: the job's variables, and what the interpreter needs.

    Threads that wait for others sleep, since jobs may share the cores.

    Args:
        layout: The job's folders.
        own: The job's variables. Those that an interpreter or a loader reads are left out: they would take effect
            before the job is confined, and they mean folders of a container.
        threads: How many threads OpenMP uses; None leaves it to the library.
    """
    return {
        "LANG": "C.UTF-8",
        "OMP_WAIT_POLICY": "PASSIVE",
        # numpy's threads spin while they wait, in spite of the policy: on shared cores that costs more than it saves.
        "OPENBLAS_NUM_THREADS": "1",
        **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
        **{name: value for name, value in own.items() if not name.startswith(_INTERPRETERS)},
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",  # they would be of this installation's libraries, not of the container's
        "HOME": str(layout.root),
        "TMPDIR": str(layout.temporary),
    }


def _wait(child: subprocess.Popen[str], log: JobLog, check: Callable[[], None]) -> int:
    try:
        while True:
            try:
                return child.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                check()
                log.publish()
    except StoppedError:
        child.terminate()
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("process %d is killed: it didn't end in its grace", child.pid)
        raise


def _kill_session(child: subprocess.Popen[str]) -> None:
    """Kill the child, and all processes that it started."""
    kill_session(child.pid)
    child.wait(_END_SECONDS)

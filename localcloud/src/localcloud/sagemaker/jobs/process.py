"""The child process of a job: started with a container's environment, stopped with its grace."""

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

_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0
_INTERPRETERS = ("PYTHON", "LD_", "DYLD_")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """What a job may take of the machine: of a file's size, and of memory."""

    volume_bytes: int
    memory_bytes: int

    @classmethod
    def of(cls, volume_bytes: int, cores: int) -> Bounds:
        """Memory is shared out as cores are: a job that has all of them may have all of it."""
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
    """Run a module to its end; the exit status, negative for a signal.

    Args:
        check: called again and again; when it raises StoppedError, the child gets SIGTERM and 120 s before
            SIGKILL, when it raises anything else, SIGKILL at once. What it raised is raised again.
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
    """Why a process ended with another status than 0, in its own words if it left any."""
    if layout.failure.exists():
        return layout.failure.read_text(errors="replace")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"AlgorithmError: the job's process ended with {how} and left no reason; see its log."


def environment(layout: Layout, own: Mapping[str, str], threads: int | None) -> Mapping[str, str]:
    """A container's: nothing of the stand-in's own but where Python is, and the job's ``own``.

    What an interpreter or a loader reads isn't the job's to set: it would run before the job is confined, and mean a
    container's folders besides. Threads that wait for others sleep, since jobs may share the cores. Without a number of
    ``threads`` it is the library's to choose.
    """
    return {
        "LANG": "C.UTF-8",
        "OMP_WAIT_POLICY": "PASSIVE",
        # numpy's threads would spin while they wait, whatever the policy says: on shared cores that costs many times
        # what they save.
        "OPENBLAS_NUM_THREADS": "1",
        **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
        **{name: value for name, value in own.items() if not name.startswith(_INTERPRETERS)},
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",  # of this installation's libraries, at lines of its own
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
    """Whatever is left of the child and of what it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait(_END_SECONDS)

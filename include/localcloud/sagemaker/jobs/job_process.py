"""The child process of a job: started with a container's environment, stopped with its grace."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.job_log import JobLog
from localcloud.sagemaker.jobs.job_runner import StoppedError
from localcloud.sagemaker.jobs.metrics import FinalMetrics

_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0

logger = logging.getLogger(__name__)


def run(
    module: str,
    layout: Layout,
    environment: Mapping[str, str],
    log: JobLog,
    metrics: FinalMetrics,
    check: Callable[[], None],
    volume_bytes: int,
) -> int:
    """Run a module to its end; the exit status, negative for a signal.

    Args:
        check: called again and again; when it raises StoppedError, the child gets SIGTERM and 120 s before
            SIGKILL, when it raises anything else, SIGKILL at once. What it raised is raised again.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module, str(layout.root), str(volume_bytes)],
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
    """A container's: nothing of the stand-in's own but where Python is, and on top what is the job's ``own``.

    Threads that wait for others sleep, since jobs may share the cores. Without a number of ``threads`` it is the
    library's to choose.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        "HOME": str(layout.root),
        "TMPDIR": str(layout.temporary),
        "OMP_WAIT_POLICY": "PASSIVE",
        # numpy's threads would spin while they wait, whatever the policy says: on shared cores that costs many times
        # what they save.
        "OPENBLAS_NUM_THREADS": "1",
        **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
        **own,
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

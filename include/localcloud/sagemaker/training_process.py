"""The child process of a training job: started with a container's environment, stopped with its grace."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.job_log import JobLog
from localcloud.sagemaker.metrics import FinalMetrics
from localcloud.sagemaker.store import Document

_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 10.0

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The job was asked to stop, or its time is over: ``secondary`` is the status that it ends with."""

    def __init__(self, secondary: str) -> None:
        super().__init__(secondary)
        self.secondary = secondary


def run(
    module: str,
    layout: Layout,
    environment: Mapping[str, str],
    log: JobLog,
    metrics: FinalMetrics,
    check: Callable[[], None],
    volume_bytes: int,
) -> int:
    """Run an algorithm's module to its end; the exit status, negative for a signal.

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


def environment(request: Document, layout: Layout, cores: int) -> Mapping[str, str]:
    """A container's: nothing of the stand-in's own but where Python is.

    Threads that wait for others sleep, since jobs may share the cores; their number is the library's to
    choose only where the request names none.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        "HOME": str(layout.root),
        "TMPDIR": str(layout.temporary),
        "OMP_WAIT_POLICY": "PASSIVE",
        **({} if "nthread" in request["HyperParameters"] else {"OMP_NUM_THREADS": str(cores)}),
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": request["TrainingJobArn"],
        **request.get("Environment", {}),
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

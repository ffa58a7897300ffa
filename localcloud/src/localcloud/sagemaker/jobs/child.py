"""What every job's process does around its own work.

It is started as ``python -m <module> ROOT VOLUME_BYTES MEMORY_BYTES``, where ROOT takes the place of the container's
``/``. It exits 0 with its result below ``/opt/ml``, or 1 with the reason in ``/opt/ml/output/failure``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from localcloud.confinement import OWN_CODE, confine, limit
from localcloud.sagemaker.jobs.container import Layout
from localcloud.service_model.errors import cause


class UserError(Exception):
    """The request or its data is at fault; the job's FailureReason begins with ClientError."""


class AlgorithmError(Exception):
    """The algorithm failed; the job's FailureReason begins with AlgorithmError."""


def run(train: Callable[[Layout], None]) -> NoReturn:
    """Do the work of this process, and end it; a failure leaves its reason in a file.

    Args:
        train: Does the work in the folders of the job.
    """
    end(_status(train))


def end(status: int) -> NoReturn:
    """End this process without the interpreter's own end.

    The libraries have threads of C++. About one process in a hundred was aborted because such a thread met the end of
    the interpreter, after all of its work was done.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(train: Callable[[Layout], None]) -> int:
    """Do the work of this process, and return its exit status."""
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="[%(asctime)s:%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d:%H:%M:%S",
    )
    layout = Layout(Path(sys.argv[1]))
    try:
        limit(*map(int, sys.argv[2:]))
        if not confine(layout.root, OWN_CODE, network=False):
            logging.warning("This system has no Landlock: the job is not shut out of other files.")
        _end_with_parent()
        train(layout)
    except UserError as error:
        return _fail(layout, f"ClientError: {error}")
    except MemoryError:
        return _fail(layout, "AlgorithmError: OutOfMemory: use less data, or fewer jobs at once: they share it.")
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        return _fail(layout, f"AlgorithmError: {error if isinstance(error, AlgorithmError) else cause(error)}")
    return 0


def _fail(layout: Layout, reason: str) -> int:
    # Libraries name files by their real path; the container's user expects them below /opt/ml.
    shown = reason.replace(str(layout.root), "")
    layout.failure.write_text(shown)
    logging.error("%s", shown)
    return 1


def _end_with_parent() -> None:
    """End this process with the stand-in: standard input is a pipe, which closes when the stand-in is killed."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

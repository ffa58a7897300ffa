"""What every algorithm's training process does around the training itself.

It is started as ``python -m <module> ROOT VOLUME_BYTES MEMORY_BYTES``, with ROOT standing for the container's ``/``.
It exits 0 with something in ``/opt/ml/model``, or 1 with the reason in ``/opt/ml/output/failure``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from localcloud.sagemaker.api.errors import cause
from localcloud.sagemaker.jobs.confinement import confine, limit
from localcloud.sagemaker.jobs.container import Layout


class UserError(Exception):
    """The request or its data is at fault: a ClientError."""


class AlgorithmError(Exception):
    """The algorithm failed: an AlgorithmError."""


def run(train: Callable[[Layout], None]) -> int:
    """Train, and tell a failure as the platform expects it; the process's exit status."""
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="[%(asctime)s:%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d:%H:%M:%S",
    )
    layout = Layout(Path(sys.argv[1]))
    try:
        limit(*map(int, sys.argv[2:]))
        if not confine(layout.root):
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
    # Libraries name files by the path they were given; the container's user knows them below /opt/ml.
    told = reason.replace(str(layout.root), "")
    layout.failure.write_text(told)
    logging.error("%s", told)
    return 1


def _end_with_parent() -> None:
    """Standard input is a pipe that the stand-in holds: it closes when the stand-in is killed."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Invokes a model once, in a process of its own, before the stand-in's process loads it.

On AWS a model that crashes ends its container, and nothing else. Here all models share one process, so the crash that a
damaged file causes has to happen in another. That process also rewrites the model's files, so that the stand-in reads
just what was read there. It is started as ``python -m localcloud.sagemaker.hosting.model_check IMAGE FOLDER`` with the
model's environment on standard input, as JSON. It exits 0, or 1 with the reason on standard output.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from localcloud.confinement import OWN_CODE, confine, limit
from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.jobs.child import end
from localcloud.service_model.errors import cause

_SECONDS = 60
_LARGEST_FILE = 20 * 1024**3  # bytes
_LOGGED = 2000  # the last characters of a failing process's output
_CONTAINER_FOLDER = "/opt/ml/model"

logger = logging.getLogger(__name__)


class ModelCheckError(Exception):
    """The model doesn't serve; the message says why."""


def check(image: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Normalize the unpacked model of a known image, load it, and let it predict once.

    Args:
        image: The image that serves the model.
        folder: The model's files, which are rewritten.
        environment: The container's variables.

    Raises:
        ModelCheckError: It can't be loaded, doesn't predict, crashes, or takes longer than a minute.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, image, str(folder)],
            input=json.dumps(dict(environment)).encode(),
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
                "LANG": "C.UTF-8",
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelCheckError(f"it gave no answer in {_SECONDS} seconds") from error
    if done.returncode:
        logger.error("%s: %s", folder, done.stderr.decode(errors="replace")[-_LOGGED:])
    if done.returncode < 0:
        raise ModelCheckError(f"its process ended with signal {signal.Signals(-done.returncode).name}")
    if done.returncode:
        reason = done.stdout.decode(errors="replace").strip() or f"its process ended with exit code {done.returncode}"
        raise ModelCheckError(reason.replace(str(folder), _CONTAINER_FOLDER))


def _main() -> int:
    image, folder = sys.argv[1], Path(sys.argv[2])
    # If the stand-in is killed meanwhile, this process ends soon after it.
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    limit(_LARGEST_FILE, psutil.virtual_memory().total)
    confine(folder, OWN_CODE, network=False)
    try:
        algorithm = catalog.by_image(image)
        if algorithm is None:
            raise ValueError(f"this stand-in doesn't know the image {image}")
        environment = json.load(sys.stdin)
        algorithm.normalize(folder, environment)
        algorithm.load(folder, environment).probe()
    except Exception as error:
        sys.stdout.write(str(error) if isinstance(error, ValueError) else cause(error))
        return 1
    return 0


if __name__ == "__main__":
    end(_main())

"""Checkpoints: a model of each round in ``/opt/ml/checkpoints``; a later job continues from the newest one.

The container's code describes this (``xgboost-checkpoint.N``, the five newest are kept), but the recorded container
writes other names and never resumes. Here it works.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xgboost

logger = logging.getLogger(__name__)

_NAME = "xgboost-checkpoint"
_PATTERN = re.compile(rf"{_NAME}\.([0-9]+)")
_KEPT = 5
_TRIED = 5
# The markers that the platform puts beside a file during and after its upload.
_UPLOADING, _UPLOADED = ".sagemaker-uploading", ".sagemaker-uploaded"
_UNFINISHED = ".sagemaker-ignore"  # a suffix that the platform doesn't upload


@dataclass(frozen=True)
class Start:
    """Where training begins: the model and the number of its rounds; None for a new model."""

    rounds: int = 0
    model: xgboost.Booster | None = None


def newest(folder: Path) -> Start:
    """Return the newest of the five newest checkpoints that can be read."""
    numbered = sorted(
        ((int(match.group(1)), path) for path in folder.glob("*") if (match := _PATTERN.fullmatch(path.name))),
        reverse=True,
    )
    for number, path in numbered[:_TRIED]:
        model = xgboost.Booster()
        try:
            model.load_model(bytearray(path.read_bytes()))
        except xgboost.core.XGBoostError as error:
            logger.warning("Checkpoint %s isn't a model and is passed over: %s", path.name, error)
            continue
        logger.info("Checkpoint loaded from %s", path)
        logger.info("Resuming from iteration %d", number + 1)
        return Start(number + 1, model)
    return Start()


class SaveCheckpoints(xgboost.callback.TrainingCallback):
    """Saves the model after each round, and keeps the five newest checkpoints that it saved.

    Args:
        folder: The folder of the checkpoints.
        start: Where training begins, as `newest` returns it.
    """

    def __init__(self, folder: Path, start: Start) -> None:
        super().__init__()
        self._folder = folder
        self._start = start
        self._saved: list[Path] = []

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        """Save the model, and return False: training continues."""
        path = self._folder / f"{_NAME}.{self._start.rounds + epoch}"
        save(model, path, path.with_name(path.name + _UNFINISHED))
        self._saved.append(path)
        for old in self._saved[:-_KEPT]:
            if not _being_uploaded(old):
                old.unlink(missing_ok=True)
                self._saved.remove(old)
        return False


def save(model: xgboost.Booster, path: Path, unfinished: Path) -> None:
    """Write a model as UBJSON, atomically.

    Args:
        model: The model.
        path: The file.
        unfinished: The file's path while it is written, in the same folder.
    """
    unfinished.write_bytes(model.save_raw("ubj"))
    unfinished.rename(path)


def _being_uploaded(path: Path) -> bool:
    return path.with_name(path.name + _UPLOADING).exists() and not path.with_name(path.name + _UPLOADED).exists()

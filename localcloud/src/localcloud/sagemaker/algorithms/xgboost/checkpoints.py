"""Checkpoints: a model a round in ``/opt/ml/checkpoints``, from the newest of which a later job goes on.

The container is meant to do that and its code describes it (``xgboost-checkpoint.N``, the five newest kept); as
it is recorded, it writes other names and never resumes. Here it works.
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
# The platform leaves these markers beside a file that it uploads, and has uploaded.
_UPLOADING, _UPLOADED = ".sagemaker-uploading", ".sagemaker-uploaded"
_UNFINISHED = ".sagemaker-ignore"  # a suffix that the platform doesn't upload


@dataclass(frozen=True)
class Start:
    """Where training begins: ``rounds`` of them are done in the model."""

    rounds: int = 0
    model: xgboost.Booster | None = None


def newest(folder: Path) -> Start:
    """The newest checkpoint that can be read, among the five newest."""
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
    """Saves the model after each round, and keeps the five newest of those that it saved."""

    def __init__(self, folder: Path, start: Start) -> None:
        super().__init__()
        self._folder = folder
        self._start = start
        self._saved: list[Path] = []

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: Any) -> bool:
        path = self._folder / f"{_NAME}.{self._start.rounds + epoch}"
        save(model, path, path.with_name(path.name + _UNFINISHED))
        self._saved.append(path)
        for old in self._saved[:-_KEPT]:
            if not _being_uploaded(old):
                old.unlink(missing_ok=True)
                self._saved.remove(old)
        return False


def save(model: xgboost.Booster, path: Path, unfinished: Path) -> None:
    """Write a model as UBJSON, all of it or nothing."""
    unfinished.write_bytes(model.save_raw("ubj"))
    unfinished.rename(path)


def _being_uploaded(path: Path) -> bool:
    return path.with_name(path.name + _UPLOADING).exists() and not path.with_name(path.name + _UPLOADED).exists()

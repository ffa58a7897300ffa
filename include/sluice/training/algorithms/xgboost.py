"""SageMaker's built-in XGBoost.

The metrics that a training job reports are those of its last round. The model that is served may be another: early
stopping saves the best round, and a dart model that is cut back to its best round scores like no round at all. The
artefact is what is served, so only the artefact shows how the served model scores.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sluice.training.algorithms.contract import Algorithm, Scores, UnreadableModel
from sluice.training.images import builtin_image

_VERSION = "3.2-0"


class XGBoostAlgorithm(Algorithm):
    """Version 3.2-0; workers have the same version of the library, which reads its artefacts."""

    repository = "sagemaker-xgboost"

    def image(self, region: str) -> str:
        return builtin_image("xgboost", _VERSION, region)

    def scores(self, archive: bytes, rows: Sequence[str]) -> Scores:
        """Several models in one archive, as k-fold training makes them, are averaged.

        So does the container (aws/sagemaker-xgboost-container, ``serve_utils.predict``).
        """
        import xgboost  # only where a model is scored: a request to train or to answer needs no library

        features = np.array([[float(field or "nan") for field in row.split(",")] for row in rows], dtype=np.float32)
        try:
            matrix = xgboost.DMatrix(features)
            each = [model.predict(matrix, validate_features=False) for model in _models(archive)]
        except (tarfile.TarError, OSError, EOFError, zlib.error, xgboost.core.XGBoostError) as error:
            cause = " ".join(str(error).partition("\nStack trace:")[0].split())
            raise UnreadableModel(f"no model that can score the snapshot ({cause}); train again") from error
        if not each or any(scores.shape != (len(rows),) for scores in each):
            raise UnreadableModel("no model that gives one score a row; declare another objective")
        scores: Scores = np.mean(each, axis=0, dtype=np.float64)
        return scores

    def read_answer(self, body: str) -> list[float]:
        return [float(score) for score in body.split()]


def _models(archive: bytes) -> Iterator[Any]:
    """Every file at the top of the archive whose name does not begin with a dot, as the container loads them."""
    import xgboost

    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            name = member.name.removeprefix("./")
            content = files.extractfile(member)
            if content is not None and "/" not in name and not name.startswith("."):
                model = xgboost.Booster()
                model.load_model(bytearray(content.read()))
                yield model

"""SageMaker's built-in XGBoost.

The metrics that a training job reports are those of its last round. The model that is served may be another: early
stopping saves the best round, and a dart model that is cut back to its best round has the scores of no round. Only the
artefact shows the scores of the model that is served.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from sluice.training.algorithms.contract import Algorithm, Scores, UnreadableModel
from sluice.training.images import builtin_image

_VERSION = "3.2-0"


class XGBoostAlgorithm(Algorithm):
    """XGBoost 3.2-0. The workers have the same version of the library, so that it reads the artefacts."""

    repository = "sagemaker-xgboost"

    @override
    def image(self, region: str) -> str:
        return builtin_image("xgboost", _VERSION, region)

    @override
    def scores(self, archive: bytes, rows: Sequence[str]) -> Scores:
        """Score rows with the mean of all models in the archive; k-fold training makes several.

        The container does the same (aws/sagemaker-xgboost-container, ``serve_utils.predict``).
        """
        import xgboost  # not at the top: a request for training needs no library

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

    @override
    def read_answer(self, body: str) -> list[float]:
        return [float(score) for score in body.split()]


def _models(archive: bytes) -> Iterator[Any]:
    """Yield a model from each file at the top of the archive, except hidden ones, as the container loads them."""
    import xgboost

    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            name = member.name.removeprefix("./")
            content = files.extractfile(member)
            if content is not None and "/" not in name and not name.startswith("."):
                model = xgboost.Booster()
                model.load_model(bytearray(content.read()))
                yield model

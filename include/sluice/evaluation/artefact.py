"""Reads the artefact of a training job, and scores rows with it as the container that serves it does.

The metrics that a training job reports are those of its last round. The model that is served may be another: early
stopping saves the best round, and a dart model that is cut back to its best round scores like no round at all. The
artefact is what is served, so only the artefact shows how the served model scores.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import xgboost

from sluice.errors import TrainingFailed
from sluice.lake.store import Lake

Scores = npt.NDArray[np.float64]


def artefact_scores(lake: Lake, uri: str, rows: Sequence[str]) -> Scores:
    """The score of each row by the model of that artefact, an object of the lake's bucket.

    Several models in one archive, as k-fold training makes them, are averaged (aws/sagemaker-xgboost-container,
    ``serve_utils.predict``).

    Args:
        uri: ``s3://BUCKET/KEY`` of a ``model.tar.gz``.
        rows: features as CSV, a missing value an empty field.

    Raises:
        MissingResource: the artefact is gone.
        TrainingFailed: it holds no model that XGBoost can read, or none with one score a row.
    """
    archive = lake.get(uri.removeprefix(f"s3://{lake.bucket}/"))
    features = np.array([[float(field or "nan") for field in row.split(",")] for row in rows], dtype=np.float32)
    try:
        matrix = xgboost.DMatrix(features)
        each = [model.predict(matrix, validate_features=False) for model in _models(archive)]
    except (tarfile.TarError, OSError, EOFError, zlib.error, xgboost.core.XGBoostError) as error:
        cause = " ".join(str(error).partition("\nStack trace:")[0].split())
        raise TrainingFailed(f"{uri} holds no model that can score the snapshot ({cause}); train again") from error
    if not each or any(scores.shape != (len(rows),) for scores in each):
        raise TrainingFailed(f"{uri} holds no model that gives one score a row; declare another objective")
    scores: Scores = np.mean(each, axis=0, dtype=np.float64)
    return scores


def _models(archive: bytes) -> Iterator[xgboost.Booster]:
    """Every file at the top of the archive whose name does not begin with a dot, as the container loads them."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            name = member.name.removeprefix("./")
            content = files.extractfile(member)
            if content is not None and "/" not in name and not name.startswith("."):
                model = xgboost.Booster()
                model.load_model(bytearray(content.read()))
                yield model

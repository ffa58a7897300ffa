"""The trained model and its file, a zip of arrays and a description, without pickle."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Matrix

NAME = "model_algo-1"

_FORMAT = 1
_DESCRIPTION = "model.json"
_ARRAYS = ("weights.npy", "bias.npy")
_ENCRYPTED = 1  # the bit of a member's flags
_KINDS = ("binary_classifier", "multiclass_classifier", "regressor")


class InvalidModelError(ValueError):
    """The file isn't a model of this algorithm."""


@dataclass(frozen=True)
class LinearModel:
    """A model whose outputs are ``features @ weights + bias``.

    Attributes:
        predictor_type: The hyperparameter.
        loss: The hyperparameter; scores depend on it.
        weights: Features x outputs, float32.
        bias: One value for each output, float32.
        threshold: Outputs of a binary classifier above it have label 1.
    """

    predictor_type: str
    loss: str
    weights: Floats
    bias: Floats
    threshold: float

    @property
    def feature_dim(self) -> int:
        """The number of features."""
        return int(self.weights.shape[0])

    def outputs(self, features: Matrix) -> Floats:
        """Return rows x outputs, float32, of dense or sparse features (rows x features)."""
        with np.errstate(over="ignore", invalid="ignore"):
            found: Floats = features @ self.weights
            found += self.bias
        return found

    def scores(self, outputs: Floats) -> Floats:
        """Return the scores of outputs: probabilities if the loss has them, else the outputs themselves."""
        if self.loss == "logistic":
            with np.errstate(over="ignore"):
                return np.asarray(1 / (1 + np.exp(-outputs)))
        if self.loss == "softmax_loss":
            exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
        return outputs

    def labels(self, outputs: Floats) -> npt.NDArray[np.intp]:
        """Return the predicted label of each row of a classifier's outputs."""
        if self.predictor_type == "multiclass_classifier":
            return np.asarray(outputs.argmax(axis=1))
        return (outputs[:, 0] > self.threshold).astype(np.intp)

    def save(self, path: Path) -> None:
        """Write the model's file; the same model gives the same bytes."""
        described = {
            "format": _FORMAT,
            "predictor_type": self.predictor_type,
            "loss": self.loss,
            "threshold": self.threshold,
        }
        with zipfile.ZipFile(path, "w") as archive:
            _add(archive, _DESCRIPTION, json.dumps(described).encode())
            for name, array in zip(_ARRAYS, (self.weights, self.bias), strict=True):
                written = io.BytesIO()
                np.lib.format.write_array(written, np.ascontiguousarray(array, np.float32), allow_pickle=False)
                _add(archive, name, written.getvalue())

    @classmethod
    def load(cls, path: Path) -> LinearModel:
        """Read a file that `save` wrote.

        Raises:
            InvalidModelError: The file is damaged, or has another format.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                described = json.loads(_member(archive, _DESCRIPTION))
                weights, bias = (_array(archive, name) for name in _ARRAYS)
            model = cls(described["predictor_type"], described["loss"], weights, bias, float(described["threshold"]))
        except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, NotImplementedError) as error:
            raise InvalidModelError(f"{path.name} is no model of Linear Learner: {error}") from error
        _check(model, path.name, described)
        return model


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    # Only uncompressed members, so that no content is larger than the file.
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name} is compressed or encrypted")
    return archive.read(member)


def _array(archive: zipfile.ZipFile, name: str) -> Floats:
    array: Any = np.lib.format.read_array(io.BytesIO(_member(archive, name)), allow_pickle=False)
    if array.dtype != np.float32:
        raise ValueError(f"{name} holds {array.dtype}")
    return np.ascontiguousarray(array)


def _check(model: LinearModel, name: str, described: dict[str, Any]) -> None:
    fits = (
        described.get("format") == _FORMAT
        and model.predictor_type in _KINDS
        and model.weights.ndim == 2
        and model.bias.shape == model.weights.shape[1:]
        and (model.predictor_type == "multiclass_classifier") == (len(model.bias) > 2)
        and (len(model.bias) > 2 or len(model.bias) == 1)
        and bool(np.isfinite(model.weights).all() and np.isfinite(model.bias).all())
    )
    if not fits:
        raise InvalidModelError(f"{name} is no model of Linear Learner of format {_FORMAT}.")

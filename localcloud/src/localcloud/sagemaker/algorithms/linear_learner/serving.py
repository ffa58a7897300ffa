"""Serves a model of Linear Learner: its answers to requests of four content types."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.linear_learner import payloads
from localcloud.sagemaker.algorithms.linear_learner.model import NAME, LinearModel
from localcloud.sagemaker.algorithms.linear_learner.payloads import PayloadError, UnknownContentTypeError
from localcloud.sagemaker.algorithms.serving import Answer, ExecutionParameters, Invocation

_LARGEST = 6_291_456  # bytes of a request
_JSON = "application/json"

Prediction = Mapping[str, Any]


def load(folder: Path, _environment: Mapping[str, str]) -> LinearLearnerServer:
    """Load the model of an unpacked archive; the container's variables have no effect.

    Raises:
        ValueError: There is no model, or the file isn't one.
    """
    path = folder / NAME
    if not path.is_file():
        raise ValueError(f"the archive holds no {NAME}")
    return LinearLearnerServer(LinearModel.load(path))


class LinearLearnerServer:
    """A `ModelServer` of one model, which never changes, so all threads may use it."""

    def __init__(self, model: LinearModel) -> None:
        self._model = model

    def execution_parameters(self) -> ExecutionParameters:
        """Return the answer to ``/execution-parameters``."""
        return {
            "MaxConcurrentTransforms": os.cpu_count() or 1,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": _LARGEST // 1024**2,
        }

    def probe(self) -> None:
        """Predict from zeros; the file was checked when it was loaded."""
        self._predictions(self._model.outputs(np.zeros((1, self._model.feature_dim), np.float32)))

    def invoke(self, invocation: Invocation) -> Answer:
        """Answer one request."""
        if len(invocation.body) > _LARGEST:
            return _text(413, "Request Entity Too Large")
        accept = (invocation.accept or "").partition(";")[0].strip().lower()
        accept = _JSON if accept in ("", "*/*") else accept
        if accept not in _ENCODERS:
            return _text(406, f"Accept type {invocation.accept} is not supported: use one of {', '.join(_ENCODERS)}")
        try:
            rows = payloads.features(invocation.body, invocation.content_type, self._model.feature_dim)
        except UnknownContentTypeError:
            return _text(415, f"Content-type {invocation.content_type} is not supported")
        except PayloadError as error:
            return _unreadable(str(error))
        outputs = self._model.outputs(rows)
        if not np.isfinite(outputs).all():
            return _unreadable("features are so large that their score is infinite")
        return Answer(200, accept, _ENCODERS[accept](self._predictions(outputs)))

    def _predictions(self, outputs: Any) -> list[Prediction]:
        scores = self._model.scores(outputs)
        if self._model.predictor_type == "multiclass_classifier":
            values: list[Any] = scores.tolist()
        else:
            values = scores[:, 0].tolist()
        if self._model.predictor_type == "regressor":
            return [{"score": score} for score in values]
        labels = self._model.labels(outputs).tolist()
        return [{"score": score, "predicted_label": label} for score, label in zip(values, labels, strict=True)]


def _as_json(predictions: Sequence[Prediction]) -> bytes:
    return json.dumps({"predictions": predictions}).encode()


def _as_json_lines(predictions: Sequence[Prediction]) -> bytes:
    return "".join(f"{json.dumps(prediction)}\n" for prediction in predictions).encode()


# The service's algorithm answers no CSV.
_ENCODERS: Mapping[str, Callable[[Sequence[Prediction]], bytes]] = {
    _JSON: _as_json,
    "application/jsonlines": _as_json_lines,
    "application/x-recordio-protobuf": recordio.encode_answer,
}


def _unreadable(why: str) -> Answer:
    return _text(400, f"unable to evaluate payload provided: {' '.join(why.split())[:500]}")


def _text(status: int, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())

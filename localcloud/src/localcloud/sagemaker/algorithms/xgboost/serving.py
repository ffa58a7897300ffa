"""Serves the models of an archive as the container's scoring application does."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from localcloud.sagemaker.algorithms.serving import Answer, ExecutionParameters, Invocation
from localcloud.sagemaker.algorithms.xgboost import bodies, soundness
from localcloud.sagemaker.algorithms.xgboost.bodies import Array, Rows
from localcloud.sagemaker.algorithms.xgboost.content_types import parse_header
from localcloud.sagemaker.algorithms.xgboost.selection import Selection
from localcloud.sagemaker.jobs.child import UserError

logger = logging.getLogger(__name__)

_ACCEPTED = ("application/json", "application/jsonlines", "application/x-recordio-protobuf", "text/csv")
_LARGEST = "6291456"  # bytes of a request
_PADDED_BYTES = 64 * 1024**2  # of rows with missing columns, at a time
_VOTING = ("multi:softmax", "binary:hinge")
_PAGE = "<!doctype html>\n<html lang=en>\n<title>{0} {1}</title>\n<h1>{1}</h1>\n<p>{2}</p>\n"
_SERVER_ERROR = _PAGE.format(
    500,
    "Internal Server Error",
    "The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application.",
)
_TOO_LARGE = _PAGE.format(413, "Request Entity Too Large", "The data value transmitted exceeds the capacity limit.")


def load(folder: Path, environment: Mapping[str, str]) -> XGBoostServer:
    """Load every file of a folder whose name doesn't begin with a dot as a model; several are an ensemble.

    Models are read in XGBoost's own formats only; the container would also unpickle them.

    Args:
        folder: The unpacked archive.
        environment: The container's variables.

    Raises:
        ValueError: There is no model, a file isn't one, or MAX_CONTENT_LENGTH isn't a number.
    """
    return XGBoostServer([_booster(path) for path in _paths(folder, environment)], environment)


def normalize(folder: Path, environment: Mapping[str, str]) -> None:
    """Rewrite the models that `load` reads, by the library; their predictions stay the same.

    The library may read beyond the content of a damaged file, with another outcome each time. A file that it wrote
    itself is read the same way everywhere. A damaged file may end the process.

    Args:
        folder: The unpacked archive.
        environment: The container's variables.

    Raises:
        ValueError: There is no model, a file isn't one, or a model isn't safe to use.
    """
    for path in _paths(folder, environment):
        booster = _booster(path)
        soundness.check(booster)
        unfinished = path.with_name(".unfinished")
        unfinished.write_bytes(booster.save_raw("ubj"))
        unfinished.rename(path)


def _paths(folder: Path, environment: Mapping[str, str]) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
        paths = paths[:1]
    if not paths:
        raise ValueError("the archive holds no model")
    return paths


def _booster(path: Path) -> xgboost.Booster:
    booster = xgboost.Booster()
    try:
        # From memory, as by name the library guesses the format from a suffix, which the container doesn't write.
        booster.load_model(bytearray(path.read_bytes()))
    except xgboost.core.XGBoostError as error:
        raise ValueError(f"Model {path.name} cannot be loaded:\nXGB load model error={error}") from error
    booster.set_param("nthread", "1")
    return booster


class XGBoostServer:
    """A `ModelServer` of one booster or an ensemble of them.

    Args:
        boosters: The models, at least one.
        environment: The container's variables.
    """

    def __init__(self, boosters: list[xgboost.Booster], environment: Mapping[str, str]) -> None:
        learner = json.loads(boosters[0].save_config())["learner"]
        self._objective: str = learner["objective"]["name"]
        self._models = [_Model(booster) for booster in boosters]
        self._default_accept = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
        self._batch = bool(environment.get("SAGEMAKER_BATCH"))
        self._largest = int(environment.get("MAX_CONTENT_LENGTH", _LARGEST))
        keys = environment.get("SAGEMAKER_INFERENCE_OUTPUT")
        num_class = int(learner["learner_model_param"]["num_class"])
        self._selection = None if keys is None else Selection(keys, self._objective, num_class, batch=self._batch)
        if self._votes:
            logger.warning(
                "An ensemble of %s models ANSWERS EVERY REQUEST WITH STATUS 500: so does the container.",
                self._objective,
            )

    @property
    def _votes(self) -> bool:
        """Whether the models vote, which fails in the container: its scipy returns an unexpected shape."""
        return len(self._models) > 1 and self._objective in _VOTING

    def execution_parameters(self) -> ExecutionParameters:
        """Return the answer to ``/execution-parameters``."""
        return {
            "MaxConcurrentTransforms": os.cpu_count() or 1,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": self._largest // 1024**2,
        }

    def probe(self) -> None:
        """Predict from zeros."""
        for model in self._models:
            model.predict(np.zeros((1, model.features), np.float32))

    def invoke(self, invocation: Invocation) -> Answer:
        """Answer one request; a refusal has the container's status and message."""
        if len(invocation.body) > self._largest:
            return _text(413, _TOO_LARGE)
        if not invocation.body:
            return _text(204, "")
        try:
            rows = bodies.read(invocation.body, invocation.content_type)
        except (UserError, ValueError) as error:
            return _text(415, str(error))
        try:
            each = [model.predict(rows) for model in self._models]
        except Exception as error:  # the container answers with every error
            return _text(400, f"Unable to evaluate payload provided: {bodies.without_stack(error)}")
        accept = self._accept(invocation.accept)
        if accept is None:
            requested = parse_header(invocation.accept or "")[0]
            return _text(
                406, f"Accept type {requested} is not supported. Please use supported accept types: {list(_ACCEPTED)}."
            )
        if self._votes:
            return _text(500, _SERVER_ERROR if self._selection is None else "'numpy.float32' object is not iterable")
        predictions = each[0] if len(each) == 1 else np.mean(each, axis=0)
        if self._selection is not None:
            return self._encode_selected(self._selection, predictions.tolist(), accept)
        return self._encode(predictions.tolist(), accept)

    def _accept(self, header: str | None) -> str | None:
        """Return the type of the answer; None if it isn't supported. The environment's isn't checked."""
        accept, _ = parse_header(header or "")
        if accept in ("", "*/*"):
            return self._default_accept
        return accept.lower() if accept.lower() in _ACCEPTED else None

    def _encode_selected(self, selection: Selection, predictions: list[Any], accept: str) -> Answer:
        try:
            body = selection.encode(selection.select(predictions), accept)
        except ValueError as error:
            return _text(500, str(error))
        return Answer(200, _charset(accept), body)

    def _encode(self, predictions: list[Any], accept: str) -> Answer:
        if self._batch:
            lines = "".join(f"{prediction}\n" for prediction in predictions)
            return Answer(200, _charset(accept), lines.encode())
        if accept == "application/json":
            body = json.dumps({"predictions": [{"score": score} for score in predictions]})
            return Answer(200, accept, body.encode())
        if accept == "text/csv":
            lines = "\n".join(map(_csv_line if isinstance(predictions[0], list) else repr, predictions))
            return Answer(200, _charset(accept), f"{lines}\n".encode())
        if accept == "application/x-npy":
            written = io.BytesIO()
            np.save(written, predictions)
            return Answer(200, accept, written.getvalue())
        # The container has the other types only for selected output keys.
        return _text(500, _SERVER_ERROR)


class _Model:
    """A booster that predicts from arrays if it can, without a copy into a matrix."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster
        self.features = booster.num_features()
        config = json.loads(booster.save_config())
        # Linear models don't take arrays, and dart's predictions from arrays have other last digits.
        self._takes_arrays = config["learner"]["gradient_booster"]["name"] == "gbtree"
        self._lock = threading.Lock()  # prediction from a matrix isn't safe to share for every booster type
        self._warned = False

    def predict(self, rows: Rows) -> Array:
        """Return the scores, rows or rows x classes.

        Raises:
            XGBoostError: There are more columns than the model has.
        """
        if isinstance(rows, np.ndarray):
            self._warn_of_missing(rows.shape[1])
            if self._takes_arrays and rows.shape[1] <= self.features:
                return self._predict_array(rows)
            rows = xgboost.DMatrix(rows, nthread=1)
        with self._lock:
            return np.asarray(self._booster.predict(rows, validate_features=False))

    def _predict_array(self, rows: Array) -> Array:
        """Predict with NaN in missing columns, as the library needs all of them; few rows are copied at a time."""
        lacking = self.features - rows.shape[1]
        if not lacking:
            scores: Array = self._booster.inplace_predict(rows, validate_features=False)
            return scores
        count = max(1, _PADDED_BYTES // (self.features * rows.itemsize))
        blocks = (rows[start : start + count] for start in range(0, len(rows), count))
        padded = (np.pad(block, ((0, 0), (0, lacking)), constant_values=np.nan) for block in blocks)
        return np.concatenate([self._booster.inplace_predict(block, validate_features=False) for block in padded])

    def _warn_of_missing(self, columns: int) -> None:
        if columns < self.features and not self._warned:
            self._warned = True
            logger.warning(
                "A request has %d columns, the model %d: THE LAST ONES ARE TAKEN AS MISSING, as the container does.",
                columns,
                self.features,
            )


def _csv_line(prediction: list[float]) -> str:
    return ",".join(map(repr, prediction))


def _charset(accept: str) -> str:
    return f"{accept}; charset=utf-8" if accept.startswith("text/") else accept


def _text(status: int, text: str) -> Answer:
    return Answer(status, "text/html; charset=utf-8", text.encode())

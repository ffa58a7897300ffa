"""Serves the models of an archive as the container's scoring application does."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]
import xgboost

from localcloud.sagemaker.algorithms.xgboost.channels import data_format
from localcloud.sagemaker.algorithms.xgboost.selection import Selection
from localcloud.sagemaker.job_child import UserError
from localcloud.sagemaker.serving import Answer, Invocation

_ACCEPTED = ("application/json", "application/jsonlines", "application/x-recordio-protobuf", "text/csv")
_LARGEST = 6_291_456  # bytes of a request
_SNIFFED = 512


def load(folder: Path, environment: Mapping[str, str]) -> XGBoostServer:
    """Load every file of the folder that doesn't begin with a dot as a model: several are an ensemble.

    Models are read in XGBoost's own formats only; the container would also unpickle them.

    Raises:
        ValueError: there is no model, or a file isn't one.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
        paths = paths[:1]
    if not paths:
        raise ValueError("the archive holds no model")
    return XGBoostServer([_booster(path) for path in paths], environment)


def _booster(path: Path) -> xgboost.Booster:
    booster = xgboost.Booster()
    try:
        # From memory: by name, the format would be guessed from the suffix that the container doesn't write.
        booster.load_model(bytearray(path.read_bytes()))
    except xgboost.core.XGBoostError as error:
        raise ValueError(f"Model {path.name} cannot be loaded:\nXGB load model error={error}") from error
    booster.set_param("nthread", "1")
    return booster


class XGBoostServer:
    """A `ModelServer` of one booster or an ensemble of them."""

    def __init__(self, boosters: list[xgboost.Booster], environment: Mapping[str, str]) -> None:
        self._boosters = boosters
        self._default_accept = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
        self._batch = bool(environment.get("SAGEMAKER_BATCH"))
        self._lock = threading.Lock()  # a booster's predict isn't safe to share for every booster type
        learner = json.loads(boosters[0].save_config())["learner"]
        self._objective: str = learner["objective"]["name"]
        keys = environment.get("SAGEMAKER_INFERENCE_OUTPUT")
        num_class = int(learner["learner_model_param"]["num_class"])
        self._selection = None if keys is None else Selection(keys, self._objective, num_class)

    def invoke(self, invocation: Invocation) -> Answer:
        """Answer one request, refusing it with the container's statuses and words."""
        if not invocation.body:
            return _text(204, "")
        if len(invocation.body) > _LARGEST:
            return _text(413, "Request Entity Too Large")
        try:
            rows = _matrix(invocation.body, invocation.content_type)
        except (UserError, ValueError) as error:
            return _text(415, str(error))
        try:
            predictions = self._predict(rows)
        except xgboost.core.XGBoostError as error:
            return _text(400, f"Unable to evaluate payload provided: {_without_stack(error)}")
        accept = self._accept(invocation.accept)
        if accept not in _ACCEPTED:
            return _text(
                406,
                f"Accept type {invocation.accept} is not supported. "
                f"Please use supported accept types: {list(_ACCEPTED)}.",
            )
        if self._selection is not None:
            return self._encode_selected(self._selection, predictions.tolist(), accept)
        return self._encode(predictions.tolist(), accept)

    def _predict(self, rows: xgboost.DMatrix) -> np.ndarray[Any, Any]:
        with self._lock:
            each = [booster.predict(rows, validate_features=False) for booster in self._boosters]
        if len(each) == 1:
            return np.asarray(each[0])
        if self._objective in ("multi:softmax", "binary:hinge"):
            values = np.unique(np.stack(each))
            votes = np.stack([(np.stack(each) == value).sum(axis=0) for value in values])
            return np.asarray(values[votes.argmax(axis=0)])
        return np.asarray(np.mean(each, axis=0))

    def _accept(self, header: str | None) -> str:
        accept = (header or "").partition(";")[0].strip()
        return self._default_accept if accept in ("", "*/*") else accept.lower()

    def _encode_selected(self, selection: Selection, predictions: list[Any], accept: str) -> Answer:
        try:
            body = selection.encode(selection.select(predictions), accept)
        except ValueError as error:
            return _text(500, str(error))
        end = "\n" if self._batch and accept == "text/csv" else ""
        return Answer(200, _charset(accept), (body + end).encode())

    def _encode(self, predictions: list[Any], accept: str) -> Answer:
        if self._batch:
            lines = "".join(f"{prediction}\n" for prediction in predictions)
            return Answer(200, _charset(accept), lines.encode())
        if accept == "application/json":
            body = json.dumps({"predictions": [{"score": score} for score in predictions]})
            return Answer(200, accept, body.encode())
        if accept == "text/csv":
            written = io.StringIO()
            csv.writer(written, lineterminator="\n").writerows(
                row if isinstance(row, list) else [row] for row in predictions
            )
            return Answer(200, _charset(accept), written.getvalue().encode())
        # The container knows these two answers only where output keys are selected.
        return _text(500, "500 Internal Server Error")


def _matrix(body: bytes, content_type: str | None) -> xgboost.DMatrix:
    """The rows of a request.

    Raises:
        UserError: the content type isn't served.
        ValueError: the body can't be read, in the container's words.
    """
    found = data_format(content_type)
    readers = {"csv": _csv_rows, "libsvm": _libsvm_rows}
    if found not in readers:
        raise UserError(f"Content-type {content_type} is not supported.")
    try:
        return xgboost.DMatrix(readers[found](body.strip().decode("utf-8")))
    except (ValueError, csv.Error, IndexError, TypeError) as error:
        raise ValueError(
            f"Loading {found} data failed with Exception, please ensure data is in {found} format:\n "
            f"{type(error)}\n {error}"
        ) from error


def _csv_rows(text: str) -> np.ndarray[Any, Any]:
    lines = text.split("\n")
    sniffed = csv.Sniffer().sniff(lines[0][:_SNIFFED]).delimiter
    delimiter = "," if sniffed.isalnum() else sniffed
    return np.array([[cell or "nan" for cell in line.split(delimiter)] for line in lines]).astype(float)


def _libsvm_rows(text: str) -> scipy.sparse.csr_matrix:
    """Indices are taken as they are. The recorded container shifts them when no row has index 0, at inference only."""
    entries = [
        (row, *cell.split(":")[:2])
        for row, line in enumerate(text.split("\n"))
        for cell in line.split(" ")
        if ":" in cell
    ]
    rows = np.array([row for row, _, _ in entries])
    columns = np.array([column for _, column, _ in entries]).astype(int)
    return scipy.sparse.csr_matrix((np.array([value for _, _, value in entries]).astype(float), (rows, columns)))


def _without_stack(error: Exception) -> str:
    """The library's words, without the addresses of its native stack."""
    return str(error).partition("\nStack trace:")[0]


def _charset(accept: str) -> str:
    return f"{accept}; charset=utf-8" if accept.startswith("text/") else accept


def _text(status: int, text: str) -> Answer:
    return Answer(status, "text/html; charset=utf-8", text.encode())

"""``SAGEMAKER_INFERENCE_OUTPUT``: answers with the selected keys in place of bare scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from localcloud.sagemaker.algorithms import recordio

Prediction = Any  # a float, or a list of floats for multi:softprob

_LARGEST = 6_291_456  # bytes of an answer, by the service's limit

_PROBABILITY_OBJECTIVES = ("binary:logistic", "multi:softprob")
_REGRESSIONS = ("reg:squarederror", "reg:logistic", "reg:gamma", "reg:absoluteerror", "reg:tweedie")
_CLASSIFICATIONS = ("binary:logistic", "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob")


class Selection:
    """The selected keys for a model.

    A key that the objective doesn't have is NaN, as in the container.

    Args:
        keys: The variable's value, comma-separated.
        objective: The model's objective.
        num_class: The number of classes; 0 for two.
        batch: Whether CSV ends with a line end, as in a batch transform.
    """

    def __init__(self, keys: str, objective: str, num_class: int, *, batch: bool) -> None:
        self._keys = keys.replace(" ", "").lower().split(",")
        self._objective = objective
        self._num_class = num_class
        self._batch = batch

    def select(self, predictions: list[Prediction]) -> list[dict[str, Any]]:
        """Return the selected keys of each prediction.

        Raises:
            ValueError: Keys can't be selected for this objective.
        """
        if self._objective not in (*_REGRESSIONS, *_CLASSIFICATIONS):
            raise ValueError(f"Objective `{self._objective}` unsupported for selectable inference predictions.")
        known = self._known()
        ordered = [key for key in known if key in self._keys] + [key for key in self._keys if key not in known]
        return [
            {key: known[key](prediction) if key in known else math.nan for key in ordered} for prediction in predictions
        ]

    def encode(self, selected: list[dict[str, Any]], accept: str) -> bytes:
        """Return the body of the answer.

        Args:
            selected: What `select` returned.
            accept: The content type of the answer.

        Raises:
            ValueError: The content type can't hold selected keys.
        """
        if accept == "application/json":
            return json.dumps({"predictions": selected}).encode()
        if accept == "application/jsonlines":
            return "".join(json.dumps(each) + "\n" for each in selected).encode()
        if accept == "application/x-recordio-protobuf":
            return _encode_recordio(selected)
        if accept == "text/csv":
            lines = "\n".join(",".join(_cell(each[key]) for key in self._keys) for each in selected)
            return (lines + "\n" if self._batch else lines).encode()
        raise ValueError(f"Cannot encode selected predictions into accept type '{accept}'.")

    def _known(self) -> dict[str, Callable[[Prediction], Any]]:
        if self._objective in _REGRESSIONS:
            return {"predicted_score": lambda score: score}
        known: dict[str, Callable[[Prediction], Any]] = {
            "predicted_label": self._label,
            "labels": lambda _: list(range(self._num_class or 2)),
        }
        if self._objective in _PROBABILITY_OBJECTIVES:
            known |= {"probability": self._winner, "probabilities": self._each}
        return known | {"raw_score": self._winner, "raw_scores": self._each}

    def _label(self, prediction: Prediction) -> int | float:
        if self._objective == "multi:softprob":
            return int(max(range(len(prediction)), key=prediction.__getitem__))
        if self._objective in ("binary:hinge", "multi:softmax"):
            return float(prediction)
        return int(prediction > (0.5 if self._objective == "binary:logistic" else 0))

    def _winner(self, prediction: Prediction) -> float:
        return float(max(prediction) if self._objective == "multi:softprob" else prediction)

    def _each(self, prediction: Prediction) -> list[float]:
        return prediction if self._objective == "multi:softprob" else [1.0 - prediction, prediction]


def _encode_recordio(selected: list[dict[str, Any]]) -> bytes:
    """Return the container's file: each record repeats those before it, and a reader sees the last values."""
    written, so_far = bytearray(), b""
    for each in selected:
        so_far += recordio.answer_record(each)
        written += recordio.frame(so_far)
        if len(written) > _LARGEST:
            raise ValueError(f"The answer has more than {_LARGEST} bytes; ask for fewer rows at once.")
    return bytes(written)


def _cell(value: Any) -> str:
    return f'"{value}"' if isinstance(value, list) else str(value)

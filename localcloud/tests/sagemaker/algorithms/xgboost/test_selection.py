"""Selected keys in place of bare scores (examples of the recorded container)."""

from __future__ import annotations

import math

import pytest

from localcloud.sagemaker.algorithms.record_message import Record
from localcloud.sagemaker.algorithms.xgboost.selection import Selection


def test_a_binary_classifier_has_labels_and_probabilities() -> None:
    selection = Selection("Probabilities, predicted_label", "binary:logistic", 0, batch=False)
    selected = selection.select([0.75, 0.25])
    assert selection.encode(selected, "text/csv") == b'"[0.25, 0.75]",1\n"[0.75, 0.25]",0'
    assert selection.encode(selected, "application/jsonlines") == (
        b'{"predicted_label": 1, "probabilities": [0.25, 0.75]}\n'
        b'{"predicted_label": 0, "probabilities": [0.75, 0.25]}\n'
    )


def test_several_classes_have_a_winner() -> None:
    selection = Selection("predicted_label,labels,probability,raw_scores", "multi:softprob", 3, batch=False)
    assert selection.select([[0.2, 0.5, 0.3]]) == [
        {"predicted_label": 1, "labels": [0, 1, 2], "probability": 0.5, "raw_scores": [0.2, 0.5, 0.3]}
    ]


def test_a_key_that_the_objective_does_not_have_is_nan() -> None:
    [selected] = Selection("probability,predicted_score", "reg:squarederror", 0, batch=False).select([2.5])
    assert selected["predicted_score"] == 2.5
    assert math.isnan(selected["probability"])


def test_some_objectives_select_nothing() -> None:
    with pytest.raises(ValueError, match="Objective `count:poisson` unsupported for selectable inference predictions"):
        Selection("predicted_score", "count:poisson", 0, batch=False).select([1.0])


def test_a_batch_of_csv_ends_with_a_line_end() -> None:
    selection = Selection("predicted_score", "reg:squarederror", 0, batch=True)
    assert selection.encode(selection.select([2.5, 3.0]), "text/csv") == b"2.5\n3.0\n"


def test_a_record_has_the_keys_as_labels() -> None:
    selection = Selection("predicted_label,probabilities", "binary:logistic", 0, batch=False)
    [first, second] = records(selection.encode(selection.select([0.75, 0.25]), "application/x-recordio-protobuf"))
    assert first == {"predicted_label": [1.0], "probabilities": [0.25, 0.75]}
    assert second == {"predicted_label": [0.0], "probabilities": [0.75, 0.25]}


def test_an_answer_of_records_does_not_grow_without_end() -> None:
    selection = Selection("predicted_score", "reg:squarederror", 0, batch=False)
    with pytest.raises(ValueError, match="ask for fewer rows at once"):
        selection.encode(selection.select([1.0] * 10_000), "application/x-recordio-protobuf")


def records(body: bytes) -> list[dict[str, list[float]]]:
    found = []
    while body:
        length = int.from_bytes(body[4:8], "little")
        record = Record.FromString(body[8 : 8 + length])
        found.append({key: list(value.float32_tensor.values) for key, value in record.label.items()})
        body = body[8 + length + -length % 4 :]
    return found

"""The scoring application, asked directly."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from localcloud.sagemaker.algorithms.xgboost.serving import XGBoostServer, load
from localcloud.sagemaker.serving import Invocation

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] * 5)


def booster(labels: Any, **parameters: Any) -> xgboost.Booster:
    matrix = xgboost.DMatrix(ROWS, label=np.resize(labels, len(ROWS)))
    return xgboost.train({"min_child_weight": 0, **parameters}, matrix, 5)


def server(folder: Path, *boosters: xgboost.Booster, environment: Mapping[str, str] | None = None) -> XGBoostServer:
    for number, each in enumerate(boosters):
        (folder / f"xgboost-model-{number}").write_bytes(each.save_raw("ubj"))
    return load(folder, environment or {})


def scores(server: XGBoostServer, body: bytes = b"0,1\n1,0") -> list[float]:
    answer = server.invoke(Invocation(body, "text/csv", None))
    assert answer.status == 200, answer.body
    return [float(line) for line in answer.body.decode().splitlines()]


def test_several_models_are_averaged(tmp_path: Path) -> None:
    low, high = booster([0, 1, 1, 0]), booster([10, 11, 12, 10])
    both = np.mean([each.predict(xgboost.DMatrix(ROWS[:2])) for each in (low, high)], axis=0)
    assert scores(server(tmp_path, low, high)) == pytest.approx(both.tolist(), rel=1e-6)


def test_the_ensemble_can_be_turned_off(tmp_path: Path) -> None:
    low, high = booster([0, 1, 1, 0]), booster([10, 11, 12, 10])
    one = server(tmp_path, low, high, environment={"SAGEMAKER_INFERENCE_ENSEMBLE": "false"})
    assert scores(one) == low.predict(xgboost.DMatrix(ROWS[:2])).tolist()


def test_an_ensemble_of_classes_fails_at_the_vote_as_in_the_container(tmp_path: Path) -> None:
    softmax = {"objective": "multi:softmax", "num_class": 3}
    voting = server(tmp_path, *(booster(labels, **softmax) for labels in ([2, 0, 1, 1], [2, 1, 1, 1])))
    answer = voting.invoke(Invocation(b"0,1\n1,0", "text/csv", None))
    assert answer.status == 500
    assert b"<title>500 Internal Server Error</title>" in answer.body


def test_hidden_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("x")
    assert len(scores(server(tmp_path, booster([0, 1])))) == 2


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    model = tmp_path / "model"
    model.mkdir()
    (model / "xgboost-model").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="Model xgboost-model cannot be loaded"):
        load(model, {})
    assert not canary.exists()


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no model"):
        load(tmp_path, {})


def test_a_request_may_not_be_too_large(tmp_path: Path) -> None:
    answer = server(tmp_path, booster([0, 1])).invoke(Invocation(b"1" * 6_291_457, "text/csv", None))
    assert answer.status == 413


def test_libsvm_indices_are_taken_as_they_are(tmp_path: Path) -> None:
    model = booster([0, 1, 2, 3])
    answer = server(tmp_path, model).invoke(Invocation(b"1:1", "text/libsvm", None))
    expected = model.predict(xgboost.DMatrix(np.array([[np.nan, 1.0]])))
    assert answer.body.decode() == f"{expected.tolist()[0]}\n"


def test_json_lines_need_selected_keys(tmp_path: Path) -> None:
    plain = server(tmp_path, booster([0, 1]))
    assert plain.invoke(Invocation(b"0,1", "text/csv", "application/jsonlines")).status == 500

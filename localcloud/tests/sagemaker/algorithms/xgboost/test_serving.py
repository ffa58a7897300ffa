"""The scoring application, called directly."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import xgboost

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.serving import Invocation
from localcloud.sagemaker.algorithms.xgboost import serving
from localcloud.sagemaker.algorithms.xgboost.serving import XGBoostServer, load

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] * 5)


def booster(labels: Any, **parameters: Any) -> xgboost.Booster:
    matrix = xgboost.DMatrix(ROWS, label=np.resize(labels, len(ROWS)))
    return xgboost.train({"min_child_weight": 0, "nthread": 1, **parameters}, matrix, 5)


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


def test_many_rows_without_some_columns_need_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    rows, labels = generator.random((300, 500)), generator.integers(0, 3, 300)
    wide = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(rows, label=labels), 2)
    body = "\n".join(f"{first:.3f},{second:.3f}" for first, second in generator.random((20_000, 2))).encode()
    served, invocation = server(tmp_path, wide), Invocation(body, "text/csv", "application/json")
    at_once = served.invoke(invocation)
    monkeypatch.setattr(serving, "_PADDED_BYTES", 1024**2)
    tracemalloc.start()
    in_blocks = served.invoke(invocation)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert in_blocks == at_once
    assert most < 30 * 1024**2, "all rows padded would have 40 MB"


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "<title>500 Internal Server Error</title>"),
        ({"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label"}, "'numpy.float32' object is not iterable"),
    ],
)
def test_an_ensemble_of_classes_fails_at_the_vote_as_in_the_container(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, environment: dict[str, str], text: str
) -> None:
    softmax = {"objective": "multi:softmax", "num_class": 3}
    models = [booster(labels, **softmax) for labels in ([2, 0, 1, 1], [2, 1, 1, 1])]
    answer = server(tmp_path, *models, environment=environment).invoke(Invocation(b"0,1\n1,0", "text/csv", None))
    assert answer.status == 500
    assert text in answer.body.decode()
    assert "An ensemble of multi:softmax models ANSWERS EVERY REQUEST WITH STATUS 500" in caplog.text


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


def test_libsvm_indices_are_not_changed(tmp_path: Path) -> None:
    model = booster([0, 1, 2, 3])
    answer = server(tmp_path, model).invoke(Invocation(b"1:1", "text/libsvm", None))
    expected = model.predict(xgboost.DMatrix(np.array([[np.nan, 1.0]])))
    assert answer.body.decode() == f"{expected.tolist()[0]}\n"


def test_json_lines_need_selected_keys(tmp_path: Path) -> None:
    plain = server(tmp_path, booster([0, 1]))
    assert plain.invoke(Invocation(b"0,1", "text/csv", "application/jsonlines")).status == 500


BOOSTERS = [
    *[{"objective": each} for each in ("reg:squarederror", "binary:logistic", "binary:logitraw", "binary:hinge")],
    *[{"objective": each, "num_class": 3} for each in ("multi:softmax", "multi:softprob")],
    *[{"objective": "count:poisson"}, {"booster": "dart", "rate_drop": 0.5}, {"booster": "gblinear"}],
    {"num_parallel_tree": 3, "subsample": 0.5},
]


@pytest.mark.parametrize("parameters", BOOSTERS, ids=lambda each: "-".join(map(str, each.values())))
@pytest.mark.parametrize("body", ["0,1\n1,0", ",1\n1,", "1,\n,"])
def test_scores_are_those_of_the_librarys_matrix(tmp_path: Path, parameters: dict[str, Any], body: str) -> None:
    model = booster([0, 1, 1, 0], **parameters)
    rows = np.array([[float(cell or "nan") for cell in line.split(",")] for line in body.split("\n")])
    expected = model.predict(xgboost.DMatrix(rows)).tolist()
    answer = server(tmp_path, model).invoke(Invocation(body.encode(), "text/csv", "application/json"))
    assert json.loads(answer.body) == {"predictions": [{"score": each} for each in expected]}


def test_missing_columns_are_missing_values_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix = xgboost.DMatrix(np.random.default_rng(0).normal(size=(50, 3)), label=np.arange(50))
    model = xgboost.train({"nthread": 1}, matrix, 5)
    served = server(tmp_path, model)
    for _ in range(2):
        assert scores(served, b"1,2") == model.predict(xgboost.DMatrix(np.array([[1, 2, np.nan]]))).tolist()
    assert caplog.text.count("TAKEN AS MISSING") == 1


JSON, JSONLINES, RECORDIO = "application/json", "application/jsonlines", "application/x-recordio-protobuf"
SELECTED = {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_score"}


@pytest.mark.parametrize(
    ("body", "accept", "environment", "status", "content_type", "text"),
    [
        ("0,1", None, {}, 200, "text/csv; charset=utf-8", "0.5\n"),
        ("0,1", "*/*", {}, 200, "text/csv; charset=utf-8", "0.5\n"),
        ("0,1", "TEXT/CSV; charset=x", {}, 200, "text/csv; charset=utf-8", "0.5\n"),
        ("0,1", "Application/JSON", {}, 200, JSON, '{"predictions": [{"score": 0.5}]}'),
        ("0,1", None, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": JSON}, 200, JSON, '{"predictions": [{"score": 0.5}]}'),
        ("0,1", None, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/html"}, 500, "text/html; charset=utf-8", "500"),
        ("0,1", JSON, {"SAGEMAKER_BATCH": "false"}, 200, JSON, "0.5\n"),
        ("0,1", JSON, {"SAGEMAKER_BATCH": ""}, 200, JSON, '{"predictions": [{"score": 0.5}]}'),
        ("0,1", JSONLINES, {"SAGEMAKER_BATCH": "true"}, 200, JSONLINES, "0.5\n"),
        ("0,1", JSONLINES, {}, 500, "text/html; charset=utf-8", "<title>500 Internal Server Error</title>"),
        ("0,1", RECORDIO, {}, 500, "text/html; charset=utf-8", "<title>500 Internal Server Error</title>"),
        ("0,1", JSONLINES, SELECTED, 200, JSONLINES, '{"predicted_score": 0.5}\n'),
        ("0,1", None, SELECTED | {"SAGEMAKER_BATCH": "1"}, 200, "text/csv; charset=utf-8", "0.5\n"),
        ("0,1", "text/html", {}, 406, "text/html; charset=utf-8", "Accept type text/html is not supported."),
        ("0,1,2", "text/html", {}, 400, "text/html; charset=utf-8", "Unable to evaluate payload provided: "),
        ("x", "text/html", {}, 415, "text/html; charset=utf-8", "Loading csv data failed"),
        ("", "text/html", {}, 204, "text/html; charset=utf-8", ""),
        ("0,1", None, {"MAX_CONTENT_LENGTH": "2"}, 413, "text/html; charset=utf-8", "413 Request Entity Too Large"),
    ],
)
def test_the_status_and_form_of_an_answer(
    tmp_path: Path,
    body: str,
    accept: str | None,
    environment: dict[str, str],
    status: int,
    content_type: str,
    text: str,
) -> None:
    constant = booster([0.5])
    answer = server(tmp_path, constant, environment=environment).invoke(Invocation(body.encode(), "text/csv", accept))
    assert (answer.status, answer.content_type) == (status, content_type)
    if status == 200:
        assert answer.body.decode() == text
    else:
        assert text in answer.body.decode()
        assert b"Stack trace" not in answer.body


def test_the_execution_parameters_have_the_largest_payload(tmp_path: Path) -> None:
    served = server(tmp_path, booster([0.5]), environment={"MAX_CONTENT_LENGTH": str(20 * 1024**2)})
    assert served.execution_parameters()["MaxPayloadInMB"] == 20
    assert served.execution_parameters()["BatchStrategy"] == "MULTI_RECORD"


CONTENT_TYPES = ["text/csv", "text/libsvm", RECORDIO, "csv", None, "", "\x00", ";;", 'text/csv;label_size="1', "a/b"]


def test_mutated_requests_are_answered_by_a_modelled_status(tmp_path: Path) -> None:
    served, random = server(tmp_path, booster([0, 1, 1, 0])), Random(7)
    bodies = [
        b"1,2\n3,4",
        b"0:1 1:2\n0:3",
        recordio.encode(ROWS[:2]),
        recordio.encode(scipy.sparse.csr_matrix(ROWS[:2])),
    ]
    statuses = set()
    for _ in range(3000):
        body, accept = (
            mutated(random.choice(bodies), random),
            random.choice([None, "", JSON, JSONLINES, "*/*", "x", ";"]),
        )
        answer = served.invoke(Invocation(body, random.choice(CONTENT_TYPES), accept))
        assert answer.status in (200, 204, 400, 406, 415) or (answer.status, accept) == (500, JSONLINES), body
        statuses.add(answer.status)
    assert statuses == {200, 204, 400, 406, 415, 500}
    assert len(scores(served)) == 2


def mutated(body: bytes, random: Random) -> bytes:
    """Return the bytes with some changed, added, removed or repeated; sometimes none are left."""
    changed = bytearray(body)
    for _ in range(random.randrange(4)):
        place = random.randrange(len(changed))
        kind = random.randrange(4)
        if kind == 0:
            changed[place] = random.randrange(256)
        elif kind == 1:
            changed.insert(place, random.randrange(256))
        elif kind == 2 and len(changed) > 1:
            del changed[place]
        else:
            changed += changed[place:]
    return b"" if random.random() < 0.02 else bytes(changed)

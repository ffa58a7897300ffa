"""The served model: what it reads, answers and refuses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.linear_learner.model import LinearModel
from localcloud.sagemaker.algorithms.linear_learner.serving import LinearLearnerServer
from localcloud.sagemaker.algorithms.record_message import Record
from localcloud.sagemaker.algorithms.serving import Answer, Invocation

CSV, JSON, LINES, RECORDIO = (
    *("text/csv", "application/json", "application/jsonlines", "application/x-recordio-protobuf"),
)
ROWS = np.array([[1.5, 16, 14], [-2, 100, 0]], np.float32)


def server(kind: str, loss: str = "", threshold: float = 0.0) -> LinearLearnerServer:
    random = np.random.default_rng(0)
    outputs = 4 if kind == "multiclass_classifier" else 1
    weights = random.normal(scale=0.05, size=(3, outputs)).astype(np.float32)
    usual = {"binary_classifier": "logistic", "multiclass_classifier": "softmax_loss", "regressor": "squared_loss"}
    model = LinearModel(kind, loss or usual[kind], weights, np.float32([0.25] * outputs), threshold)
    return LinearLearnerServer(model)


REGRESSOR = server("regressor")
EXPECTED = (ROWS @ REGRESSOR._model.weights)[:, 0] + np.float32(0.25)


def invoke(body: bytes | str | Any, content_type: str | None = CSV, accept: str | None = None) -> Answer:
    return invoked(REGRESSOR, body, content_type, accept)


def invoked(of: LinearLearnerServer, body: Any, content_type: str | None = CSV, accept: str | None = None) -> Answer:
    encoded = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return of.invoke(Invocation(encoded, content_type, accept))


def scores(answer: Answer) -> list[float]:
    assert answer.status == 200, answer.body
    assert answer.content_type == JSON
    return [prediction["score"] for prediction in json.loads(answer.body)["predictions"]]


def dense(row: Any) -> dict[str, Any]:
    return {"features": [float(value) for value in row]}


def in_data(row: Any) -> dict[str, Any]:
    return {"data": {"features": {"values": [float(value) for value in row]}}}


def in_keys(row: Any) -> dict[str, Any]:
    keys = [int(key) for key in np.flatnonzero(row)]
    return {"data": {"features": {"keys": keys, "shape": [3], "values": [float(row[key]) for key in keys]}}}


def lines(*instances: Any) -> str:
    return "\n".join(json.dumps(instance) for instance in instances)


@pytest.mark.parametrize("kind", ["regressor", "binary_classifier", "multiclass_classifier"])
def test_a_model_that_was_loaded_passes_its_probe(kind: str) -> None:
    server(kind).probe()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param("1.5,16,14\n-2,100,0", CSV, id="csv"),
        pytest.param(" 1.5, 16.0,1.4e1\r\n\r\n-2,100,0\r\n", "Text/CSV; charset=utf-8", id="csv with spaces"),
        pytest.param("1.5,16,14\n-2,100,0\n", "text/csv;label_size=0", id="csv without labels"),
        pytest.param({"instances": [dense(ROWS[0]), dense(ROWS[1])]}, JSON, id="json"),
        pytest.param({"instances": [in_data(ROWS[0]), in_data(ROWS[1])]}, JSON, id="json with data"),
        pytest.param({"instances": [in_keys(ROWS[0]), in_keys(ROWS[1])]}, JSON, id="json with keys"),
        pytest.param({"instances": [in_keys(ROWS[0]), dense(ROWS[1])]}, JSON, id="json, mixed"),
        pytest.param({"configuration": {}, "instances": [in_keys(ROWS[0]), in_data(ROWS[1])]}, JSON, id="json, more"),
        pytest.param(lines(dense(ROWS[0]), in_data(ROWS[1])), LINES, id="jsonlines"),
        pytest.param(lines(in_keys(ROWS[0]), dense(ROWS[1])) + "\n", LINES, id="jsonlines with keys"),
        pytest.param(recordio.encode(ROWS), RECORDIO, id="recordio"),
        pytest.param(recordio.encode(ROWS, np.array([7.0, 8.0])), RECORDIO, id="recordio with labels"),
        pytest.param(recordio.encode(scipy.sparse.csr_matrix(ROWS)), RECORDIO, id="sparse recordio"),
    ],
)
def test_all_formats_give_the_same_scores(body: Any, content_type: str) -> None:
    assert scores(invoke(body, content_type)) == pytest.approx(EXPECTED.tolist(), rel=1e-6)


LONG = "\n".join(["1.5,16,14", " -2, 1e2 ,0", "", "0.1,+.3,-7.25e-3"] * 500)


def test_a_long_csv_is_read_as_a_short_one() -> None:
    rows = np.float32([[1.5, 16, 14], [-2, 100, 0], [0.1, 0.3, -0.00725]])
    expected = (rows @ REGRESSOR._model.weights)[:, 0] + np.float32(0.25)
    for end in ("", "\r\n", "\n \n"):
        assert scores(invoke(LONG + end)) == pytest.approx(expected.tolist() * 500, rel=1e-6)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("1,2", "the records have from 2 to 3 features"),
        ("1,2,x", "could not convert string to float: 'x'"),
        ("1,2,", "could not convert string to float: ''"),
        ('1,2,"3"', "could not convert string to float: '\"3\"'"),
        ("1,2,nan", "features must be finite numbers"),
        ("1,2,1_0", "'_' is no part of a number"),
    ],
)
def test_a_long_csv_is_refused_as_a_short_one(last: str, message: str) -> None:
    for body in (f"1,2,3\n{last}", f"{LONG}\n{last}"):
        answer = invoke(body)
        assert (answer.status, answer.body.decode()) == (400, f"unable to evaluate payload provided: {message}")


def test_a_record_of_zeros_has_no_keys() -> None:
    instance = {"data": {"features": {"keys": [], "shape": [3], "values": []}}}
    assert scores(invoke({"instances": [instance]}, JSON)) == [0.25]


def test_a_regression_has_a_score_alone() -> None:
    answer = invoke("1.5,16,14")
    assert answer.body.decode() == json.dumps({"predictions": [{"score": float(EXPECTED[0])}]})


@pytest.mark.parametrize(("threshold", "label"), [(-9.0, 1), (9.0, 0)])
def test_a_binary_classification_has_a_probability_and_a_label(threshold: float, label: int) -> None:
    binary = server("binary_classifier", threshold=threshold)
    output = float(binary._model.outputs(ROWS)[0, 0])
    (prediction,) = json.loads(invoked(binary, "1.5,16,14").body)["predictions"]
    assert prediction["predicted_label"] == label
    assert type(prediction["predicted_label"]) is int
    assert prediction["score"] == pytest.approx(1 / (1 + np.exp(-output)), rel=1e-5)


def test_the_threshold_itself_has_label_0() -> None:
    binary = server("binary_classifier", threshold=0.25)
    assert json.loads(invoked(binary, "0,0,0").body)["predictions"][0]["predicted_label"] == 0
    assert json.loads(invoked(server("binary_classifier"), "0,0,0").body)["predictions"][0]["predicted_label"] == 1


def test_a_support_vector_classifier_has_a_distance() -> None:
    hinge = server("binary_classifier", "hinge_loss")
    assert scores(invoked(hinge, "1.5,16,14\n-2,100,0")) == pytest.approx(hinge._model.outputs(ROWS)[:, 0].tolist())


def test_a_multiclass_classification_has_a_probability_a_class() -> None:
    multiclass = server("multiclass_classifier")
    exponentials = np.exp(multiclass._model.outputs(ROWS))
    predictions = json.loads(invoked(multiclass, "1.5,16,14\n-2,100,0").body)["predictions"]
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert [prediction["score"] for prediction in predictions] == [pytest.approx(row, rel=1e-5) for row in expected]
    assert [prediction["predicted_label"] for prediction in predictions] == expected.argmax(axis=1).tolist()


def test_extreme_outputs_have_a_probability() -> None:
    for kind in ("binary_classifier", "multiclass_classifier"):
        answer = invoked(server(kind), "1e6,1e6,-1e6\n-1e6,-1e6,1e6")
        flat = np.ravel(scores(answer))
        assert flat.min() >= 0
        assert flat.max() <= 1


@pytest.mark.parametrize("accept", [None, "", "*/*", "application/json", "Application/JSON; charset=utf-8"])
def test_json_is_the_default_answer(accept: str | None) -> None:
    assert scores(invoke("1.5,16,14", accept=accept)) == pytest.approx([EXPECTED[0]])


def test_each_json_line_has_one_prediction() -> None:
    answer = invoked(server("binary_classifier"), "1.5,16,14\n-2,100,0", accept=LINES)
    assert (answer.status, answer.content_type) == (200, LINES)
    written = answer.body.decode().splitlines(keepends=True)
    assert [sorted(json.loads(line)) for line in written] == [["predicted_label", "score"]] * 2
    assert all(line.endswith("}\n") for line in written)


@pytest.mark.parametrize("kind", ["binary_classifier", "multiclass_classifier", "regressor"])
def test_records_hold_the_predictions_as_labels(kind: str) -> None:
    answer = invoked(server(kind), recordio.encode(ROWS), RECORDIO, RECORDIO)
    assert (answer.status, answer.content_type) == (200, RECORDIO)
    expected = json.loads(invoked(server(kind), recordio.encode(ROWS), RECORDIO).body)["predictions"]
    length = int.from_bytes(answer.body[4:8], "little")
    record = Record.FromString(answer.body[8 : 8 + length])
    found = {key: list(record.label[key].float32_tensor.values) for key in record.label}
    assert found == {key: np.ravel(np.float32(value)).tolist() for key, value in expected[0].items()}


@pytest.mark.parametrize("accept", ["text/csv", "text/plain", "image/png"])
def test_other_answers_are_refused(accept: str) -> None:
    answer = invoke("1.5,16,14", accept=accept)
    assert answer.status == 406
    assert answer.body.decode().startswith(f"Accept type {accept} is not supported: use one of application/json, ")


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "text/libsvm", "csv"])
def test_other_content_types_are_refused(content_type: str | None) -> None:
    answer = invoke("1.5,16,14", content_type)
    assert (answer.status, answer.body.decode()) == (415, f"Content-type {content_type} is not supported")


def test_a_request_may_not_be_too_large() -> None:
    assert invoke(b"1" * 6_291_457).status == 413


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ("", CSV, "there are no records"),
        ("\n \n", CSV, "there are no records"),
        ("1,2", CSV, "the records have 2 features, the model has 3"),
        ("1,2,3,4", CSV, "the records have 4 features, the model has 3"),
        ("1,2,3\n1,2", CSV, "the records have from 2 to 3 features"),
        ("1,2,x", CSV, "could not convert string to float: 'x'"),
        ("1,2,", CSV, "could not convert string to float: ''"),
        ("1,2,1_0", CSV, "'_' is no part of a number"),
        ("1,2,nan", CSV, "features must be finite numbers"),
        ("1,2,1e300", CSV, "features must be finite numbers"),
        (b"1,2,\xff", CSV, "'utf-8' codec can't decode byte 0xff in position 4: invalid start byte"),
        ("{", JSON, "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ({"rows": []}, JSON, "'instances'"),
        ([], JSON, "list indices must be integers or slices, not str"),
        ({"instances": []}, JSON, "there are no records"),
        ({"instances": {}}, JSON, "'instances' should be a list"),
        ({"instances": [{"features": [1, 2]}]}, JSON, "the records have 2 features, the model has 3"),
        ({"instances": [{"features": [1, 2, "3"]}]}, JSON, "features must be numbers"),
        ({"instances": [{"features": [1, 2, None]}]}, JSON, "features must be numbers"),
        ({"instances": [{"features": [True, False, True]}]}, JSON, "features must be numbers"),
        ({"instances": [{"data": {}}]}, JSON, "'features'"),
        (
            {"instances": [{"features": [1, 2, 3]}, {"features": [1]}]},
            JSON,
            "setting an array element with a sequence.",
        ),
        ('{"instances": [{"features": [1, 2, NaN]}]}', JSON, "features must be finite numbers"),
        ("{}\n", LINES, "'features'"),
        ("1,2,3\n", RECORDIO, "No records found in RecordIO-Protobuf data"),
    ],
)
def test_an_unreadable_body_is_a_400_in_one_line(body: Any, content_type: str, message: str) -> None:
    answer = invoke(body, content_type)
    assert answer.status == 400
    assert answer.body.decode().startswith(f"unable to evaluate payload provided: {message}")
    assert "\n" not in answer.body.decode()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"keys": [3], "shape": [3], "values": [1]}, "the keys of a sparse record must be integers from 0 to 2"),
        ({"keys": [-1], "shape": [3], "values": [1]}, "the keys of a sparse record must be integers from 0 to 2"),
        ({"keys": [0.0], "shape": [3], "values": [1]}, "the keys of a sparse record must be integers from 0 to 2"),
        ({"keys": [True], "shape": [3], "values": [1]}, "the keys of a sparse record must be integers from 0 to 2"),
        ({"keys": [0, 1], "shape": [3], "values": [1]}, "a sparse record has 2 keys and 1 values"),
        ({"keys": [0], "shape": [4], "values": [1]}, "the shape of a sparse record is [4], the model has 3 features"),
        ({"keys": [0], "values": ["1"]}, "features must be numbers"),
        ({"keys": [0]}, "'values'"),
    ],
)
def test_a_sparse_record_must_fit_the_model(tensor: dict[str, Any], message: str) -> None:
    answer = invoke({"instances": [{"data": {"features": tensor}}]}, JSON)
    assert (answer.status, answer.body.decode()) == (400, f"unable to evaluate payload provided: {message}")


def test_an_infinite_score_is_no_answer() -> None:
    large = LinearModel("regressor", "squared_loss", np.full((3, 1), 1e30, np.float32), np.zeros(1, np.float32), 0.0)
    answer = invoked(LinearLearnerServer(large), "1e30,1e30,1e30")
    assert answer.status == 400
    assert answer.body.decode().endswith("features are so large that their score is infinite")


def test_many_threads_may_invoke_at_once() -> None:
    random = np.random.default_rng(0)
    batches = [random.normal(size=(50, 3)).astype(np.float32) for _ in range(40)]
    bodies = ["\n".join(",".join(map(str, row)) for row in batch.tolist()) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for batch, answer in zip(batches, pool.map(invoke, bodies), strict=True):
            expected = (batch @ REGRESSOR._model.weights)[:, 0] + np.float32(0.25)
            assert scores(answer) == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["instances", "features", "data", "keys", "shape", "values"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=400)
@given(
    body=st.binary(max_size=100)
    | st.text(alphabet='0123456789.,-+enaif\n "{}[]:', max_size=60).map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"instances": [value]}).encode()),
    content_type=st.sampled_from([CSV, JSON, LINES, RECORDIO]),
    accept=st.sampled_from([JSON, LINES, RECORDIO]),
)
def test_any_body_is_answered(body: bytes, content_type: str, accept: str) -> None:
    answer = invoke(body, content_type, accept)
    assert answer.status in (200, 400)
    if accept == JSON and answer.status == 200:
        assert all(np.isfinite(scores(answer)))


def test_deep_nesting_is_answered() -> None:
    assert invoke('{"instances":' + "[" * 100_000, JSON).status == 400

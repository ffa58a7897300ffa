"""The rows of a request are those that the container reads, in each of our ways to read them."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import xgboost
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.xgboost import bodies
from localcloud.sagemaker.jobs.child import UserError

CELLS = st.one_of(
    st.floats(width=64).map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(
        ["", "nan", "-NaN", "inf", "1_0", " 1 ", "+1", "1.", ".5", "1e5", "1e-400", "1e400", "-", "a", "0x1"]
    ),
    st.sampled_from(["nan(1)", '"1"', "'1'", "1\r", "\t", "\u0661", "-0", "007", "1d5", "1e", "infinity", "NULL"]),
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4)


def container(text: str) -> np.ndarray[Any, Any]:
    """Return the rows by the container's own steps: sniff, split, fill, convert."""
    sniffed = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
    delimiter = "," if sniffed.isalnum() else sniffed
    cells = [["nan" if cell == "" else cell for cell in line.split(delimiter)] for line in text.split("\n")]
    return np.array(cells).astype(float)


def outcome(read: Any) -> Any:
    """Return the values as the library takes them, or that there are none."""
    try:
        rows = read()
        matrix = rows if isinstance(rows, xgboost.DMatrix) else xgboost.DMatrix(rows)
    except Exception:
        return "refused"
    with np.errstate(over="ignore"):
        return [
            matrix.num_row(),
            matrix.num_col(),
            matrix.get_data().data.tobytes(),
            matrix.get_data().indices.tobytes(),
        ]


@settings(max_examples=60)
@given(rows=ROWS, line_end=st.sampled_from(["\n", "\r\n", "\n\n"]), copies=st.sampled_from([1, 2500]))
@example(rows=[["1", "2"], ["3"]], line_end="\n", copies=1)
@example(rows=[["", ""], ["", "1"]], line_end="\n", copies=2500)
@example(rows=[["1", "2"]], line_end="\n", copies=2500)
@example(rows=[["1", "2"]], line_end="\n\n", copies=2500)
def test_csv_has_the_rows_of_the_container(rows: list[list[str]], line_end: str, copies: int) -> None:
    text = line_end.join(",".join(row) for row in rows * copies)
    read = outcome(lambda: bodies.read(text.encode(), "text/csv"))
    stripped = text.encode().strip().decode()
    assert read == outcome(lambda: container(stripped))


@given(text=st.text(alphabet="0123456789.,;:- e\t|\n\"'a", min_size=1, max_size=60))
def test_any_text_has_the_outcome_of_the_container(text: str) -> None:
    read = outcome(lambda: bodies.read(text.encode(), "text/csv"))
    stripped = text.encode().strip().decode()
    assert read == outcome(lambda: container(stripped))


@pytest.mark.parametrize("count", [2, 2000])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_values_keep_all_their_digits(delimiter: str, count: int) -> None:
    values = np.random.default_rng(1).normal(size=(count, 5))
    text = "\n".join(delimiter.join(map(repr, row)) for row in values.tolist())
    rows = bodies.read(text.encode(), "text/csv")
    np.testing.assert_array_equal(rows, values.astype(np.float32))


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (
            "text/csv",
            b"1,2\n3",
            "Loading csv data failed with Exception, please ensure data is in csv format:\n <class ",
        ),
        ("text/csv", b"1,x", "could not convert string to float: np.str_('x')"),
        ("text/csv", b"1,1e39", "Input data contains `inf` or a value too large"),
        ("text/csv", b"\xff,1", "'utf-8' codec can't decode byte 0xff"),
        ("text/libsvm", b"1 2 3", "cannot infer dimensions from zero sized index arrays"),
        ("text/libsvm", b"1 -1:3", "negative"),
        ("text/libsvm", b"99999999999999999999:1", "Loading libsvm data failed with Exception"),
        (None, b"1,2", "Loading libsvm data failed with Exception"),
        ("application/x-recordio-protobuf", b"x" * 8, "recordio-protobuf format: <class 'ValueError'> Invalid"),
        ("application/x-parquet", b"PAR1", "Content-type application/x-parquet is not supported."),
    ],
)
def test_an_unreadable_body_is_an_error(content_type: str | None, body: bytes, message: str) -> None:
    with pytest.raises(ValueError) as failed:
        bodies.read(body, content_type)
    assert message in str(failed.value)


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(UserError, match="application/json is not an accepted ContentType"):
        bodies.read(b"{}", "application/json")


@pytest.mark.parametrize("sparse", [True, False])
def test_records_are_read_with_their_labels(sparse: bool) -> None:
    features = np.array([[0.0, 2.0], [3.0, 4.0]])
    body = recordio.encode(scipy.sparse.csr_matrix(features) if sparse else features, np.array([1.0, 0.0]))
    rows = bodies.read(body, "application/x-recordio-protobuf")
    assert isinstance(rows, xgboost.DMatrix)
    assert rows.get_label().tolist() == [1.0, 0.0]
    assert rows.num_nonmissing() == (3 if sparse else 4)


def test_libsvm_indices_are_not_changed() -> None:
    rows = bodies.read(b"1 1:5 3:7\n0 2:6", "text/libsvm")
    assert isinstance(rows, xgboost.DMatrix)
    assert rows.get_data().toarray().tolist() == [[0, 5, 0, 7], [0, 0, 6, 0]]

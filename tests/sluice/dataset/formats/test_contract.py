"""Every format holds the same rows: each file is read back by a reader that Sluice does not have."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import xgboost
from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

from localcloud.sagemaker.algorithms import recordio
from sluice.dataset.channels import FORMATS
from sluice.dataset.formats.contract import Block
from sluice.declaration.candidates import ChannelFormat

CELLS = st.one_of(st.just(np.nan), st.just(0.0), st.floats(-1e30, 1e30, allow_nan=False))
Table = Any  # the label first, then the columns; NaN where a value is missing


@st.composite
def blocks(draw: Any) -> list[Block]:
    width = draw(st.integers(1, 5))
    made = []
    for rows in draw(st.lists(st.integers(0, 4), min_size=1, max_size=3).filter(any)):  # a partition may have no label
        cells = draw(st.lists(CELLS, min_size=rows * width, max_size=rows * width))
        labels = draw(st.lists(st.integers(0, 31).map(float), min_size=rows, max_size=rows))
        made.append(Block(np.array(labels), np.array(cells).reshape(rows, width)))
    return made


def written(name: str, parts: Sequence[Block]) -> bytes:
    file = io.BytesIO()
    writer = FORMATS[name](file)  # type: ignore[index]
    for part in parts:
        writer.write(part)
    writer.close()
    return file.getvalue()


def read_csv(content: bytes, _width: int) -> Table:
    return np.array([[float(cell or "nan") for cell in line.split(",")] for line in content.decode().splitlines()])


def read_parquet(content: bytes, _width: int) -> Table:
    return pq.read_table(io.BytesIO(content)).to_pandas().to_numpy()


def read_recordio(content: bytes, _width: int) -> Table:
    """As SageMaker's XGBoost does: records in several parts are refused."""
    rows = recordio.decode(content, strict=True)
    return np.column_stack([rows.labels, rows.features])


def read_libsvm(content: bytes, width: int) -> Table:
    features, labels = load_svmlight_file(io.BytesIO(content), zero_based=True, n_features=width)
    table = np.full(features.shape, np.nan)
    places = features.tocoo()
    table[places.row, places.col] = places.data
    return np.column_stack([labels, table])


READERS: Mapping[str, Callable[[bytes, int], Table]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "recordio": read_recordio,
    "libsvm": read_libsvm,
}


def test_every_format_that_may_be_declared_is_written() -> None:
    assert set(FORMATS) == set(READERS) == set(get_args(ChannelFormat))
    assert len({each.extension for each in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("name", READERS)
@given(parts=blocks())
def test_file_holds_the_rows_of_all_blocks_in_order(name: str, parts: list[Block]) -> None:
    expected = np.vstack([np.column_stack([part.labels, part.features]) for part in parts])

    content = written(name, parts)

    found = READERS[name](content, expected.shape[1] - 1)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))
    assert written(name, parts) == content


ROWS = Block(np.array([2.0, 0, 1]), np.array([[1, np.nan, np.nan], [0.1, 0, 1e-7], [np.nan, 1 / 3, -2.5]]))


def test_csv_has_the_label_first() -> None:
    assert written("csv", [ROWS]) == b"2,1,,nan\n0,0.1,0,1e-7\n1,,0.3333333333333333,-2.5\n"


def test_xgboost_finds_every_column_of_csv_though_the_last_is_missing_in_all_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(written("csv", [Block(np.array([1.0, 0]), np.array([[1, np.nan, np.nan], [2, 3, np.nan]]))]))

    matrix = xgboost.DMatrix(f"{file}?format=csv&label_column=0")

    assert (matrix.num_row(), matrix.num_col(), matrix.num_nonmissing()) == (2, 3, 3)


def test_libsvm_leaves_out_what_is_missing_and_has_the_groups() -> None:
    grouped = Block(ROWS.labels, ROWS.features, np.array([7, 7, 8]))

    content = written("libsvm", [grouped])

    assert content == b"2 qid:7 0:1\n0 qid:7 0:0.1 1:0 2:1e-7\n1 qid:8 1:0.3333333333333333 2:-2.5\n"
    assert written("libsvm", [ROWS]) == content.replace(b"qid:7 ", b"").replace(b"qid:8 ", b"")
    *_, groups = load_svmlight_file(io.BytesIO(content), query_id=True)
    assert groups.tolist() == [7, 7, 8]


def test_parquet_is_32_bit_and_a_missing_value_is_null() -> None:
    table = pq.read_table(io.BytesIO(written("parquet", [ROWS, ROWS])))

    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("label", "float"),
        ("f0", "float"),
        ("f1", "float"),
        ("f2", "float"),
    ]
    assert [column.null_count for column in table.columns] == [0, 2, 2, 2]


def test_recordio_is_the_documented_message_in_the_documented_frame() -> None:
    """Taken apart by hand: the frame, then fields of protobuf, each a key, a length and its bytes."""
    content, offset, found = written("recordio", [ROWS]), 0, []
    while offset < len(content):
        magic, length = struct.unpack_from("<II", content, offset)
        assert magic == 0xCED7230A
        record = fields(content[offset + 8 : offset + 8 + length])
        assert set(record) == {1, 2}  # features and label
        found.append([numbers(record[2]), numbers(record[1])])
        offset += 8 + -(-length // 4) * 4

    assert offset == len(content)
    assert str(found) == str(
        [[(2.0,), (1.0, np.nan, np.nan)], [(0.0,), f32(0.1, 0, 1e-7)], [(1.0,), f32(np.nan, 1 / 3, -2.5)]]
    )


def f32(*values: float) -> tuple[float, ...]:
    return tuple(np.float32(values).tolist())


def fields(message: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset < len(message):
        key, offset = _DecodeVarint(message, offset)
        length, offset = _DecodeVarint(message, offset)
        assert key & 7 == 2
        found[key >> 3] = message[offset : offset + length]
        offset += length
    return found


def numbers(entry: bytes) -> tuple[float, ...]:
    """Return the numbers of an entry of a map: key 1 is its name, 2 its value, in which 2 is a Float32Tensor."""
    parts = fields(entry)
    assert parts[1] == b"values"
    tensor = fields(fields(parts[2])[2])
    return struct.unpack(f"<{len(tensor[1]) // 4}f", tensor[1])


@pytest.mark.parametrize("columns", [27, 28, 29, 30, 31, 40, 5_000])
def test_lengths_of_several_bytes_are_read_back(columns: int) -> None:
    """From 29 columns on, one length after the other has two bytes, and some records need padding."""
    wide = Block(np.array([3.0, 4.0]), np.arange(2.0 * columns).reshape(2, columns))

    rows = recordio.decode(written("recordio", [wide]), strict=True)

    np.testing.assert_array_equal(rows.features, wide.features)
    assert rows.labels is not None
    assert rows.labels.tolist() == [3, 4]

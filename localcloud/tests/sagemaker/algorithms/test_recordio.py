"""recordio-protobuf: written rows are read, and damaged ones are refused with a reason."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.record_message import Record

MAGIC = b"\x0a\x23\xd7\xce"

# The row (1.5, -2) with the label 1, byte by byte by the specifications of RecordIO and of protobuf.
ONE_ROW = (
    MAGIC
    + struct.pack("<I", 44)
    + (b"\x0a\x16" + b"\x0a\x06values" + b"\x12\x0c" + b"\x12\x0a" + b"\x0a\x08" + struct.pack("<ff", 1.5, -2.0))
    + (b"\x12\x12" + b"\x0a\x06values" + b"\x12\x08" + b"\x12\x06" + b"\x0a\x04" + struct.pack("<f", 1.0))
)


def part(kind: int, content: bytes) -> bytes:
    """Return a part of a record: 1 is the first, 2 is in the middle, 3 is the last."""
    return MAGIC + struct.pack("<I", kind << 29 | len(content)) + content + bytes(-len(content) % 4)


def row(kind: str, values: list[float], keys: tuple[int, ...] = (), shape: tuple[int, ...] = ()) -> bytes:
    record = Record()
    tensor = getattr(record.features["values"], kind)
    tensor.values.extend(values)
    tensor.keys.extend(keys)
    tensor.shape.extend(shape)
    return recordio.frame(record.SerializeToString())


def test_a_file_has_the_bytes_of_the_specification() -> None:
    assert recordio.encode(np.array([[1.5, -2.0]]), np.array([1.0])) == ONE_ROW

    rows = recordio.decode(ONE_ROW)

    np.testing.assert_array_equal(rows.features, np.array([[1.5, -2.0]], dtype=np.float32))
    assert rows.labels is not None
    assert rows.labels.tolist() == [1.0]


def test_dense_rows_keep_zeros_and_missing_values() -> None:
    features = np.array([[1.5, -2.0, np.nan], [0.0, 3.0, 4.0]], dtype=np.float32)

    rows = recordio.decode(recordio.encode(features))

    np.testing.assert_array_equal(rows.features, features)
    assert rows.labels is None


def test_sparse_rows_keep_their_stored_values() -> None:
    features = scipy.sparse.csr_matrix(([5.0, 0.0, 7.0], [1, 3, 0], [0, 2, 2, 3]), shape=(3, 6), dtype=np.float32)

    read = recordio.decode(recordio.encode(features, np.arange(3))).features

    assert read.shape == (3, 6)
    for name in ("data", "indices", "indptr"):
        assert getattr(read, name).tolist() == getattr(features, name).tolist()


@pytest.mark.parametrize("kind", ["float32_tensor", "float64_tensor", "int32_tensor"])
def test_every_kind_of_number_is_read(kind: str) -> None:
    rows = recordio.decode(row(kind, [1, -2]) + row(kind, [3, 4]))

    assert rows.features.tolist() == [[1.0, -2.0], [3.0, 4.0]]
    assert rows.features.dtype == np.float32


def test_records_without_numbers_are_skipped() -> None:
    text, empty = Record(), Record()
    text.features["values"].bytes.value.append(b"image")
    empty.label["values"].float32_tensor.values.append(1.0)
    others = recordio.frame(text.SerializeToString()) + recordio.frame(empty.SerializeToString())

    rows = recordio.decode(others + ONE_ROW)

    assert rows.features.shape == (1, 2)
    assert rows.labels is not None
    assert rows.labels.tolist() == [1.0]
    with pytest.raises(ValueError, match="No records found in RecordIO-Protobuf data"):
        recordio.decode(others)


def test_a_sparse_row_without_shape_is_as_wide_as_its_largest_key() -> None:
    assert recordio.decode(row("float32_tensor", [2.0], keys=(4,))).features.shape == (1, 5)


def test_dense_rows_among_sparse_ones_lose_their_zeros() -> None:
    read = recordio.decode(
        row("float32_tensor", [2.0], keys=(1,), shape=(3,)) + row("float32_tensor", [0, 8, 9])
    ).features

    assert read.toarray().tolist() == [[0.0, 2.0, 0.0], [0.0, 8.0, 9.0]]
    assert read.nnz == 3


def test_a_sparse_row_without_entries_is_a_row_unless_read_strictly() -> None:
    buffer = row("float32_tensor", [2.0], keys=(1,), shape=(3,)) + row("float32_tensor", [], shape=(3,))

    assert recordio.decode(buffer).features.toarray().tolist() == [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    with pytest.raises(ValueError, match=r"Got blocks\[1,0\]\.shape\[1\] == 0, expected 3\."):
        recordio.decode(buffer, strict=True)


def test_a_record_in_parts_is_joined_by_the_magic_number_unless_read_strictly() -> None:
    record = Record()
    # 0xced7230a as a float32: the reason why a writer divides this record.
    record.features["values"].float32_tensor.values.extend([1.0, struct.unpack("<f", MAGIC)[0], 3.0])
    before, after = record.SerializeToString().split(MAGIC)
    buffer = part(1, before) + part(3, after)

    np.testing.assert_array_equal(recordio.decode(buffer).features[0, ::2], [1.0, 3.0])
    assert recordio.decode(buffer).features[0, 1].tobytes() == MAGIC
    with pytest.raises(ValueError, match="Truncated record at offset 8"):
        recordio.decode(buffer, strict=True)


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        pytest.param(b"", "No records found", id="empty"),
        pytest.param(b"label,1,2\n3,4,5\n", "Invalid RecordIO magic at offset 0", id="text"),
        pytest.param(ONE_ROW[:-1], "Truncated record at offset 8", id="cut"),
        pytest.param(ONE_ROW + MAGIC + b"\xff\xff\xff\x1f", "Truncated record at offset 60", id="length"),
        pytest.param(recordio.frame(b"\xff\xff\xff\xff"), "Error parsing message", id="protobuf"),
        pytest.param(row("float32_tensor", [1]) + row("float32_tensor", [1, 2]), "index 1 has size 2", id="widths"),
        pytest.param(
            row("float32_tensor", [1], keys=(0,)) + row("float32_tensor", [1], keys=(1,)),
            "Mismatching dimensions along axis 1",
            id="sparse widths",
        ),
        pytest.param(row("float32_tensor", [1, 2], keys=(0,)), "1 keys for 2 values", id="keys"),
        pytest.param(row("float32_tensor", [1], keys=(3,), shape=(3,)), "keys beyond its 3 columns", id="beyond"),
        pytest.param(row("float32_tensor", [1], keys=(2**64 - 1,)), "keys beyond", id="overflow"),
        pytest.param(row("float32_tensor", [1], keys=(2**40,)), "keys beyond", id="too wide"),
        pytest.param(part(3, b""), "out of its order at offset 0", id="last part first"),
        pytest.param(part(1, b"") + ONE_ROW, "out of its order at offset 8", id="whole after a first part"),
        pytest.param(part(1, b""), "lacks its last part", id="only a first part"),
    ],
)
def test_damage_is_an_error_with_its_place(buffer: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recordio.decode(buffer)


@given(
    position=st.integers(0, 2**16),
    bits=st.integers(1, 255),
    cut=st.integers(0, 2**16),
    sparse=st.booleans(),
    strict=st.booleans(),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    position: int, bits: int, cut: int, sparse: bool, strict: bool
) -> None:
    features: Any = np.arange(12.0).reshape(3, 4)
    buffer = bytearray(recordio.encode(scipy.sparse.csr_matrix(features) if sparse else features, np.arange(3)))
    buffer[position % len(buffer)] ^= bits
    damaged = bytes(buffer[: len(buffer) - cut % len(buffer)])

    try:
        rows = recordio.decode(damaged, strict=strict)
    except ValueError:
        return
    assert rows.features.shape[0] <= 3


@given(buffer=st.binary(max_size=200))
def test_arbitrary_records_are_read_or_refused_and_nothing_else(buffer: bytes) -> None:
    try:
        recordio.decode(recordio.frame(buffer))
    except ValueError:
        return


def test_answers_are_the_labels_of_records() -> None:
    answer = recordio.encode_answer([{"score": 0.25, "predicted_label": 0}, {"score": [0.5, 0.75]}])
    assert answer.index(b"score") < answer.index(b"predicted_label")

    first, second = (Record.FromString(content) for content in _contents(answer))
    assert list(first.label["score"].float32_tensor.values) == [0.25]
    assert list(first.label["predicted_label"].float32_tensor.values) == [0.0]
    assert list(second.label["score"].float32_tensor.values) == [0.5, 0.75]


def _contents(buffer: bytes) -> list[bytes]:
    found = []
    while buffer:
        assert buffer[:4] == MAGIC
        (length,) = struct.unpack("<I", buffer[4:8])
        found.append(buffer[8 : 8 + length])
        buffer = buffer[8 + length + -length % 4 :]
    return found

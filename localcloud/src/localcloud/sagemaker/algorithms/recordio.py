"""RecordIO files of protobuf records, the format that the built-in algorithms call recordio-protobuf.

A record is framed by a magic number, its length and padding to four bytes (the layout of Apache MXNet's
recordio); its content is a ``Record`` of the package ``aialgs.data``, as the developer guide prints it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from localcloud.sagemaker.algorithms.record_message import Record

_MAGIC = 0xCED7230A
_HEADER = struct.Struct("<II")
_LENGTH_BITS = 29  # of the second number; the three above them tell a part of a record from a whole one
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_TENSORS = {"float32_tensor": np.float32, "float64_tensor": np.float64, "int32_tensor": np.int32}
_KEY = "values"  # the entry of the maps of features and labels that algorithms read
_WIDEST = 2**31 - 1  # columns; indices of sparse matrices have 32 bits

Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """What a file holds.

    Attributes:
        features: (n, d), a dense array of float32, or a ``scipy.sparse.csr_matrix`` if any record is sparse.
        labels: the labels of all records one after the other, float32; None if no record has any. Their number
            isn't that of the rows where a record has none or several.
    """

    features: Any
    labels: Labels | None


@dataclass(frozen=True)
class _Tensor:
    values: npt.NDArray[Any]
    keys: Sequence[int]
    shape: Sequence[int]


def decode(buffer: bytes, *, strict: bool = False) -> Rows:
    """Read the rows of a file, or of several that follow each other.

    Records without features are passed over. A sparse row is as wide as its shape says, without one as its
    largest key needs.

    Args:
        buffer: the file.
        strict: read no more than the XGBoost container's reader does, which refuses records in several parts, and
            takes a sparse row without any entry for a dense one without columns.

    Raises:
        ValueError: the file is damaged, holds no rows, or rows of different widths.
    """
    rows: list[_Tensor] = []
    labels: list[npt.NDArray[Any]] = []
    for content in _frames(buffer, strict=strict):
        record = _parsed(content)
        features = _tensor(record.features)
        if features is None:
            continue
        rows.append(features)
        label = _tensor(record.label)
        if label is not None:
            labels.append(label.values)
    if not rows:
        raise ValueError("No records found in RecordIO-Protobuf data")
    sparse = any(len(row.keys) or (row.shape and not row.values.size and not strict) for row in rows)
    return Rows(
        features=_sparse(rows, strict=strict) if sparse else _dense(rows),
        labels=np.concatenate(labels).astype(np.float32) if labels else None,
    )


def encode(features: Any, labels: npt.NDArray[Any] | None = None) -> bytes:
    """A file of these rows, as float32.

    Args:
        features: (n, d), an array or a sparse matrix; of the latter the stored entries are written.
        labels: (n,) or None.
    """
    sparse: bool = scipy.sparse.issparse(features)
    matrix: Any = features.tocsr() if sparse else np.asarray(features, dtype=np.float32)
    written = bytearray()
    record = Record()
    for number in range(matrix.shape[0]):
        record.Clear()
        tensor = record.features[_KEY].float32_tensor
        if sparse:
            entries = slice(matrix.indptr[number], matrix.indptr[number + 1])
            tensor.values.extend(matrix.data[entries].astype(np.float32).tolist())
            tensor.keys.extend(matrix.indices[entries].tolist())
            tensor.shape.append(matrix.shape[1])
        else:
            tensor.values.extend(matrix[number].tolist())
        if labels is not None:
            record.label[_KEY].float32_tensor.values.append(float(labels[number]))
        written += frame(record.SerializeToString())
    return bytes(written)


def encode_answer(predictions: Iterable[Mapping[str, float | Sequence[float]]]) -> bytes:
    """A file with one record a prediction; its values (``score``, ``predicted_label``, …) are its labels' entries."""
    return b"".join(frame(answer_record(prediction)) for prediction in predictions)


def answer_record(prediction: Mapping[str, float | Sequence[float]]) -> bytes:
    """The record of one prediction, not framed yet; its entries keep their order."""
    written = b""
    for key, value in prediction.items():
        # A record each: the library writes the entries of a map in any order, and records that follow are one.
        record = Record()
        record.label[key].float32_tensor.values.extend(value if isinstance(value, Sequence) else [value])
        written += record.SerializeToString()
    return written


def frame(content: bytes) -> bytes:
    """A record's content with what RecordIO puts around it."""
    return _HEADER.pack(_MAGIC, len(content)) + content + bytes(-len(content) % 4)


def _frames(buffer: bytes, *, strict: bool) -> Iterator[bytes]:
    """The content of each record. Up to seven bytes after the last one are passed over."""
    offset, parts = 0, list[bytes]()
    while offset + _HEADER.size <= len(buffer):
        magic, length = _HEADER.unpack_from(buffer, offset)
        if magic != _MAGIC:
            raise ValueError(f"Invalid RecordIO magic at offset {offset}")
        start = offset + _HEADER.size
        kind = _WHOLE if strict else length >> _LENGTH_BITS
        length = length if strict else length & ((1 << _LENGTH_BITS) - 1)
        end = start + length
        if end + (-length % 4) > len(buffer):
            raise ValueError(f"Truncated record at offset {start}")
        if kind > _LAST or (kind in (_WHOLE, _FIRST)) != (not parts):
            raise ValueError(f"Part of a record out of its order at offset {offset}")
        offset = end + (-length % 4)
        parts.append(buffer[start:end])
        if kind in (_WHOLE, _LAST):
            # A record is cut where its content has the magic number, which the cut takes the place of.
            yield _HEADER.pack(_MAGIC, 0)[:4].join(parts)
            parts.clear()
    if parts:
        raise ValueError("The last record lacks its last part")


def _parsed(content: bytes) -> Any:
    try:
        return Record.FromString(content)
    except DecodeError as error:
        raise ValueError(f"Error parsing message: {error}") from error


def _tensor(entries: Any) -> _Tensor | None:
    """The tensor that algorithms read; None without one, or if it is of bytes."""
    if _KEY not in entries:
        return None
    value = entries[_KEY]
    kind = value.WhichOneof("value")
    if kind not in _TENSORS:
        return None
    tensor = getattr(value, kind)
    return _Tensor(np.array(tensor.values, dtype=_TENSORS[kind]), tensor.keys, tensor.shape)


def _dense(rows: list[_Tensor]) -> npt.NDArray[np.float32]:
    return np.vstack([row.values for row in rows]).astype(np.float32)


def _sparse(rows: list[_Tensor], *, strict: bool) -> scipy.sparse.csr_matrix:
    """Of a dense row among sparse ones, the zeros aren't stored."""
    widths, counts = list[int](), [0]
    keys, values = list[npt.NDArray[np.int64]](), list[npt.NDArray[Any]]()
    for row in rows:
        own, width = _entries(row, strict=strict)
        stored = row.values if len(row.keys) else row.values[own]
        if len(stored) != len(own):
            raise ValueError(f"a sparse record has {len(own)} keys for {len(stored)} values")
        if width > _WIDEST or (own.size and (own.min() < 0 or own.max() >= width)):
            raise ValueError(f"a sparse record has keys beyond its {width} columns")
        widths.append(width)
        counts.append(len(own))
        keys.append(own)
        values.append(stored)
    if len(set(widths)) > 1:
        raise ValueError(_told(widths, dense=any(not len(row.keys) for row in rows)))
    return scipy.sparse.csr_matrix(
        (np.concatenate(values).astype(np.float32), np.concatenate(keys), np.cumsum(counts)),
        shape=(len(rows), widths[0]),
    )


def _entries(row: _Tensor, *, strict: bool) -> tuple[npt.NDArray[np.int64], int]:
    """The columns of a row's entries, and its width."""
    if not len(row.keys):
        width = int(row.shape[0]) if row.shape and not row.values.size and not strict else row.values.size
        return np.flatnonzero(row.values), width
    keys = np.array(row.keys, dtype=np.uint64).astype(np.int64)
    return keys, int(row.shape[0]) if row.shape else int(keys.max()) + 1


def _told(widths: list[int], *, dense: bool) -> str:
    """What scipy says, in which the containers stack rows; it looks otherwise where one of them is dense."""
    if not dense:
        return f"Mismatching dimensions along axis 1: {set(widths)}"
    first = next(number for number, width in enumerate(widths) if width != widths[0])
    return (
        f"blocks[:,0] has incompatible column dimensions. Got blocks[{first},0].shape[1] == {widths[first]}, "
        f"expected {widths[0]}."
    )

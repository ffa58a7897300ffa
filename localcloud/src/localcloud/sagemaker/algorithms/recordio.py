"""RecordIO files of protobuf records, the format that the built-in algorithms call recordio-protobuf.

A record is framed by a magic number, its length and padding to four bytes (the layout of Apache MXNet's
recordio); its content is a ``Record`` of the package ``aialgs.data``, as in the developer guide.
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
_LENGTH_BITS = 29  # of the second number; the three above show whether it is a whole record or a part
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_TENSORS = {"float32_tensor": np.float32, "float64_tensor": np.float64, "int32_tensor": np.int32}
_KEY = "values"  # the entry that algorithms read, in the maps of features and of labels
_WIDEST = 2**31 - 1  # columns; indices of sparse matrices have 32 bits

Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        features: Rows x features, a dense array of float32, or a ``scipy.sparse.csr_matrix`` if any record is sparse.
        labels: The labels of all records in their order, float32; None if there are none. There are fewer or more than
            rows if a record has none or several.
    """

    features: Any
    labels: Labels | None


@dataclass(frozen=True)
class _Tensor:
    values: npt.NDArray[Any]
    keys: Sequence[int]
    shape: Sequence[int]


def decode(buffer: bytes, *, strict: bool = False) -> Rows:
    """Return the rows of a file, or of several files in one buffer.

    Records without features are skipped. The width of a sparse row is in its shape, else it follows from its largest
    key.

    Args:
        buffer: The content of the file.
        strict: Whether to read as the XGBoost container does, which refuses records in several parts, and reads a
            sparse row without entries as a dense one without columns.

    Raises:
        ValueError: The file is damaged, has no rows, or has rows of different widths.
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
    """Return a file of these rows, as float32.

    Args:
        features: Rows x features, an array or a sparse matrix, whose stored entries are written.
        labels: One for each row; None for none.
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
    """Return a file with one record for each prediction, whose values (``score``, …) are entries of the label."""
    return b"".join(frame(answer_record(prediction)) for prediction in predictions)


def answer_record(prediction: Mapping[str, float | Sequence[float]]) -> bytes:
    """Return the record of one prediction without its frame; the entries keep their order."""
    written = b""
    for key, value in prediction.items():
        # One record for each entry, as the library writes a map in any order; concatenated records are one record.
        record = Record()
        record.label[key].float32_tensor.values.extend(value if isinstance(value, Sequence) else [value])
        written += record.SerializeToString()
    return written


def frame(content: bytes) -> bytes:
    """Return a record's content with its frame."""
    return _HEADER.pack(_MAGIC, len(content)) + content + bytes(-len(content) % 4)


def _frames(buffer: bytes, *, strict: bool) -> Iterator[bytes]:
    """Yield the content of each record. Up to seven bytes after the last one are ignored."""
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
            # A record is divided where its content has the magic number, which is left out there.
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
    """Return the tensor that algorithms read; None if there is none, or if it has bytes."""
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
    """Return a sparse matrix of the rows, without the zeros of dense ones."""
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
        raise ValueError(_mismatch(widths, dense=any(not len(row.keys) for row in rows)))
    return scipy.sparse.csr_matrix(
        (np.concatenate(values).astype(np.float32), np.concatenate(keys), np.cumsum(counts)),
        shape=(len(rows), widths[0]),
    )


def _entries(row: _Tensor, *, strict: bool) -> tuple[npt.NDArray[np.int64], int]:
    """Return the columns of a row's entries, and the row's width."""
    if not len(row.keys):
        width = int(row.shape[0]) if row.shape and not row.values.size and not strict else row.values.size
        return np.flatnonzero(row.values), width
    keys = np.array(row.keys, dtype=np.uint64).astype(np.int64)
    return keys, int(row.shape[0]) if row.shape else int(keys.max()) + 1


def _mismatch(widths: list[int], *, dense: bool) -> str:
    """Return the message of scipy, by which the containers stack rows; it differs if one of them is dense."""
    if not dense:
        return f"Mismatching dimensions along axis 1: {set(widths)}"
    first = next(number for number, width in enumerate(widths) if width != widths[0])
    return (
        f"blocks[:,0] has incompatible column dimensions. Got blocks[{first},0].shape[1] == {widths[first]}, "
        f"expected {widths[0]}."
    )

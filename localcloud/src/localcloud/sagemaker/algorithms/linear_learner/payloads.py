"""The bodies of requests: rows of features, in the formats that the service's own algorithms share."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import scipy.sparse  # type: ignore[import-untyped]

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Matrix

_LONG = 8_192  # bytes of CSV

Entries = tuple[npt.NDArray[np.intp], Floats]
"""A row's columns and their values; a dense row has all columns."""


class PayloadError(Exception):
    """The body doesn't have its content type, or has rows that the model can't score."""


class UnknownContentTypeError(Exception):
    """The content type isn't supported."""


def features(body: bytes, content_type: str | None, width: int) -> Matrix:
    """Return the rows of a body, dense or sparse, float32.

    Args:
        body: The request's body.
        content_type: The request's header; None for none.
        width: The number of the model's features.

    Raises:
        UnknownContentTypeError: The content type isn't one of the four supported ones.
        PayloadError: The body isn't valid.
    """
    reader = _READERS.get((content_type or "").partition(";")[0].strip().lower())
    if reader is None:
        raise UnknownContentTypeError(content_type)
    try:
        with np.errstate(over="ignore"):  # infinite values are refused below
            rows = reader(body, width)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise PayloadError(str(error) or type(error).__name__) from error
    if rows.shape[0] == 0:
        raise PayloadError("there are no records")
    if rows.shape[1] != width:
        raise PayloadError(f"the records have {rows.shape[1]} features, the model has {width}")
    if not np.isfinite(rows.data if scipy.sparse.issparse(rows) else rows).all():
        raise PayloadError("features must be finite numbers")
    return rows


def _csv(body: bytes, width: int) -> Matrix:
    if len(body) > _LONG:
        # From this size on, Arrow is several times as fast; what it can't read is read again, for the error's message.
        with contextlib.suppress(pa.ArrowInvalid):
            return _long_csv(body, width)
    lines = [line for line in body.decode().splitlines() if line.strip()]
    text = ",".join(lines)
    if "_" in text:
        raise ValueError("'_' is no part of a number")
    commas = {line.count(",") for line in lines}
    if len(commas) > 1:
        raise ValueError(f"the records have from {min(commas) + 1} to {max(commas) + 1} features")
    cells = text.split(",") if lines else []
    return np.fromiter(map(float, cells), np.float32, len(cells)).reshape(len(lines), -1 if lines else 0)


def _long_csv(body: bytes, width: int) -> Matrix:
    names = [str(number) for number in range(width)]
    table = pa.csv.read_csv(
        io.BytesIO(body),
        pa.csv.ReadOptions(column_names=names, use_threads=False, encoding="latin-1"),
        pa.csv.ParseOptions(quote_char=False),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32()), null_values=[]),
    )
    rows = np.empty((table.num_rows, width), np.float32)
    for number, column in enumerate(table.columns):
        rows[:, number] = column.to_numpy()
    return rows


def _json(body: bytes, width: int) -> Matrix:
    instances = json.loads(body)["instances"]
    if not isinstance(instances, list):
        raise ValueError("'instances' should be a list")
    return _instances(instances, width)


def _json_lines(body: bytes, width: int) -> Matrix:
    return _instances([json.loads(line) for line in body.splitlines() if line.strip()], width)


def _recordio(body: bytes, _width: int) -> Matrix:
    return recordio.decode(body).features


def _instances(instances: Sequence[Any], width: int) -> Matrix:
    tensors = [_tensor(instance) for instance in instances]
    if not any("keys" in tensor for tensor in tensors):
        return _numbers([tensor["values"] for tensor in tensors]).reshape(len(tensors), -1 if tensors else 0)
    rows = [_entries(tensor, width) for tensor in tensors]
    ends = np.cumsum([0, *(len(columns) for columns, _ in rows)])
    columns = np.concatenate([columns for columns, _ in rows])
    values = np.concatenate([values for _, values in rows])
    return scipy.sparse.csr_matrix((values, columns, ends), shape=(len(rows), width))


def _tensor(instance: Any) -> Mapping[str, Any]:
    """Return the features of an instance, which are its member or one of ``data``; a bare list is their values."""
    found = instance["data"]["features"] if "data" in instance else instance["features"]
    return {"values": found} if isinstance(found, list) else {**found}


def _entries(tensor: Mapping[str, Any], width: int) -> Entries:
    values = _numbers(tensor["values"])
    if "keys" not in tensor:
        columns = np.arange(width)
    else:
        columns = np.array(tensor["keys"], dtype=object if tensor["keys"] else np.intp)
        if not all(type(key) is int and 0 <= key < width for key in columns.tolist()):
            raise ValueError(f"the keys of a sparse record must be integers from 0 to {width - 1}")
        columns = columns.astype(np.intp)
    shape = tensor.get("shape") or [width]
    if list(shape) != [width]:
        raise ValueError(f"the shape of a sparse record is {shape}, the model has {width} features")
    if values.shape != columns.shape:
        raise ValueError(f"a sparse record has {len(columns)} keys and {values.size} values")
    return columns, values


def _numbers(nested: Any) -> Floats:
    array = np.array(nested)
    if array.size and array.dtype.kind not in "iuf":
        raise ValueError("features must be numbers")
    return array.astype(np.float32)


_READERS: Mapping[str, Callable[[bytes, int], Matrix]] = {
    "text/csv": _csv,
    "application/json": _json,
    "application/jsonlines": _json_lines,
    "application/x-recordio-protobuf": _recordio,
}

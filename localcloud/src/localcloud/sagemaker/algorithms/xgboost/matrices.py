"""The files of channels become matrices, by the readers that the container uses."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import xgboost

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.xgboost import channels
from localcloud.sagemaker.jobs.child import UserError

logger = logging.getLogger(__name__)

_DEEPEST = 3


def read(folders: list[Path], format_: str, *, weighted: bool, scratch: Path) -> xgboost.DMatrix | None:
    """The rows of all files of the folders, label first; None if there are no files of data.

    Args:
        folders: the channels to read together.
        format_: as `content_types.data_format` gives it.
        weighted: the second column of CSV holds the weights.
        scratch: a folder for links to the files; what it holds is removed.

    Raises:
        UserError: the files can't be read, or have no labels.
        UnicodeDecodeError: the first line of CSV isn't UTF-8.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for number, path in enumerate(path for folder in folders for path in _shallow_files(folder)):
        # XGBoost's reader wants all files in one folder; equal names come from different sub-folders.
        (scratch / f"{path.name}-{number}").symlink_to(path)
    matrix = _READERS[format_](scratch, weighted)
    if matrix is not None and matrix.get_label().size == 0:
        raise UserError(
            "Got input data without labels. Please check the input data set. If training job is running on multiple "
            "instances, please switch to using single instance if number of records in the data set is less than "
            "number of workers (16 * number of instance) in the cluster."
        )
    return matrix


def _shallow_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            if len(path.relative_to(folder).parts) <= _DEEPEST:
                yield path
            else:
                logger.warning("%s lies deeper than %d folders and isn't loaded.", path, _DEEPEST)


def _csv(folder: Path, weighted: bool) -> xgboost.DMatrix:
    with min(folder.iterdir()).open(encoding="utf-8") as first:
        separator = channels.delimiter(first.readline())
    weight = "&weight_column=1" if weighted else ""
    try:
        return xgboost.DMatrix(f"{folder}?format=csv&label_column=0&delimiter={separator}{weight}")
    except Exception as error:
        raise _unreadable("csv", error) from error


def _libsvm(folder: Path, _weighted: bool) -> xgboost.DMatrix:
    try:
        return xgboost.DMatrix(f"{folder}?format=libsvm")
    except Exception as error:
        raise _unreadable("libsvm", error) from error


def _parquet(folder: Path, _weighted: bool) -> xgboost.DMatrix:
    try:
        rows = _columns(pyarrow.parquet.read_table(folder))
        return xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])
    except Exception as error:
        raise _unreadable("parquet", error) from error


def _columns(table: pa.Table) -> np.ndarray[Any, Any]:
    """The columns of a table side by side; one that pandas has written as the rows' index isn't among them."""
    metadata = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in metadata.get("index_columns", []) if isinstance(name, str)]
    columns = [table.column(name) for name in table.column_names if name not in index]
    try:
        return np.column_stack([column.to_numpy() for column in columns])
    except TypeError:  # of times beside numbers, the library says what is wrong with them
        return np.array([column.to_pylist() for column in columns], dtype=object).T


def _recordio(folder: Path, _weighted: bool) -> xgboost.DMatrix | None:
    paths = sorted(path for path in folder.iterdir() if channels.is_data_file(path.name))
    if not paths:
        return None
    try:
        rows = recordio.decode(b"".join(path.read_bytes() for path in paths), strict=True)
        return xgboost.DMatrix(rows.features, label=rows.labels)
    except Exception as error:
        raise _unreadable("recordio-protobuf", error) from error


def _unreadable(format_: str, error: Exception) -> UserError:
    told = str(error).partition("\nStack trace:")[0]  # the rest are addresses
    return UserError(f"Failed to load {format_} data with exception:\n{told}")


_READERS = {"csv": _csv, "libsvm": _libsvm, "parquet": _parquet, "recordio-protobuf": _recordio}

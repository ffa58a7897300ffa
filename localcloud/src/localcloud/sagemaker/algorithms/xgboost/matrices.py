"""Reads the files of channels into matrices, by the container's readers.

Which kinds of file are data, and which fail the job, is as in the container: see docs/channels.md.
"""

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
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError

logger = logging.getLogger(__name__)

_DEEPEST = 3  # levels of folders, the channel's own included
_FORMATS_WITHOUT_MARKERS = ("csv", "libsvm")  # their readers take every file as data


def read(folders: list[Path], format_: str, *, weighted: bool, scratch: Path) -> xgboost.DMatrix | None:
    """Return the rows of all files of the folders; None if there are no data files.

    Args:
        folders: The folders of the channels to read together.
        format_: The format, as `content_types.data_format` returns it. The label is the first column.
        weighted: Whether the second column of CSV has the weights.
        scratch: A folder for links to the files; its content is removed.

    Raises:
        UserError: The files can't be read, or have no labels.
        AlgorithmError: All files of CSV are too deep.
        UnicodeDecodeError: The first line of a CSV file isn't UTF-8.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    files = [path for folder in folders for path in _loaded(folder)]
    if format_ in _FORMATS_WITHOUT_MARKERS:
        _warn_of_markers(files)
    for number, path in enumerate(files):
        # XGBoost's reader needs all files in one folder; files of different sub-folders may have equal names.
        (scratch / f"{path.name}-{number}").symlink_to(path)
    matrix = _READERS[format_](scratch, weighted)
    if matrix is not None and matrix.get_label().size == 0:
        raise UserError(
            "Got input data without labels. Please check the input data set. If training job is running on multiple "
            "instances, please switch to using single instance if number of records in the data set is less than "
            "number of workers (16 * number of instance) in the cluster."
        )
    return matrix


class _TooDeepError(Exception):
    """A folder is deeper than the container reads."""


def _loaded(folder: Path) -> list[Path]:
    """Return the files of a channel up to the first folder that is too deep, where the container stops to read."""
    files = list[Path]()
    try:
        for path in _walk(folder, depth=1):
            files.append(path)
    except _TooDeepError as error:
        every = sum(path.is_file() for path in folder.rglob("*"))
        logger.warning(
            "The folder %s is deeper than %d folders, where the reading ends: %d of the channel's %d files aren't "
            "loaded. Move them up: which ones the container loads depends on the order in which it finds them.",
            *(error, _DEEPEST, every - len(files), every),
        )
    return files


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the files of a folder, then those of its folders; the container's order is the file system's."""
    entries = sorted(folder.iterdir())
    yield from (path for path in entries if path.is_file())
    for inner in (path for path in entries if path.is_dir()):
        if depth == _DEEPEST:
            raise _TooDeepError(inner)
        yield from _walk(inner, depth + 1)


def _warn_of_markers(files: list[Path]) -> None:
    for path in files:
        if not channels.is_data_file(path.name) and path.stat().st_size > 0:
            logger.warning("%s is read as ROWS OF DATA, as in the container. Remove it from the channel.", path)


def _delimiter(folder: Path) -> str:
    """Return the one delimiter of the first lines of all files.

    The container takes the delimiter of the file that its file system lists first, which may be any. A job that passes
    here has to pass there, so all files need the same delimiter.
    """
    found = dict[str, str]()
    for link in sorted(folder.iterdir()):
        path = link.resolve()
        with path.open(encoding="utf-8") as lines:
            line = lines.readline()
        try:
            found.setdefault(channels.delimiter(line), path.name)
        except UserError as error:
            raise UserError(
                f"{error}\nIt is the first line of {path.name}, which the container may take the delimiter from. "
                "Remove the file from the channel."
            ) from error
    if not found:
        raise AlgorithmError(f"No file of the channel is within {_DEEPEST} folders; move them up.")
    if len(found) > 1:
        where = ", ".join(f"{delimiter!r} in {name}" for delimiter, name in found.items())
        raise UserError(
            f"The files of the channel have different delimiters: {where}. The container takes one of them for all."
        )
    return next(iter(found))


def _csv(folder: Path, weighted: bool) -> xgboost.DMatrix:
    separator = _delimiter(folder)
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
    """Return the columns of a table side by side, without the rows' index that pandas may have written."""
    metadata = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in metadata.get("index_columns", []) if isinstance(name, str)]
    columns = [table.column(name) for name in table.column_names if name not in index]
    try:
        return np.column_stack([column.to_numpy() for column in columns])
    except TypeError:  # times beside numbers; the library refuses them with its own message
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
    message = str(error).partition("\nStack trace:")[0]  # the rest are addresses
    return UserError(f"Failed to load {format_} data with exception:\n{message}")


_READERS = {"csv": _csv, "libsvm": _libsvm, "parquet": _parquet, "recordio-protobuf": _recordio}

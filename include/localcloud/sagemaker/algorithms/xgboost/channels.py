"""Which channels a job may have, and how their files become matrices."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path

import numpy as np
import pyarrow.parquet
import xgboost

from localcloud.sagemaker.job_child import UserError

logger = logging.getLogger(__name__)

_CONTENT_TYPES = (
    *("csv", "libsvm", "parquet", "recordio-protobuf", "text/csv", "text/libsvm", "text/x-libsvm"),
    *("application/x-parquet", "application/x-recordio-protobuf"),
)
_PIPED = tuple(each for each in _CONTENT_TYPES if "libsvm" not in each)
_DISTRIBUTIONS = ("ShardedByS3Key", "FullyReplicated")
_DEFAULT = "text/libsvm"
_DEEPEST = 3


def validate(channels: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The channels with the default content type filled in.

    Raises:
        UserError: a channel is missing, unknown, or configured in a way that the container doesn't support.
    """
    if "train" not in channels:
        raise UserError("Missing required channel: train")
    return {name: _validated(name, channel) for name, channel in channels.items()}


def _validated(name: str, channel: Mapping[str, str]) -> dict[str, str]:
    if name not in ("train", "validation"):
        raise UserError(f"Extraneous channel found: {name}")
    filled = {**channel, "ContentType": channel.get("ContentType", _DEFAULT)}
    supported = _PIPED if filled["TrainingInputMode"] == "Pipe" else _CONTENT_TYPES
    if filled["ContentType"] not in supported or filled["S3DistributionType"] not in _DISTRIBUTIONS:
        raise UserError(f"Channel configuration for '{name}' channel is not supported: {filled}")
    return filled


def data_format(content_type: str | None) -> str:
    """csv, libsvm, parquet or recordio-protobuf, of a channel's or a request's content type.

    Raises:
        UserError: the content type isn't one of them.
    """
    if content_type is None:
        return "libsvm"
    header = Message()
    header["Content-Type"] = content_type.lower()
    name, label_size = header.get_content_type(), header.get_param("label_size", "1")
    if content_type.lower().partition(";")[0].strip() in ("csv", "libsvm", "parquet", "recordio-protobuf"):
        name = content_type.lower().partition(";")[0].strip()
    if name not in _CONTENT_TYPES:
        raise UserError(f"{content_type} is not an accepted ContentType: {', '.join(_CONTENT_TYPES)}.")
    found = name.rpartition("/")[2].removeprefix("x-")
    if found == "csv" and label_size != "1":
        raise UserError(
            f"{content_type} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    return found


def size(folder: Path) -> int:
    """The bytes of a channel's files.

    Raises:
        UserError: one of them is hidden.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if any(path.name.startswith(".") for path in files):
        raise UserError("Hidden file found in the data path! Remove that before training.")
    return sum(path.stat().st_size for path in files)


def check_format(folder: Path, format_: str) -> None:
    """Look at the first lines of the files, as the container does before it reads any.

    Raises:
        UserError: a file doesn't look like the format.
    """
    check = {"csv": _check_csv, "libsvm": _check_libsvm}.get(format_)
    if check is not None:
        for path in _data_files(folder):
            check(path)


def matrix(folders: list[Path], format_: str, *, weighted: bool, scratch: Path) -> xgboost.DMatrix:
    """The rows of all files of the folders, label first.

    Args:
        folders: the channels to read together.
        format_: as `data_format` gives it.
        weighted: the second column of CSV holds the weights.
        scratch: a folder that doesn't exist yet, for links to the files.

    Raises:
        UserError: the files can't be read, or have no labels.
    """
    scratch.mkdir(parents=True)
    for number, path in enumerate(path for folder in folders for path in _shallow_files(folder)):
        # XGBoost's reader wants all files in one folder; equal names come from different sub-folders.
        (scratch / f"{number:05d}-{path.name}").symlink_to(path)
    try:
        read = _read(scratch, format_, weighted)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"Failed to load {format_} data with exception:\n{error}") from error
    if read.get_label().size == 0:
        raise UserError("Got input data without labels. Please check the input data set.")
    return read


def delimiter(line: str) -> str:
    """The delimiter of a CSV line, guessed.

    Raises:
        UserError: it can't be guessed.
    """
    try:
        return csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise UserError(f"Could not determine delimiter on line {line[:50]}:\n{error}") from error


def _read(folder: Path, format_: str, weighted: bool) -> xgboost.DMatrix:
    if format_ == "csv":
        with min(folder.iterdir()).open() as first:
            separator = delimiter(first.readline())
        weight = "&weight_column=1" if weighted else ""
        return xgboost.DMatrix(f"{folder}?format=csv&label_column=0&delimiter={separator}{weight}")
    if format_ == "libsvm":
        return xgboost.DMatrix(f"{folder}?format=libsvm")
    if format_ == "parquet":
        table = pyarrow.parquet.read_table(folder)
        rows = np.column_stack([table.column(index).to_numpy() for index in range(table.num_columns)])
        return xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])
    raise UserError("recordio-protobuf isn't read by this stand-in: give csv, libsvm or parquet")


def _shallow_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            if len(path.relative_to(folder).parts) <= _DEEPEST:
                yield path
            else:
                logger.warning("%s lies deeper than %d folders and isn't loaded.", path, _DEEPEST)


def _data_files(folder: Path) -> list[Path]:
    """The files of the first folder without sub-folders: the container looks at no others."""
    for root, folders, files in os.walk(folder):
        if not folders:
            return [Path(root, name) for name in files if not name.startswith((".", "_"))]
    return []


def _check_csv(path: Path) -> None:
    with path.open(errors="ignore") as lines:
        line = lines.readline()
    cells = line.rstrip("\r\n").split(delimiter(line))
    if not any(_is_number(cell) for cell in cells):
        logger.warning(
            "%s: the first line looks like a header. The container has no headers: it is read as a ROW OF DATA.",
            path.name,
        )


def _check_libsvm(path: Path) -> None:
    with path.open(errors="ignore") as lines:
        for line in lines:
            features = _libsvm_features(line)
            if features < 0:
                raise UserError(
                    f"First line '{line[:50]}...' of file '{path.name}' is not 'LIBSVM' format. "
                    "Please ensure the file is in 'LIBSVM' format."
                )
            if features > 1:
                return
    logger.warning("%s has no features.", path.name)


def _libsvm_features(line: str) -> int:
    """How many features the line has; -1 if it isn't ``label[:weight] index:value …``."""
    label, *features = line.split(" ")
    parts = label.split(":")
    if len(parts) > 2 or not all(_is_number(part) for part in parts):
        return -1
    if any(":" not in feature for feature in features):
        return -1
    return len(features)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

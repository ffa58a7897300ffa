"""Checks of a job's channels and their files, before any row is read."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from localcloud.sagemaker.algorithms.xgboost.content_types import CONTENT_TYPES, DEFAULT
from localcloud.sagemaker.jobs.child import UserError
from localcloud.sagemaker.jobs.container import ChannelConfiguration

logger = logging.getLogger(__name__)

_PIPED = tuple(each for each in CONTENT_TYPES if "libsvm" not in each)
_DISTRIBUTIONS = ("ShardedByS3Key", "FullyReplicated")


def validate(channels: Mapping[str, ChannelConfiguration]) -> dict[str, ChannelConfiguration]:
    """Return the channels by name, with the default content type filled in.

    Content types are compared literally, without a regard for parameters, as in the container.

    Raises:
        UserError: A channel is missing, unknown, or configured in a way that the container doesn't support.
    """
    if "train" not in channels:
        raise UserError("Missing required channel: train")
    return {name: _validated(name, channel) for name, channel in channels.items()}


def _validated(name: str, channel: ChannelConfiguration) -> ChannelConfiguration:
    if name not in ("train", "validation", "code"):
        raise UserError(f"Extraneous channel found: {name}")
    filled: ChannelConfiguration = {**channel, "ContentType": channel.get("ContentType", DEFAULT)}
    if not _supported(name, filled):
        raise UserError(f"Channel configuration for '{name}' channel is not supported: {filled}")
    return filled


def _supported(name: str, channel: ChannelConfiguration) -> bool:
    content_type, mode = channel["ContentType"], channel["TrainingInputMode"]
    if name == "code":  # scripts; without one in the hyperparameters, the channel is not read
        return (content_type, mode, channel["S3DistributionType"]) == ("text/python", "File", "FullyReplicated")
    return content_type in (_PIPED if mode == "Pipe" else CONTENT_TYPES) and (
        channel["S3DistributionType"] in _DISTRIBUTIONS
    )


def size(folder: Path) -> int:
    """Return the bytes of a channel's files.

    Raises:
        UserError: A file is hidden.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if any(path.name.startswith(".") for path in files):
        raise UserError("Hidden file found in the data path! Remove that before training.")
    return sum(path.stat().st_size for path in files)


def warn_of_duplicates(train: Path, validation: Path) -> None:
    """Log a warning for each file that has the same name and size in both channels' folders."""
    for path in sorted(train.iterdir()):
        twin = validation / path.name
        if path.is_file() and twin.is_file() and path.stat().st_size == twin.stat().st_size:
            logger.warning(
                "Suspected identical files found: %s has the same name and size in train and validation. "
                "The validation score of rows that were trained on says nothing.",
                path.name,
            )


def check_format(folder: Path, format_: str) -> None:
    """Check the first lines of the files, as the container does before it reads any.

    Args:
        folder: The channel's folder.
        format_: The format, as `content_types.data_format` returns it.

    Raises:
        UserError: A file doesn't look like the format.
    """
    check = {"csv": _check_csv, "libsvm": _check_libsvm}.get(format_)
    if check is not None:
        for path in _first_files(folder):
            check(path)


def is_data_file(name: str) -> bool:
    """Return whether a file is neither hidden, nor a marker such as ``_SUCCESS``, nor a cache of the library."""
    return not (name.startswith((".", "_")) or (".cache" in name and ("dtrain" in name or "dval" in name)))


def delimiter(line: str) -> str:
    """Guess the delimiter of a CSV line.

    Raises:
        UserError: It can't be guessed.
    """
    try:
        return csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise UserError(f"Could not determine delimiter on line {line[:50]}:\n{error}") from error


def _first_files(folder: Path) -> list[Path]:
    """Return the data files of the first folder without sub-folders: the container checks no others."""
    for root, folders, files in os.walk(folder):
        folders.sort()  # the container's order is the file system's
        if not folders:
            return [Path(root, name) for name in files if is_data_file(name)]
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
    """Return how many features the line has; -1 if it isn't ``label[:weight] index:value …``."""
    label, *features = line.split(" ")
    parts = label.split(":")
    if len(parts) > 2 or not all(_is_number(part) for part in parts):
        return -1
    if any(":" not in feature for feature in features) or (features and features[0].count(":") != 1):
        return -1
    return len(features)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

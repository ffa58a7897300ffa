"""Checks a job's channels, and reads their files into tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import scipy.sparse  # type: ignore[import-untyped]

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Table
from localcloud.sagemaker.jobs.child import UserError
from localcloud.sagemaker.jobs.container import ChannelConfiguration

CSV = "text/csv"
RECORDIO = "application/x-recordio-protobuf"

_NAMES = ("train", "validation", "test")
_BLOCK = 2**23  # bytes of CSV to read at once, unless a line is longer
_ROWS = 1000  # the service names the block of rows with the damaged one


@dataclass(frozen=True)
class Channel:
    """A channel of a job: its name, its folder and its content type, with parameters."""

    name: str
    folder: Path
    content_type: str


def validate(configuration: Mapping[str, ChannelConfiguration], folder: Callable[[str], Path]) -> list[Channel]:
    """Return the job's channels: train, validation, test.

    Args:
        configuration: The channels of inputdataconfig.json, by name.
        folder: Returns the folder of a channel by its name.

    Raises:
        UserError: A channel is missing, unknown, or of a kind that isn't read.
    """
    if "train" not in configuration:
        raise _refusal("'train' is a required property")
    unknown = [name for name in configuration if name not in _NAMES]
    if unknown:
        raise _refusal(f"Additional properties are not allowed ({unknown[0]!r} was unexpected)")
    for name, channel in configuration.items():
        if name != "train" and channel.get("S3DistributionType", "FullyReplicated") != "FullyReplicated":
            raise _refusal(f"{channel['S3DistributionType']!r} is not one of ['FullyReplicated'] (channel {name!r})")
        if channel.get("TrainingInputMode") == "Pipe":
            raise UserError(f"Channel {name!r}: this stand-in has no Pipe mode. Use File or FastFile.")
    return [
        Channel(name, folder(name), configuration[name].get("ContentType", RECORDIO))
        for name in _NAMES
        if name in configuration
    ]


def read(channel: Channel, hyperparameters: Hyperparameters) -> Table:
    """Return all rows of a channel's files, checked.

    Args:
        channel: The channel.
        hyperparameters: The hyperparameters, by which labels and features are checked.

    Raises:
        UserError: There are no rows, they can't be read, or the algorithm can't learn from them.
    """
    reader = _reader(channel.content_type)
    files = [path for path in sorted(channel.folder.rglob("*")) if path.is_file() and path.stat().st_size > 0]
    if not files:
        raise _empty(channel.name)
    table = _joined([(path, reader(path)) for path in files])
    _check(table, channel.name, hyperparameters)
    return table


def _reader(content_type: str) -> Callable[[Path], Table]:
    header = Message()
    header["Content-Type"] = content_type
    known = {CSV: _read_csv, RECORDIO: _read_recordio}
    # The standard library returns text/plain for what isn't a type, such as "csv".
    name = header.get_content_type() if "/" in content_type else content_type
    if name not in known:
        raise UserError(f"No iterator has been registered for ContentType ({name!r}, '1.0')")
    if name == CSV and header.get_param("label_size", "1") != "1":
        raise UserError(
            f"The ContentType {content_type!r} has no label of one column; linear learner needs label_size=1"
        )
    return known[name]


def _read_csv(path: Path) -> Table:
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    columns = first.count(b",") + 1
    if columns < 2:
        raise UserError(f"{_damaged(path, 1)}: a row has {columns} column, where a label and features should be")
    try:
        table = _arrow_table(path, columns, len(first), threads=True)
    except pa.ArrowInvalid:
        # Read again on one thread, so that the error has the row.
        try:
            table = _arrow_table(path, columns, len(first), threads=False)
        except pa.ArrowInvalid as error:
            raise _unreadable(path, str(error)) from error
    rows = np.empty((table.num_rows, columns - 1), np.float32)
    for number in range(1, columns):
        rows[:, number - 1] = table.column(number).to_numpy()
    return Table(rows, table.column(0).to_numpy())


def _arrow_table(path: Path, columns: int, line: int, *, threads: bool) -> pa.Table:
    names = [str(number) for number in range(columns)]
    return pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(
            column_names=names, use_threads=threads, block_size=max(_BLOCK, 4 * line), encoding="latin-1"
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.float32()), null_values=[], strings_can_be_null=False
        ),
    )


def _unreadable(path: Path, message: str) -> UserError:
    found = re.search(r"Row #(\d+): (.*)", message, re.DOTALL)
    row, why = (int(found[1]), found[2]) if found else (1, message)
    place = f" row {row}:" if found else ""
    return UserError(f"{_damaged(path, row)}:{place} {' '.join(why.split())[:200]}")


def _damaged(path: Path, row: int) -> str:
    first = (row - 1) // _ROWS * _ROWS + 1
    return f"Unable to parse csv: rows {first}-{first + _ROWS - 1}, file {path}"


def _read_recordio(path: Path) -> Table:
    try:
        rows = recordio.decode(path.read_bytes())
    except ValueError as error:
        raise UserError(f"Unable to read recordio-protobuf, file {path}: {error}") from error
    count = rows.features.shape[0]
    if rows.labels is None or len(rows.labels) != count:
        raise UserError(
            f"Unable to read recordio-protobuf, file {path}: each record needs one label; there are "
            f"{0 if rows.labels is None else len(rows.labels)} labels for {count} records"
        )
    return Table(rows.features, rows.labels)


def _joined(tables: list[tuple[Path, Table]]) -> Table:
    """Return the rows of all files; they are sparse if those of any file are."""
    first_path, first = tables[0]
    for path, table in tables:
        if table.feature_dim != first.feature_dim:
            raise UserError(
                f"The files differ in their number of features: {first_path} has {first.feature_dim}, "
                f"{path} has {table.feature_dim}"
            )
    if len(tables) == 1:
        return first
    labels = np.concatenate([table.labels for _, table in tables])
    parts = [table.features for _, table in tables]
    if any(table.sparse for _, table in tables):
        return Table(scipy.sparse.vstack([scipy.sparse.csr_matrix(part) for part in parts], format="csr"), labels)
    return Table(np.concatenate(parts), labels)


def _check(table: Table, channel: str, hyperparameters: Hyperparameters) -> None:
    if hyperparameters.feature_dim is not None and table.feature_dim != hyperparameters.feature_dim:
        raise UserError(
            f"The {channel} data has {table.feature_dim} features, but the hyperparameter feature_dim is "
            f"{hyperparameters.feature_dim}"
        )
    stored = table.features.data if table.sparse else table.features
    if not np.isfinite(stored).all():
        _raise_not_finite(table, channel)
    _check_labels(table.labels, channel, hyperparameters)


def _raise_not_finite(table: Table, channel: str) -> None:
    if table.sparse:
        entries = table.features.tocoo()
        place = int(np.flatnonzero(~np.isfinite(entries.data))[0])
        row, column, value = entries.row[place], entries.col[place], entries.data[place]
    else:
        row, column = np.argwhere(~np.isfinite(table.features))[0]
        value = table.features[row, column]
    raise UserError(
        f"The {channel} data has the value {value} in row {row + 1}, feature {column}: features must be finite "
        "numbers. Fill in missing values before training."
    )


def _check_labels(labels: Floats, channel: str, hyperparameters: Hyperparameters) -> None:
    kind = hyperparameters.predictor_type
    bad = ~np.isfinite(labels)
    allowed = "finite numbers"
    if kind != "regressor":
        classes = 2 if kind == "binary_classifier" else hyperparameters.num_classes
        bad |= (labels < 0) | (labels > classes - 1) | (labels != np.floor(labels))
        allowed = f"integers from 0 to {classes - 1}"
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserError(
            f"The {channel} data has the label {labels[row]} in row {row + 1}: labels of a {kind} must be {allowed}."
        )
    if channel == "train" and kind != "regressor" and (labels == labels[0]).all():
        raise UserError(
            f"The train data has labels of one class only ({labels[0]:g}): a {kind} can't be trained on it."
        )


def _empty(channel: str) -> UserError:
    if channel == "train":
        return UserError(
            "No training data processed. Either the training channel is empty or the mini-batch size is too high. "
            "Verify that training data contains non-empty files and the mini-batch size is less than the number of "
            "records per training host."
        )
    return UserError(
        f"No {channel} data processed: the {channel} channel is empty. Verify that it contains non-empty files."
    )


def _refusal(cause: str) -> UserError:
    return UserError(
        "Unable to initialize the algorithm. Failed to validate input data configuration. (caused by ValidationError)"
        f"\n\nCaused by: {cause}"
    )

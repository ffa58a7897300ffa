"""A snapshot: a frozen list of partition revisions, and the training channels that are made from them.

Its name is its fingerprint. The same revisions and the same declaration give the same fingerprint and the same bytes. A
snapshot that exists is reused, not written again (P4).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from pydantic import BaseModel, ConfigDict

from sluice.declaration.split import TimeSplit
from sluice.declaration.training import Training
from sluice.errors import DeclarationError, NotEnoughData
from sluice.lake.manifests import Manifest, digest_of
from sluice.lake.partitions import Partition, format_ranges, parse_ranges, partition_at
from sluice.lake.store import Lake
from sluice.steps.frames import read_object, to_frame
from sluice.workspace import Workspace

Channel = Literal["train", "validation", "test"]
CHANNELS: tuple[Channel, ...] = ("train", "validation", "test")
_ENCODING = 1  # increase it when the same rows are written as other bytes


class Snapshot(BaseModel):
    """The content of ``snapshot.json``.

    ``partitions`` (ranges) and ``rows`` (counts) are per channel; ``revisions`` maps partition keys to digests.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    fingerprint: str
    dataset: str
    label: str
    features: tuple[str, ...]
    revisions: Mapping[str, str]
    partitions: Mapping[Channel, str]
    rows: Mapping[Channel, int]


def channel_key(lake: Lake, fingerprint: str, channel: Channel) -> str:
    """Return the key of a channel's object.

    The object is CSV without a header, one row per line, the label first; a missing value is an empty field.

    Args:
        lake: The lake of the snapshot.
        fingerprint: The fingerprint of the snapshot.
        channel: ``train``, ``validation`` or ``test``.
    """
    return f"{lake.layout.channel(fingerprint, channel)}part-0.csv"


def read_snapshot(lake: Lake, fingerprint: str) -> Snapshot:
    """Return a snapshot.

    Args:
        lake: The lake of the snapshot.
        fingerprint: Its fingerprint, 32 hexadecimal digits.

    Raises:
        MissingResource: there is none.
    """
    return Snapshot.model_validate_json(lake.get(lake.layout.snapshot(fingerprint)))


def make_snapshot(workspace: Workspace, first: str | None = None, last: str | None = None) -> Snapshot:
    """Freeze the closed partitions from ``first`` to ``last``, and write the training channels.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        first: The first partition, as an ISO date or date-time (UTC); None: from the oldest on.
        last: The last partition, included; None: up to the newest.

    Returns:
        The snapshot; if it exists already, nothing is written.

    Raises:
        SluiceError: a bound is no date.
        NotEnoughData: fewer than three partitions have rows, or a channel has rows of one label only.
        DeclarationError: the rows lack the label or a feature, or a value is no number.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    training = pipeline.require_training()
    begin, end = (partition_at(bound, pipeline.every) if bound else None for bound in (first, last))
    manifests = [
        manifest
        for manifest in lake.manifests(training.rows)
        if manifest.state == "closed"
        and manifest.rows_out
        and (begin is None or manifest.time_partition >= begin)
        and (end is None or manifest.time_partition <= end)
    ]
    split = split_by_time([manifest.time_partition for manifest in manifests], training.split)
    if not all(split.values()):
        raise NotEnoughData(
            f"{lake.uri(lake.layout.dataset(training.rows))} has {len(manifests)} closed partitions with rows in the "
            f"range; training, validation and test need at least one each: run {pipeline.name}_transform on more"
        )
    revisions = {manifest.partition: manifest.digest for manifest in manifests}
    partitions = {channel: format_ranges(split[channel]) for channel in CHANNELS}
    fingerprint = digest_of([_ENCODING, training.rows, training.label, list(training.features), revisions, partitions])[
        :32
    ]
    key = lake.layout.snapshot(fingerprint)
    existing = lake.read(key)
    if existing is not None:
        return Snapshot.model_validate_json(existing)
    by_partition = {manifest.time_partition: manifest for manifest in manifests}
    rows: dict[Channel, int] = {}
    for channel in CHANNELS:
        target = channel_key(lake, fingerprint, channel)
        labels = _write_channel(lake, training, [by_partition[partition] for partition in split[channel]], target)
        if len(labels) < 2:
            raise NotEnoughData(
                f"the {channel} rows {partitions[channel]} of {lake.uri(lake.layout.dataset(training.rows))} have "
                f"{'one label only' if labels else 'no label'}, so no model can be judged by them: run "
                f"{pipeline.name}_transform on more"
            )
        rows[channel] = labels.total()
    snapshot = Snapshot(
        fingerprint=fingerprint,
        dataset=training.rows,
        label=training.label,
        features=training.features,
        revisions=revisions,
        partitions=partitions,
        rows=rows,
    )
    lake.create(key, snapshot.model_dump_json().encode())
    return snapshot


def split_by_time(partitions: Sequence[Partition], split: TimeSplit) -> dict[Channel, list[Partition]]:
    """Split partitions in time order: train on the oldest, validate on those after them, test on the newest.

    Args:
        partitions: The partitions, in any order.
        split: The shares of the partitions that validate and test.

    Returns:
        The partitions of each channel, oldest first; of three partitions or more, each channel gets at least one.
    """
    ordered = sorted(partitions)
    count = len(ordered)
    test = max(1, min(round(count * split.test), count - 2))
    validation = max(1, min(round(count * split.validation), count - test - 1))
    train = max(0, count - validation - test)
    return {
        "train": ordered[:train],
        "validation": ordered[train : train + validation],
        "test": ordered[train + validation :],
    }


def read_rows(lake: Lake, dataset: str, partitions: Sequence[Partition]) -> Iterator[pd.DataFrame]:
    """Yield the rows of each partition, one DataFrame a partition.

    Args:
        lake: The lake to read.
        dataset: The name of the step that wrote the rows.
        partitions: The partitions; those that were never written are left out.
    """
    for partition in partitions:
        manifest = lake.manifest(dataset, partition)
        if manifest is not None:
            yield _rows(lake, manifest)


def labelled(frame: pd.DataFrame, training: Training) -> pd.DataFrame:
    """Return the label and the features as numbers, in the order in which the model gets them.

    Args:
        frame: Rows of the step that the training names.
        training: Names the label and the features.

    Returns:
        One column for the label, then one for each feature. Rows without a label are left out.

    Raises:
        DeclarationError: a column is missing, or is neither numbers nor truth values.
    """
    wanted = (training.label, *training.features)
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise DeclarationError(f"step {training.rows!r} writes no column {', '.join(missing)}, which training declares")
    columns = frame.loc[frame[training.label].notna(), list(wanted)]
    return columns.assign(**{name: _numbers(columns[name], training) for name in wanted})


def _numbers(column: pd.Series[Any], training: Training) -> pd.Series[Any]:
    """Return the column as numbers: truth values become 1 and 0, a column without values stays empty."""
    if is_bool_dtype(column.dtype):
        return column.astype("Int8")
    if not is_numeric_dtype(column.dtype) and column.notna().any():
        raise DeclarationError(
            f"step {training.rows!r} writes {column.name!r} as {column.dtype}; training takes numbers, so make it one"
        )
    return column


def _rows(lake: Lake, manifest: Manifest) -> pd.DataFrame:
    return to_frame([read_object(file.key, lake.get(file.key)) for file in manifest.files])


def _write_channel(lake: Lake, training: Training, manifests: Sequence[Manifest], key: str) -> Counter[float]:
    """Stream the partitions into one object. Memory holds a few partitions, however long the range is.

    Returns:
        The number of rows by label.
    """
    labels: Counter[float] = Counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        path = Path(folder, "part-0.csv")
        with path.open("w", encoding="ascii", newline="") as file:
            for start in range(0, len(manifests), 16):
                for frame in pool.map(partial(_rows, lake), manifests[start : start + 16]):
                    labels += _append(labelled(frame, training), file)
        lake.s3.upload_file(str(path), lake.bucket, key)
    return labels


def _append(rows: pd.DataFrame, file: IO[str]) -> Counter[float]:
    rows.to_csv(file, header=False, index=False, lineterminator="\n")
    return Counter(rows.iloc[:, 0].tolist())


def channel_partitions(snapshot: Snapshot, channel: Channel) -> list[Partition]:
    """Return the partitions of a channel, oldest first.

    Args:
        snapshot: The snapshot.
        channel: ``train``, ``validation`` or ``test``.
    """
    return parse_ranges(snapshot.partitions[channel])

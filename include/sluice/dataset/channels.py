"""Writes the channels of a snapshot: files for the algorithms, and the raw rows that they were made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from sluice.dataset.encodings import Encoding
from sluice.dataset.formats.contract import Block, Format
from sluice.dataset.formats.csv import Csv
from sluice.dataset.formats.libsvm import Libsvm
from sluice.dataset.formats.parquet import Parquet
from sluice.dataset.formats.recordio import RecordIO
from sluice.dataset.raw_rows import RawRows
from sluice.declaration.candidates import Candidate, ChannelFormat
from sluice.declaration.features import Category, Feature
from sluice.errors import DeclarationError
from sluice.lake.store import Lake

Channel = Literal["train", "validation", "test"]
CHANNELS: tuple[Channel, ...] = ("train", "validation", "test")
FORMATS: Mapping[ChannelFormat, type[Format]] = {
    "csv": Csv,
    "libsvm": Libsvm,
    "parquet": Parquet,
    "recordio": RecordIO,
}
Encoded = tuple[pd.DataFrame, Encoding]


@dataclass(frozen=True)
class Form:
    """How the rows of a channel are written.

    Attributes:
        filled: Whether numbers stand for missing values.
        format: The format of the file.
    """

    filled: bool
    format: ChannelFormat

    @property
    def name(self) -> str:
        """The name in keys: ``gaps`` or ``filled``, and the format if it is not CSV."""
        stem = "filled" if self.filled else "gaps"
        return stem if self.format == "csv" else f"{stem}-{self.format}"


def form_of(candidate: Candidate) -> Form:
    """Return the form of the rows that a candidate trains on."""
    return Form(not candidate.takes_missing, candidate.channel_format)


def channel_key(lake: Lake, fingerprint: str, form: Form, channel: Channel) -> str:
    """Return the key of a channel's object, which has the rows in order, the label of each first.

    Args:
        lake: The lake of the snapshot.
        fingerprint: The fingerprint of the snapshot.
        form: The form of the rows.
        channel: ``train``, ``validation`` or ``test``.
    """
    return f"{lake.layout.channel(fingerprint, form.name, channel)}part-0.{FORMATS[form.format].extension}"


def write_channel(
    rows: RawRows, fingerprint: str, channel: Channel, forms: Sequence[Form], frames: Iterable[Encoded]
) -> None:
    """Write one channel in each form, and its raw rows unless it trains. Memory holds one frame at a time.

    Args:
        rows: What has read the frames.
        fingerprint: The fingerprint of the snapshot.
        channel: ``train``, ``validation`` or ``test``.
        forms: The forms to write.
        frames: The rows of each partition with the encoding that they get.

    Raises:
        DeclarationError: no train row has a value in the last column, so the reader of a format would not count it.
    """
    lake = rows.lake
    uncounted = {form for form in forms if FORMATS[form.format].counts_columns and channel == "train"}
    targets = {form.name: channel_key(lake, fingerprint, form, channel) for form in forms}
    if channel != "train":
        targets["rows"] = lake.layout.snapshot_rows(fingerprint, channel)
    with tempfile.TemporaryDirectory() as folder:
        with ExitStack() as stack:
            files = {name: stack.enter_context(Path(folder, name).open("wb")) for name in targets}
            writers = {form: stack.enter_context(closing(FORMATS[form.format](files[form.name]))) for form in forms}
            schema, raw = _raw_schema(rows), None
            if "rows" in files:
                raw = stack.enter_context(pq.ParquetWriter(files["rows"], schema, compression="zstd"))
            for frame, blocks in _blocks(rows, forms, frames):
                for form, writer in writers.items():
                    writer.write(blocks[form.filled])
                    if not np.isnan(blocks[form.filled].features[:, -1]).all():
                        uncounted.discard(form)
                if raw is not None:
                    raw.write_table(_raw_table(frame, schema))
        for form in uncounted:
            raise DeclarationError(
                f"feature {rows.training.inputs[-1].name} is missing in every train row, and it is the last one: a "
                f"column of {form.format} is known by its values only; declare another feature last, or leave it out"
            )
        for name, key in targets.items():
            _upload(lake, Path(folder, name), key)


def _blocks(
    rows: RawRows, forms: Sequence[Form], frames: Iterable[Encoded]
) -> Iterator[tuple[pd.DataFrame, Mapping[bool, Block]]]:
    """Yield each frame with its rows as models get them, by whether missing values are filled."""
    group, before = rows.training.problem.group_column, 0
    for frame, encoding in frames:
        labels, groups = frame[rows.training.label].to_numpy(), None
        if group is not None:  # No partition has a group of another one.
            numbers, names = pd.factorize(frame[group])
            groups, before = numbers + before, before + len(names)
        yield (
            frame,
            {
                filled: Block(labels, encoding.encode(frame, filled=filled).to_numpy(), groups)
                for filled in {form.filled for form in forms}
            },
        )


def _upload(lake: Lake, path: Path, key: str) -> None:
    """Write an object from a file, in parts if it is large."""
    try:
        lake.s3.upload_file(str(path), lake.bucket, key)
    except S3UploadFailedError as error:
        # It hides the refused call, whose kind decides whether a retry helps.
        if isinstance(error.__context__, ClientError):
            raise error.__context__ from error
        raise


def _raw_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    whole = [each.name for each in schema if each.type == pa.int64()]
    return pa.Table.from_pandas(frame.astype(dict.fromkeys(whole, "Int64")), schema, preserve_index=False)


def _raw_schema(rows: RawRows) -> pa.Schema:
    training = rows.training
    types = {training.label: pa.float64(), **{each.name: _type(rows, each) for each in training.inputs}}
    if training.problem.group_column is not None:
        types[training.problem.group_column] = _category_type(rows, training.problem.group_column)
    return pa.schema(types | dict.fromkeys(rows.slices, pa.string()))


def _type(rows: RawRows, feature: Feature) -> pa.DataType:
    return _category_type(rows, feature.name) if isinstance(feature, Category) else pa.float64()


def _category_type(rows: RawRows, name: str) -> pa.DataType:
    return pa.int64() if rows.is_whole(name) else pa.string()

"""Writes the channels of a snapshot: CSV for the algorithms, and the raw rows that they were made of."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from sluice.dataset.encodings import Encoding
from sluice.dataset.raw_rows import RawRows
from sluice.declaration.candidates import Candidate
from sluice.declaration.features import Category, Feature
from sluice.lake.store import Lake

Channel = Literal["train", "validation", "test"]
CHANNELS: tuple[Channel, ...] = ("train", "validation", "test")
# Whether missing values stay empty fields.
Form = Literal["gaps", "filled"]
Encoded = tuple[pd.DataFrame, Encoding]

_PLAIN = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")


def form_of(candidate: Candidate) -> Form:
    """Return the form of the rows that a candidate trains on and scores."""
    return "gaps" if candidate.takes_missing else "filled"


def channel_key(lake: Lake, fingerprint: str, form: Form, channel: Channel) -> str:
    """Return the key of a channel's object.

    The object is CSV without a header, one row per line, the label first, then a row as :func:`csv_rows` writes it.

    Args:
        lake: The lake of the snapshot.
        fingerprint: The fingerprint of the snapshot.
        form: ``gaps`` or ``filled``.
        channel: ``train``, ``validation`` or ``test``.
    """
    return f"{lake.layout.channel(fingerprint, form, channel)}part-0.csv"


def csv_rows(frame: pd.DataFrame) -> list[str]:
    """Return rows as a model takes them: CSV, a missing value an empty field.

    The only field of a row is ``nan`` if it is missing, because an empty line is no row.

    Args:
        frame: Floats, as :meth:`Encoding.encode` returns them.
    """
    columns = [pa.array(frame.iloc[:, place].to_numpy(np.float64), from_pandas=True) for place in range(frame.shape[1])]
    written = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns, names=[str(n) for n in range(len(columns))]), written, _PLAIN)
    return [row or "nan" for row in written.getvalue().decode("ascii").splitlines()]


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
    """
    lake = rows.lake
    targets: dict[str, str] = {form: channel_key(lake, fingerprint, form, channel) for form in forms}
    if channel != "train":
        targets["rows"] = lake.layout.snapshot_rows(fingerprint, channel)
    with tempfile.TemporaryDirectory() as folder:
        with ExitStack() as stack:
            files = {name: stack.enter_context(Path(folder, name).open("wb")) for name in targets}
            schema, raw = _raw_schema(rows), None
            if "rows" in files:
                raw = stack.enter_context(pq.ParquetWriter(files.pop("rows"), schema, compression="zstd"))
            for frame, encoding in frames:
                labels = csv_rows(frame[[rows.training.label]])
                for form, file in files.items():
                    encoded = csv_rows(encoding.encode(frame, filled=form == "filled"))
                    lines = zip(labels, encoded, strict=True)
                    file.write("".join(f"{first},{rest}\n" for first, rest in lines).encode("ascii"))
                if raw is not None:
                    raw.write_table(_raw_table(frame, schema))
        for name, key in targets.items():
            _upload(lake, Path(folder, name), key)


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
    types = {rows.training.label: pa.float64(), **{each.name: _type(rows, each) for each in rows.training.inputs}}
    return pa.schema(types | dict.fromkeys(rows.slices, pa.string()))


def _type(rows: RawRows, feature: Feature) -> pa.DataType:
    if not isinstance(feature, Category):
        return pa.float64()
    return pa.int64() if rows.is_whole(feature.name) else pa.string()

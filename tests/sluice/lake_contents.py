"""Puts datasets into a lake by hand, and reads them back with nothing but pyarrow and json."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tests.calendars import utc
from tests.draining import record_from_sqs

from sluice.declaration.sources import FifoQueue
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.pending import expect, next_revision
from sluice.lake.store import Lake
from sluice.records.record import SCHEMA, part_bytes, read_part
from sluice.steps.frames import parquet_bytes

WRITTEN = datetime(2014, 1, 1, tzinfo=UTC)


def partition(key: str) -> Partition:
    return utc(f"dt={key}")


def put_raw(lake: Lake, source: FifoQueue, day: str, *parts: Sequence[dict[str, Any]], state: str = "closed") -> None:
    """Put one raw partition that holds these messages, a part each; it replaces an existing one."""
    lake, dataset = _divided(lake, day), f"raw/{source.name}"
    expect(lake, source.name, {partition(day): next_revision(lake.manifest(dataset, partition(day)))})
    records = [[record_from_sqs(message, source) for message in messages] for messages in parts]
    put_parts(lake, source, day, *((part_bytes(each), len(each)) for each in records), state=state)


def put_parts(
    lake: Lake, source: FifoQueue, day: str, *parts: tuple[tuple[str, bytes], int], state: str = "closed"
) -> None:
    """Put one raw partition of parts, each with its name, its bytes and its number of records."""
    dataset = f"raw/{source.name}"
    files = [
        lake.put(lake.layout.raw_part(dataset, partition(day), name), body, rows=rows) for (name, body), rows in parts
    ]
    _commit(lake, dataset, day, state, files)


def put_rows(lake: Lake, dataset: str, day: str, rows: pd.DataFrame, state: str = "closed") -> None:
    """Put one partition of a step that holds these rows; it replaces an existing one."""
    lake, body = _divided(lake, day), parquet_bytes(pa.Table.from_pandas(rows, preserve_index=False))
    key = lake.layout.output(dataset, partition(day), sha256(body).hexdigest()[:16])
    _commit(lake, dataset, day, state, [lake.put(key, body, rows=len(rows))])


def _divided(lake: Lake, key: str) -> Lake:
    """Return the lake, divided into hours if the key is one of an hour."""
    return replace(lake, calendar=partition(key).calendar)


def _commit(lake: Lake, dataset: str, day: str, state: Any, files: Sequence[Any]) -> None:
    rows = sum(file.rows for file in files)

    def change(before: Manifest | None) -> Manifest:
        revision = (before.revision if before else 0) + (state == "closed")
        return Manifest(
            dataset=dataset,
            partition=f"dt={day}",
            state=state,
            revision=revision,
            files=tuple(files),
            rows_in=rows,
            rows_out=rows,
            written_at=WRITTEN,
        )

    lake.update_manifest(dataset, partition(day), change)


def manifest_json(lake: Lake, dataset: str, key: str) -> dict[str, Any]:
    """Return the manifest as any reader of JSON sees it."""
    body = lake.s3.get_object(Bucket=lake.bucket, Key=f"{lake.pipeline}/{dataset}/{key}/_manifest.json")["Body"].read()
    read: dict[str, Any] = json.loads(body)
    return read


def rows_of(lake: Lake, dataset: str, key: str, files: str = "files") -> list[dict[str, Any]]:
    """Return the rows of the objects that a manifest lists, and those that it holds itself."""
    manifest = manifest_json(lake, dataset, key)
    bodies = [body_of(lake, file["key"]) for file in manifest[files]]
    rows = [row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()]
    return rows + [json.loads(text) for text in manifest["inline"] if files == "files"]


def read_parts(bodies: Iterable[bytes]) -> pa.Table:
    """Return the records of parts as one table."""
    files = [(body, pq.ParquetFile(io.BytesIO(body)).metadata.num_rows) for body in bodies]
    tables = [read_part("s3://bucket/part.parquet", body, "land it again", rows) for body, rows in files]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def body_of(lake: Lake, key: str) -> bytes:
    return lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read()


def keys_below(lake: Lake, prefix: str) -> list[str]:
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

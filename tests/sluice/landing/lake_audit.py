"""Says what a lake holds of the events that were sent.

It shares no code with what wrote the lake: it reads with pyarrow and json what boto3 lists.
"""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Sent:
    """One event, in the order of sending."""

    id: str
    group: str
    body: str


@dataclass(frozen=True)
class Found:
    """Rows of raw parts that a manifest lists, and of conformed partitions."""

    raw: list[dict[str, Any]]
    conformed: list[dict[str, Any]]
    manifests: list[dict[str, Any]]


def read_lake(s3: Any, bucket: str, pipeline: str, source: str) -> Found:
    raw, _ = _dataset(s3, bucket, f"{pipeline}/raw/{source}/")
    conformed, manifests = _dataset(s3, bucket, f"{pipeline}/conform/")
    return Found(raw, conformed, manifests)


def _dataset(s3: Any, bucket: str, prefix: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows, manifests = [], []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith("/_manifest.json"):
                manifests.append(json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()))
    for manifest in manifests:
        for file in manifest["files"]:
            body = s3.get_object(Bucket=bucket, Key=file["key"])["Body"].read()
            found = pq.read_table(io.BytesIO(body)).to_pylist()
            assert len(found) == file["rows"], file
            rows.extend(found)
    return rows, manifests


def check(found: Found, sent: Sequence[Sent]) -> None:
    """Every event at least once raw and verbatim, conformed exactly once, in the order of its group."""
    bodies = {row["body"] for row in found.raw}
    assert bodies == {event.body for event in sent}
    ids = Counter(row["event_id"] for row in found.conformed)
    assert ids == Counter(event.id for event in sent)
    by_group: dict[str, list[str]] = defaultdict(list)
    for row in sorted(found.conformed, key=lambda row: int(row["sequence_number"])):
        by_group[row["group"]].append(row["event_id"])
    expected: dict[str, list[str]] = defaultdict(list)
    for event in sent:
        expected[event.group].append(event.id)
    assert by_group == expected
    for manifest in found.manifests:
        assert manifest["rejected"] == {}
        assert manifest["rows_in"] == manifest["rows_out"] + manifest["duplicates"]

"""What a bucket holds, read with S3 and Parquet alone: nothing here uses the library that wrote it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.chaos.audit import inline_rows


@dataclass(frozen=True)
class LakeContent:
    """One pipeline's bucket."""

    s3: Any
    bucket: str
    pipeline: str

    def etags(self, prefix: str = "") -> dict[str, str]:
        """Return the ETag of every object, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}

    def partitions(self, dataset: str) -> list[str]:
        """Return the keys of the dataset's partitions that have a manifest, in order."""
        folder = f"{self.pipeline}/{dataset}/"
        manifests = (key for key in self.etags(folder) if key.endswith("/_manifest.json"))
        return sorted(key.removeprefix(folder).removesuffix("/_manifest.json") for key in manifests)

    def manifest(self, dataset: str, partition: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.get(f"{self.pipeline}/{dataset}/{partition}/_manifest.json"))
        return manifest

    def table(self, dataset: str, partition: str) -> pa.Table:
        """Return the rows of the objects that the manifest names, in their order, and those that it holds itself."""
        manifest = self.manifest(dataset, partition)
        tables = [self._table(file["key"] for file in manifest["files"])] if manifest["files"] else []
        if manifest["inline"]:
            tables.append(pa.Table.from_pylist(inline_rows(manifest)))
        return pa.concat_tables(tables, promote_options="permissive")

    def quarantined(self, dataset: str, partition: str) -> pa.Table:
        return self._table(file["key"] for file in self.manifest(dataset, partition)["quarantined"])

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def _table(self, keys: Any) -> pa.Table:
        return pa.concat_tables(pq.read_table(io.BytesIO(self.get(key))) for key in keys)

"""Gives dropped files to a pipeline, lands each partition and reads it as a step does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from sluice.declaration.completeness import Marker, RootMarker
from sluice.declaration.drops import Drops
from sluice.declaration.file_formats import Csv, JsonLines, Parquet
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import SluiceError
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.connecting import connect
from sluice.sources.drops.copying import copy
from sluice.sources.drops.listing import Dropped
from sluice.steps.reading import reader_of
from sluice.steps.unifying import unified
from tests.calendars import utc
from tests.cases.case import Case
from tests.draining import workspace_of

Rows = list[dict[str, Any]]


def check(case: Case, request: pytest.FixtureRequest) -> None:
    lake: Lake = request.getfixturevalue("lake")
    if case.given.get("faked"):
        return check_large(case, lake)
    with_schema = case.right.get("with_schema", case.right)
    check_tables(case, lake, declared(case), with_schema)
    if "without_schema" in case.right:
        check_neighbours(case, lake, replace(declared(case), schema=None))
    return None


def declared(case: Case) -> Drops:
    source, said = case.given["source"], case.given["source"]["declared"]
    dialect = Csv(
        delimiter=said.get("delimiter", ","),
        encoding=said.get("encoding", "utf-8"),
        null_tokens=tuple(said.get("null_tokens", ())),
    )
    return Drops(
        "weather",
        prefix=source["prefix"],
        complete=RootMarker() if said.get("marker") == "root" else Marker(),
        schema=said.get("schema"),
        formats=(dialect, JsonLines(), Parquet()),
    )


def put(case: Case, lake: Lake, stage: int) -> None:
    for each in case.given["objects"]:
        if each.get("stage", stage) == stage:
            body = case.read(each["file"]) if "file" in each else b""
            lake.s3.put_object(Bucket=lake.bucket, Key=each["key"], Body=body)


def read(case: Case, lake: Lake, source: Drops) -> tuple[dict[str, Rows], dict[str, str]]:
    """Land every partition that there is; return the rows as a step gets them, and the refusals, by partition."""
    pipeline = pipeline_of(case, source)
    connector = connect(workspace_of(lake, pipeline), source)
    tables, refused = dict[str, Rows](), dict[str, str]()
    for partition in sorted(connector.partitions()):
        assert not connector.incomplete([partition])
        try:
            connector.land([partition])
            tables[partition.key] = rows_of(lake, pipeline, partition)
        except SluiceError as error:
            refused[partition.key] = str(error)
            assert lake.manifest(connector.dataset, partition) is None
    return tables, refused


def pipeline_of(case: Case, source: Drops) -> Pipeline:
    return Pipeline(
        "toy",
        every=case.given["pipeline"]["every"],
        start=datetime(2021, 1, 1, tzinfo=UTC),
        sources=(source,),
        steps=(Step("read", run="steps:read", reads=(Input("weather"),)),),
    )


def rows_of(lake: Lake, pipeline: Pipeline, partition: Partition) -> Rows:
    manifest = lake.manifest("raw/weather", partition)
    assert manifest is not None
    reader = reader_of(lake, pipeline, "weather")
    return [row for file in manifest.files for row in reader(file).to_pylist()]


def check_tables(case: Case, lake: Lake, source: Drops, right: Mapping[str, Any]) -> None:
    put(case, lake, stage=1)
    tables, refused = read(case, lake, source)
    if "tables_after_stage" in case.right:
        put(case, lake, stage=case.right["tables_after_stage"])
        tables, _ = read(case, lake, source)
    assert {key: in_order(map(shown_row, rows)) for key, rows in tables.items()} == {
        key: in_order(rows) for key, rows in right["tables"].items()
    }
    expected = defaultdict(list)
    for each in right.get("refused", ()):
        expected[each["partition"]] += each["must_name"]
    assert refused.keys() == expected.keys()
    for key, named in expected.items():
        for word in named:
            assert word == "both types" or word in refused[key]
    kept = {lake.get(file.key) for key in tables for file in manifest_files(lake, key)}
    hidden = [each for each in case.given["objects"] if is_hidden(each["key"])]
    assert not any("file" in each and case.read(each["file"]) in kept for each in hidden)


def check_neighbours(case: Case, lake: Lake, source: Drops) -> None:
    """Without a declared schema, the partitions in one frame have the same values, or are refused, as the case says."""
    _, refused = read(case, lake, source)
    found, message = dict[str, Rows](), "; ".join(refused.values())
    if not refused:
        labelled = [(key, file) for key in case.right["with_schema"]["tables"] for file in manifest_files(lake, key)]
        reader = reader_of(lake, pipeline_of(case, source), "weather")
        try:
            tables = unified([(file.origin, reader(file)) for _, file in labelled])
            found = {key: table.to_pylist() for (key, _), table in zip(labelled, tables, strict=True)}
        except SluiceError as error:
            message = str(error)
    if message:
        assert "refused" in case.right["without_schema"]
        for word in case.right["if_refused"]["must_name"]:
            assert word == "both types" or word in message
    else:
        assert "same values" in case.right["without_schema"]
        right = case.right["with_schema"]["tables"]
        assert {key: in_order(map(shown_row, rows)) for key, rows in found.items()} == {
            key: in_order(rows) for key, rows in right.items()
        }


def check_large(case: Case, lake: Lake) -> None:
    """Copy an object that is larger than one call copies; the calls are answered here, as it can't be had."""
    (given,) = case.given["objects"]
    calls: list[tuple[str, dict[str, Any]]] = []

    def answer(params: dict[str, Any], model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        calls.append((model.name, dict(params["headers"])))
        part = {"CopyPartResult": {"ETag": '"p"'}, "UploadId": "u", "ETag": '"whole-6"'}
        return AWSResponse("", 200, {}, BytesIO()), part

    lake.s3.meta.events.register("before-call.s3", answer)

    assert copy(lake, Dropped(given["key"], "", given["size"], given["etag"]), "toy/raw/a.parquet") == "whole-6"

    counts = Counter(name for name, _ in calls)
    right = {name.removeprefix("s3:"): count for name, count in case.right["calls"].items()}
    assert {name: counts[name] for name in right} == right
    parts = [headers for name, headers in calls if name == "UploadPartCopy"]
    assert {headers["x-amz-copy-source-if-match"] for headers in parts} == {f'"{given["etag"]}"'}
    ranges = sorted(
        tuple(map(int, headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-"))) for headers in parts
    )
    assert [first for first, _ in ranges] == [0, *(last + 1 for _, last in ranges[:-1])]
    assert ranges[-1][1] == given["size"] - 1
    assert all(5 * 1024**2 <= last - first + 1 <= 5 * 1024**3 for first, last in ranges[:-1])


def manifest_files(lake: Lake, key: str) -> Any:
    manifest = lake.manifest("raw/weather", utc(key))
    assert manifest is not None
    return manifest.files


def is_hidden(key: str) -> bool:
    return any(name.startswith(("_", ".")) for name in key.split("/"))


def in_order(rows: Any) -> Rows:
    return sorted(rows, key=str)


def shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shown(value) for name, value in row.items()}


def shown(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return value.hex()
    return value

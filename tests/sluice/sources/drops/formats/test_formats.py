"""Each format is read as it was written, and what can't be read is refused with the reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sluice.toy import DROPS

from sluice.declaration.file_formats import Csv, JsonLines, Parquet
from sluice.sources.drops.reading import RefusedDrop, format_of, read_drop


def rows(name: str, body: bytes, *formats: Any) -> list[dict[str, Any]]:
    source = replace(DROPS, formats=formats) if formats else DROPS
    found: list[dict[str, Any]] = read_drop(source, f"drops/weather/dt=2013-01-01/{name}", body).to_pylist()
    return found


def refusal(name: str, body: bytes, *formats: Any) -> str:
    with pytest.raises(RefusedDrop) as refused:
        rows(name, body, *formats)
    message = str(refused.value)
    assert message.startswith(f"drops/weather/dt=2013-01-01/{name} ")
    assert "\n" not in message
    return message


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "form", "suffix"),
    [
        ("a.csv", Csv, ".csv"),
        ("A.CSV", Csv, ".csv"),
        ("part-0.c000.Csv.GZ", Csv, ".csv.gz"),
        ("a.json", JsonLines, ".json"),
        ("a.jsonl.gz", JsonLines, ".jsonl.gz"),
        ("a.NDJSON", JsonLines, ".ndjson"),
        ("a.snappy.Parquet", Parquet, ".parquet"),
    ],
)
def test_format_is_that_of_the_suffix(name: str, form: type, suffix: str) -> None:
    found, of_name = format_of(DROPS, name)

    assert (type(found), of_name) == (form, suffix)


@pytest.mark.parametrize("name", ["a.txt", "a.parquet.tmp", "a.csv.zip", "a", "a.parquet.gz"])
def test_other_suffixes_are_refused(name: str) -> None:
    assert "has none of the suffixes .csv, .csv.gz, .json" in refusal(name, b"x\n1\n")


def test_undeclared_format_is_refused() -> None:
    assert "has none of the suffixes .parquet; have its sender" in refusal("a.csv", b"x\n1\n", Parquet())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_file_of_no_bytes_is_refused(name: str) -> None:
    assert "it is empty: it has 0 bytes" in refusal(name, b"")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"x,y\n1,a\n", [{"x": "1", "y": "a"}]),
        (b"\xef\xbb\xbfx,y\r\n1,a", [{"x": "1", "y": "a"}]),
        (b'x,y\n"a,b","say ""hi""\nyes"\n', [{"x": "a,b", "y": 'say "hi"\nyes'}]),
        (b"x,y\n\n1,\n\n", [{"x": "1", "y": ""}]),
        (b"x,y\n00501,NA\n", [{"x": "00501", "y": "NA"}]),
        (b'x,y\n5" pipe,1e5\n', [{"x": '5" pipe', "y": "1e5"}]),
        (b"x\n", []),
        ("ort\nKöln\n".encode(), [{"ort": "Köln"}]),
    ],
)
def test_csv_is_text(body: bytes, found: list[dict[str, str]]) -> None:
    assert rows("a.csv", body) == found
    assert rows("a.csv.gz", gzip.compress(body)) == found
    assert rows("a.csv", gzip.compress(body)) == found  # some writers pack and keep the name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x,y\n1,2\n3\n", "line 3 has 1 values, the header has 2"),
        (b'x,y\n"a\nb",2\n3,4,5\n', "line 4 has 3 values, the header has 2"),
        (b'x,y\n1,"open\n3,4\n', "line 3 is no CSV (unexpected end of data); the file may be truncated"),
        (b'x,y\n1,"a"b\n', "line 2 is no CSV"),
        (b"x,x\n1,2\n", "column 'x' is there 2 times (string), so it is not clear which one is meant"),
        (b"x;y\n1;2\n", "its header 'x;y' is one value, and has ';' in it; declare its delimiter"),
        (b"x\ty\n1\t2\n", "declare its delimiter"),
        ("ort\nKöln\n".encode("latin-1"), "its encoding is not utf-8"),
        ("ort\nKöln\n".encode("utf-16"), "its encoding is not utf-8"),
        (b"\n\n", "it is empty: it has no header"),
        (gzip.compress(b"x\n" + bytes(range(48, 58)) * 999, mtime=0)[:-9], "it is truncated or broken"),
        (gzip.compress(b"x\n1\n", mtime=0)[:-1] + b"\x00\x01", "it is truncated or broken"),
    ],
)
def test_csv_that_can_not_be_read_is_refused(body: bytes, reason: str) -> None:
    assert reason in refusal("a.csv", body)


def test_declared_dialect() -> None:
    german = Csv(delimiter=";", encoding="latin-1", null_tokens=("M", ""))

    assert rows("a.csv", "ort;x\nKöln;M\n;1,5\n".encode("latin-1"), german) == [
        {"ort": "Köln", "x": None},
        {"ort": None, "x": "1,5"},
    ]
    assert rows("a.csv", "a\tb\n1\t2\n".encode("utf-16"), Csv("\t", "utf-16")) == [{"a": "1", "b": "2"}]


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0\r", codec="utf-8")), min_size=2, max_size=2)))
def test_csv_is_read_as_python_writes_it(lines: list[list[str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["x", "y"], *lines])

    assert [list(row.values()) for row in rows("a.csv", written.getvalue().encode())] == lines


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": 1, "y": "a"}\n{"y": null, "x": 2}\n',
        b'\xef\xbb\xbf{"x": 1, "y": "a"}\r\n\r\n{"x": 2}',
        b'{"x": 1, "y": "a"}{"x": 2}',
        b' [{"x": 1, "y": "a"},\n {"x": 2}]\n',
        b'{\n "x": 1,\n "y": "a"\n}\n{\n "x": 2\n}\n',
    ],
)
def test_json_objects_in_every_arrangement(body: bytes) -> None:
    found = [{"x": 1, "y": "a"}, {"x": 2, "y": None}]

    assert rows("a.json", body) == rows("a.jsonl", body) == rows("a.ndjson.gz", gzip.compress(body)) == found


def test_json_keeps_nested_values_and_whole_numbers() -> None:
    body = json.dumps({"big": 2**53 + 1, "real": 0.5, "tags": ["a"], "of": {"z": 1}}).encode()

    assert rows("a.jsonl", body) == [{"big": 2**53 + 1, "real": 0.5, "tags": ["a"], "of": {"z": 1}}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"x": 1}\n{"x": ', "value 2 is no JSON"),
        (b'{"x": 1},\n{"x": 2}', "value 2 is no JSON"),
        (b"1\n", "value 1 is a JSON int, not an object"),
        (b'[{"x": 1}, [2]]', "value 2 is a JSON list, not an object"),
        (b'{"x": 1}\n{"x": "a"}', "column 'x' holds int and str"),
        (b'{"x": 36893488147419103232}', "column 'x' holds int"),
        (b"[" * 100_000, "value 1 is no JSON"),
        (b'{"x": "\xff"}', "its encoding is not utf-8"),
    ],
)
def test_json_that_can_not_be_read_is_refused(body: bytes, reason: str) -> None:
    assert reason in refusal("a.jsonl", body)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_parquet_is_refused(kept: float) -> None:
    body = parquet(pa.table({"x": list(range(1000))}))

    assert "it is truncated, or no Parquet" in refusal("a.parquet", body[: int(len(body) * kept)])


def test_parquet_with_two_columns_of_one_name_is_refused() -> None:
    body = parquet(pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["x", "x"]))

    assert "column 'x' is there 2 times (int64 and string)" in refusal("a.parquet", body)

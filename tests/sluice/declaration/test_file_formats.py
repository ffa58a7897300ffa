"""A dialect that no reader has is refused where it is declared."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.declaration.file_formats import Csv, JsonLines, Parquet
from sluice.errors import DeclarationError


@pytest.mark.parametrize("delimiter", ["", ";;", "§", '"', "\n", "\r", 7, None])
def test_delimiter_is_one_ascii_character(delimiter: Any) -> None:
    with pytest.raises(DeclarationError, match=r"^csv: delimiter=.* must be one ASCII character, such as ';'$"):
        Csv(delimiter)


@pytest.mark.parametrize("encoding", ["latin-2000", "", 7])
def test_encoding_is_one_that_python_knows(encoding: Any) -> None:
    with pytest.raises(DeclarationError, match=r"^csv: encoding=.* is unknown; write it as 'utf-8', 'latin-1' or"):
        Csv(encoding=encoding)


@pytest.mark.parametrize("tokens", ["NA", ["NA"], (7,), None])
def test_null_tokens_are_a_tuple_of_text(tokens: Any) -> None:
    with pytest.raises(DeclarationError, match="csv: null_tokens="):
        Csv(null_tokens=tokens)


def test_dialects_of_common_writers_are_allowed() -> None:
    for delimiter in (",", ";", "\t", "|"):
        assert Csv(delimiter, "utf-16", ("NA", "")).delimiter == delimiter


def test_suffixes_are_those_of_common_writers() -> None:
    assert Csv.suffixes == (".csv", ".csv.gz")
    assert JsonLines.suffixes == (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
    assert Parquet.suffixes == (".parquet",)

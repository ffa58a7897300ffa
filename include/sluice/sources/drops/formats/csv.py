"""Reads CSV. All values are text; a declared schema converts them.

Source: RFC 4180, Common Format and MIME Type for Comma-Separated Values (CSV) Files. Python's reader finds an unclosed
quote, which a truncated file has; pyarrow's takes the rest of the file for the value.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from sluice.declaration.file_formats import Csv
from sluice.sources.drops.formats.contract import UnreadableFile, decoded, unpacked

_OTHER_DELIMITERS = re.compile(r"[,;\t|]")
_ROWS = 10_000  # are held as Python values at a time


def read(body: bytes, form: Csv) -> pa.Table:
    """Return the table in a file, with columns of text. Empty lines are passed over.

    Args:
        body: The file's content.
        form: The declared dialect.

    Raises:
        UnreadableFile: it has another encoding or delimiter, a line has more or fewer values than the header, or two
            columns have one name.
    """
    text = decoded(unpacked(body), form.encoding)
    lines = _lines(text, form)
    header = _checked(next(lines, []))
    schema = pa.schema([pa.field(name, pa.string()) for name in header])
    batches = []
    while rows := list(islice(lines, _ROWS)):
        batches.append(
            pa.record_batch([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=schema)
        )
    return pa.Table.from_batches(batches, schema)


def _lines(text: str, form: Csv) -> Iterator[list[str | None]]:
    """Yield the values of each line, of which all have as many as the first."""
    reader, width = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter, strict=True), 0
    nulls = set(form.null_tokens)
    try:
        for line in filter(None, reader):
            if width and len(line) != width:
                raise UnreadableFile(f"line {reader.line_num} has {len(line)} values, the header has {width}")
            yield [None if width and value in nulls else value for value in line]
            width = len(line)
    except csv.Error as error:
        raise UnreadableFile(f"line {reader.line_num} is no CSV ({error}); the file may be truncated") from error


def _checked(header: list[str | None]) -> list[str]:
    names = [name or "" for name in header]
    if not names:
        raise UnreadableFile("it is empty: it has no header")
    for name, count in Counter(names).items():
        if count > 1:
            raise UnreadableFile(
                f"column {name!r} is there {count} times (string), so it is not clear which one is meant"
            )
    if len(names) == 1 and (found := _OTHER_DELIMITERS.search(names[0])):
        raise UnreadableFile(f"its header {names[0]!r} is one value, and has {found[0]!r} in it; declare its delimiter")
    return names

"""The formats of dropped files, as a user declares them. Each class names the function that reads it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import ClassVar

from sluice.declaration.checks import check_tuple
from sluice.errors import DeclarationError


@dataclass(frozen=True)
class FileFormat:
    """The base of all formats.

    Attributes:
        suffixes: The ends of the names of its files, in lower case. The case of a name does not matter.
        reader: ``"module:function"`` of the function that reads a file, ``(body, format) -> table``. It is imported
            only when it is used.
    """

    suffixes: ClassVar[tuple[str, ...]]
    reader: ClassVar[str]


@dataclass(frozen=True)
class Csv(FileFormat):
    """Comma-separated values (RFC 4180), with a header. A byte order mark of UTF-8 and CRLF are read as well.

    Args:
        delimiter: The one character between values.
        encoding: The name of the encoding, such as ``latin-1`` or ``utf-16``.
        null_tokens: What stands for a missing value, such as ``("NA",)``. An empty value of a column that is no text is
            missing anyway.

    Raises:
        DeclarationError: the delimiter is not one character, the encoding is unknown, or the tokens are no tuple.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz")
    reader: ClassVar[str] = "sluice.sources.drops.formats.csv:read"

    delimiter: str = ","
    encoding: str = "utf-8"
    null_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, str) or len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n':
            raise DeclarationError(f"csv: delimiter={self.delimiter!r} must be one ASCII character, such as ';'")
        try:
            codecs.lookup(self.encoding)
        except (LookupError, TypeError) as error:
            raise DeclarationError(
                f"csv: encoding={self.encoding!r} is unknown; write it as 'utf-8', 'latin-1' or 'utf-16'"
            ) from error
        if self.null_tokens != ():
            check_tuple("csv", "null_tokens", self.null_tokens, str, "'NA'")


@dataclass(frozen=True)
class JsonLines(FileFormat):
    """JSON objects in UTF-8: one a line, one after the other, or all in one array."""

    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f".{name}{packed}" for name in ("json", "jsonl", "ndjson") for packed in ("", ".gz")
    )
    reader: ClassVar[str] = "sluice.sources.drops.formats.json:read"


@dataclass(frozen=True)
class Parquet(FileFormat):
    """Apache Parquet."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    reader: ClassVar[str] = "sluice.sources.drops.formats.parquet:read"

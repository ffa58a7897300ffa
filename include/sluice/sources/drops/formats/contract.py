"""What all readers share."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sluice.declaration.file_formats import FileFormat
from sluice.declaration.references import imported

_GZIP = b"\x1f\x8b"

Reader = Callable[[bytes, Any], pa.Table]


class UnreadableFile(Exception):
    """A file can't be read; the message is the reason, as it follows the name of the file."""


def reader_of(form: FileFormat) -> Reader:
    """Return the function that reads a format.

    Raises:
        DeclarationError: the function that the declared format names can't be imported.
    """
    reader: Reader = imported(form.reader, f"format {type(form).__name__}")
    return reader


def unpacked(body: bytes) -> bytes:
    """Return the content of a file, which gzip may have packed whatever its name says.

    Raises:
        UnreadableFile: it is truncated, or broken.
    """
    if not body.startswith(_GZIP):
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"gzip can't unpack it ({error}): it is truncated or broken") from error


def decoded(body: bytes, encoding: str) -> str:
    """Return a text.

    Args:
        body: The bytes; a byte order mark is left out.
        encoding: The name of the encoding.

    Raises:
        UnreadableFile: it has another encoding.
    """
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        return body.decode(name)
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"its encoding is not {encoding} (byte {error.start}: {error.reason}); declare its encoding"
        ) from error

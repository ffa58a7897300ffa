"""How batch transform cuts a file into records, and packs records into requests (API reference, TransformInput)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_RECORDIO_MAGIC = 0xCED7230A
_RECORDIO_LENGTH = (1 << 29) - 1  # the bits above are the part's place in a divided record
_RECORDIO_ENDS = (0, 3)  # a whole record, and the last part of a divided one


class SplitError(Exception):
    """The file isn't of the format of SplitType, or a record doesn't fit into a request."""


def records(file: BinaryIO, split: str) -> Iterator[bytes]:
    """Yield the records of a file: lines without their ends, framed records with their frames.

    Args:
        file: The file.
        split: The SplitType; with ``None``, the whole file is one record.

    Raises:
        SplitError: A framed record is damaged.
    """
    if split == "Line":
        for line in file:
            yield line.rstrip(b"\r\n")
    elif split == "RecordIO":
        yield from _recordio(file)
    elif split == "TFRecord":
        yield from _tfrecords(file)
    else:
        yield file.read()


def batches(found: Iterator[bytes], *, strategy: str, split: str, most: int) -> Iterator[list[bytes]]:
    """Yield the records of one request each: one for SingleRecord, as many as fit for MultiRecord.

    Args:
        found: The records.
        strategy: The BatchStrategy.
        split: The SplitType; lines also need their ends.
        most: The bytes of a request; 0 for any number.

    Raises:
        SplitError: A single record has more bytes.
    """
    end = 1 if split == "Line" else 0
    batch, size = list[bytes](), 0
    for number, record in enumerate(found):
        if most and len(record) > most:
            raise SplitError(f"Record {number} has {len(record)} bytes, more than MaxPayloadInMB allows ({most} bytes)")
        if batch and (strategy == "SingleRecord" or (most and size + len(record) + end > most)):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record) + end
    if batch:
        yield batch


def body(batch: list[bytes], split: str) -> bytes:
    """Return the body of a request.

    Args:
        batch: The request's records.
        split: The SplitType; lines get their ends back.
    """
    return b"".join(line + b"\n" for line in batch) if split == "Line" else b"".join(batch)


def _recordio(file: BinaryIO) -> Iterator[bytes]:
    parts: list[bytes] = []
    while header := file.read(8):
        magic, coded = struct.unpack("<II", header) if len(header) == 8 else (0, 0)
        if magic != _RECORDIO_MAGIC:
            raise SplitError("The file isn't RecordIO: a record doesn't begin with its magic number")
        length = coded & _RECORDIO_LENGTH
        parts.append(header + _exactly(file, length + -length % 4))
        if coded >> 29 in _RECORDIO_ENDS:
            yield b"".join(parts)
            parts.clear()
    if parts:
        raise SplitError("The file ends within a record")


def _tfrecords(file: BinaryIO) -> Iterator[bytes]:
    """Yield records of length, its checksum, content, its checksum. The container checks the checksums."""
    while header := file.read(12):
        if len(header) < 12:
            raise SplitError("The file ends within a record")
        yield header + _exactly(file, struct.unpack("<Q", header[:8])[0] + 4)


def _exactly(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise SplitError("The file ends within a record")
    return content

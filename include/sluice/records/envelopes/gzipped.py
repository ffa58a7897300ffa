"""Gzip, unpacked within bounds (https://www.rfc-editor.org/rfc/rfc1952)."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import MOST_BYTES, Fault, Inner, Opener

_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS  # zlib's number for a gzip header and trailer


class GzipOpener(Opener):
    """Returns what was packed."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        return (Inner(inflated(content)),)


def inflated(content: bytes) -> bytes:
    """Unpack gzip, which may be in base64. No more than the bound is ever unpacked, whatever the content says.

    Args:
        content: One or more gzip members.

    Raises:
        Fault: it is no gzip, is damaged, or holds more than :data:`~sluice.records.envelopes.MOST_BYTES`.
    """
    left, found = content if content.startswith(_MAGIC) else _from_base64(content), bytearray()
    while left:
        member = zlib.decompressobj(_GZIP)
        try:
            found += member.decompress(left, MOST_BYTES + 1 - len(found))
        except zlib.error as error:
            raise Fault("gzip: damaged") from error
        if len(found) > MOST_BYTES or member.unconsumed_tail:
            raise Fault("gzip: too_large")
        if not member.eof:
            raise Fault("gzip: truncated")
        left = member.unused_data.lstrip(b"\0")  # gzip's tools fill up with zeros
    return bytes(found)


def _from_base64(content: bytes) -> bytes:
    try:
        packed = b64decode(content.strip(), validate=True)
    except ValueError as error:
        raise Fault("gzip: not_gzip") from error
    if not packed.startswith(_MAGIC):
        raise Fault("gzip: not_gzip")
    return packed

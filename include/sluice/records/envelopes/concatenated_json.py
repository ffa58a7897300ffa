"""JSON objects without a separator, as Firehose and other agents join them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from typing_extensions import override

from sluice.records.envelopes import Inner, Opener

# A text, to its end or to that of the content, or a brace outside of texts. It never goes back over what it has seen.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}]', re.DOTALL)
_BLANKS = b" \t\r\n"


class ConcatenatedJsonOpener(Opener):
    """Returns the objects, and what is between them."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        return (Inner(piece) for each in _pieces(content) if (piece := each.strip(_BLANKS)))


def _pieces(content: bytes) -> Iterator[bytes]:
    """Split after each brace that closes an object, and before each that opens one.

    The objects are not parsed. So one that is no JSON does not spoil those after it, if its braces match.
    """
    begin, depth = 0, 0
    for token in _TOKEN.finditer(content):
        if token[0] == b"{":
            if depth == 0:
                yield content[begin : token.start()]
                begin = token.start()
            depth += 1
        elif token[0] == b"}" and depth:
            depth -= 1
            if depth == 0:
                yield content[begin : token.end()]
                begin = token.end()
    yield content[begin:]

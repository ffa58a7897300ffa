"""Lines of JSON (https://github.com/ndjson/ndjson-spec)."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import Inner, Opener

_BLANKS = b" \t\r"


class NdjsonOpener(Opener):
    """Returns the lines that are not blank."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        return (Inner(line) for each in content.split(b"\n") if (line := each.strip(_BLANKS)))

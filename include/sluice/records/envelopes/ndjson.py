"""Lines of JSON (https://github.com/ndjson/ndjson-spec)."""

from __future__ import annotations

from collections.abc import Iterable

from sluice.declaration.envelopes import Ndjson
from sluice.records.envelopes import Inner
from sluice.records.payloads import Payloads

_BLANKS = b" \t\r"


def unwrap(content: bytes, envelope: Ndjson, payloads: Payloads) -> Iterable[Inner]:
    """Return the lines that are not blank, as :class:`~sluice.records.envelopes.Unwrap` says."""
    return (Inner(line) for each in content.split(b"\n") if (line := each.strip(_BLANKS)))

"""Events of EventBridge (EventBridge user guide, "AWS service event metadata")."""

from __future__ import annotations

from collections.abc import Iterable

from sluice.declaration.envelopes import EventBridge
from sluice.records.envelopes import Fault, Inner
from sluice.records.envelopes.members import written_members
from sluice.records.payloads import Payloads


def unwrap(content: bytes, envelope: EventBridge, payloads: Payloads) -> Iterable[Inner]:
    """Return the ``detail`` of an event, as :class:`~sluice.records.envelopes.Unwrap` says."""
    detail = written_members(content).get("detail")
    if detail is None:
        raise Fault("envelope: no_detail")
    return (Inner(detail.encode()),)

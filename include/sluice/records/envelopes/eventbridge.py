"""Events of EventBridge (EventBridge user guide, "AWS service event metadata")."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import Fault, Inner, Opener
from sluice.records.envelopes.members import written_members


class EventBridgeOpener(Opener):
    """Returns the ``detail`` of an event."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        detail = written_members(content).get("detail")
        if detail is None:
            raise Fault("envelope: no_detail")
        return (Inner(detail.encode()),)

"""What CloudWatch Logs sends (CloudWatch Logs user guide, "Log group-level subscription filters")."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from sluice.records.envelopes import Fault, Inner, Opener, encoded, parse_object
from sluice.records.envelopes.gzipped import inflated
from sluice.records.record import CONTROL


class CloudWatchLogsOpener(Opener):
    """Returns the messages of the log events.

    A control message, by which the service checks that the target can be reached, holds none.
    """

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        members = parse_object(inflated(content))
        if members.get("messageType") == "CONTROL_MESSAGE":
            raise Fault(CONTROL)
        events = members.get("logEvents")
        if not isinstance(events, list):
            raise Fault("envelope: no_logEvents")
        return map(_message, events)


def _message(event: Any) -> Inner:
    try:
        return Inner(encoded(event["message"]))
    except (KeyError, TypeError, AttributeError, Fault):
        return Inner(json.dumps(event).encode(), "envelope: no_message")

"""Notifications of S3 (S3 user guide, "Event message structure")."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from typing_extensions import override

from sluice.records.envelopes import Fault, Inner, Opener, parse_object
from sluice.records.record import CONTROL


class S3NotificationOpener(Opener):
    """Returns the records of a notification.

    The test event that S3 sends when notifications are set up holds none.
    """

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        members = parse_object(content)
        if members.get("Event") == "s3:TestEvent":
            raise Fault(CONTROL)
        records = members.get("Records")
        if not isinstance(records, list):
            raise Fault("envelope: no_Records")
        return [_with_decoded_key(record) for record in records]


def _with_decoded_key(record: Any) -> Inner:
    """Return a record with the key as the object has it: S3 encodes it as in a query, a blank as a plus."""
    try:
        stored = record["s3"]["object"]
        stored["key"] = unquote_plus(stored["key"], errors="strict")
        fault = None
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        fault = "envelope: no_key"
    return Inner(json.dumps(record).encode(), fault)

"""Notifications of SNS (SNS developer guide, "Parsing Amazon SNS message formats")."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import Fault, Inner, Opener, encoded, parse_object
from sluice.records.record import CONTROL

_ABOUT_THE_SUBSCRIPTION = {"SubscriptionConfirmation", "UnsubscribeConfirmation"}


class SnsOpener(Opener):
    """Returns the ``Message`` of a notification."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        members = parse_object(content)
        if members.get("Type") in _ABOUT_THE_SUBSCRIPTION:
            raise Fault(CONTROL)
        message = members.get("Message")
        if not isinstance(message, str):
            raise Fault("envelope: no_Message")
        return (Inner(encoded(message)),)

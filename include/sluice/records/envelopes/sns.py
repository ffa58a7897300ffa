"""Notifications of SNS (SNS developer guide, "Parsing Amazon SNS message formats")."""

from __future__ import annotations

from collections.abc import Iterable

from sluice.declaration.envelopes import Sns
from sluice.records.envelopes import Fault, Inner, encoded, parse_object
from sluice.records.payloads import Payloads
from sluice.records.record import CONTROL

_ABOUT_THE_SUBSCRIPTION = {"SubscriptionConfirmation", "UnsubscribeConfirmation"}


def unwrap(content: bytes, envelope: Sns, payloads: Payloads) -> Iterable[Inner]:
    """Return the ``Message`` of a notification, as :class:`~sluice.records.envelopes.Unwrap` says."""
    members = parse_object(content)
    if members.get("Type") in _ABOUT_THE_SUBSCRIPTION:
        raise Fault(CONTROL)
    message = members.get("Message")
    if not isinstance(message, str):
        raise Fault("envelope: no_Message")
    return (Inner(encoded(message)),)

"""Envelopes and encodings: what services and producers wrap around events. Each module takes one kind off."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from sluice.records.payloads import Payloads

MOST_BYTES = 16 * 1024 * 1024  # of all events in a message, and of what an encoding unpacks to
MOST_EVENTS = 50_000  # in a message


class Inner(NamedTuple):
    """What one envelope holds.

    Attributes:
        content: An event, or the next envelope.
        fault: Why it can't be read, though its neighbours can; None if nothing is wrong.
        group: Its group, if the envelope names one.
    """

    content: bytes
    fault: str | None = None
    group: str | None = None


class Fault(Exception):
    """An envelope can't be taken off. Its text is the reason, as ``conform`` gives it."""


class Opener(ABC):
    """Takes one kind of envelope off.

    Args:
        envelope: What the user has declared.
        payloads: Reads payloads from S3.
    """

    def __init__(self, envelope: Any, payloads: Payloads) -> None:
        self.envelope, self.payloads = envelope, payloads

    @abstractmethod
    def open(self, content: bytes) -> Iterable[Inner]:
        """Return what an envelope holds, in order.

        Args:
            content: The envelope.

        Raises:
            Fault: it is no such envelope, or holds no event. It is raised by the call, before anything is returned.
        """


def parse_object(content: bytes) -> dict[str, Any]:
    """Parse an envelope that is a JSON object.

    Raises:
        Fault: it is none.
    """
    try:
        members = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise Fault("envelope: not_json") from error
    if not isinstance(members, dict):
        raise Fault("envelope: no_object")
    return members


def encoded(text: str) -> bytes:
    """Encode a text that JSON has named.

    Raises:
        Fault: it has half a surrogate pair, which UTF-8 can't encode.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Fault("envelope: half_a_surrogate") from error

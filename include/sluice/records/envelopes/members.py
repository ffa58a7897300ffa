"""Takes members out of a JSON object as they are written: parsing and writing again would change numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sluice.records.envelopes import Fault

# Nothing is made of the numbers, so none is too long.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_BLANKS = re.compile(r"[ \t\r\n]*")


def written_members(content: bytes) -> Mapping[str, str]:
    """Return the members of a JSON object, each as its JSON text. Of equal names the last one counts.

    Args:
        content: The object, in UTF-8.

    Raises:
        Fault: it is no JSON object.
    """
    try:
        return _members(content.decode())
    except (ValueError, RecursionError, IndexError) as error:
        raise Fault("envelope: not_json") from error


def _members(text: str) -> Mapping[str, str]:
    members: dict[str, str] = {}
    place = _after(text, _blank(text, 0), "{")
    while text[place] != "}":
        if members:
            place = _after(text, place, ",")
        name, place = _DECODER.raw_decode(text, place)
        begin = _after(text, _blank(text, place), ":")
        _, end = _DECODER.raw_decode(text, begin)
        if not isinstance(name, str):
            raise ValueError(f"the name of a member at {place} is no text")
        members[name] = text[begin:end]
        place = _blank(text, end)
    if _blank(text, place + 1) != len(text):
        raise ValueError(f"more follows the object at {place}")
    return members


def _after(text: str, place: int, expected: str) -> int:
    """Return the place of what follows an expected character, and blanks after it."""
    if text[place] != expected:
        raise ValueError(f"{expected} expected at {place}")
    return _blank(text, place + 1)


def _blank(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found else place

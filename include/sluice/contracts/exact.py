"""Keeps every digit of a number with a fraction, which JSON parsers read as a double.

Such numbers are marked text while pydantic parses the body, and become numbers again where a member takes one.
"""

from __future__ import annotations

import json
from typing import Any

_MARK = "\ue000number:"  # the first character is for private use, so no text begins so


class Number(float):
    """A number of a JSON body, with the digits as they were written."""

    digits: str

    def __new__(cls, digits: str) -> Number:
        """Return the nearest double, which knows the digits."""
        number = super().__new__(cls, digits)
        number.digits = digits
        return number


def marked(body: str) -> str:
    """Return a body whose numbers with a fraction are marked; the same body if it is no JSON that Python reads."""
    try:
        return json.dumps(json.loads(body, parse_float=_MARK.__add__))
    except (ValueError, RecursionError):
        return body


def unmarked(value: Any) -> Any:
    """Return a value of a marked body, at any depth, with its numbers."""
    if isinstance(value, str) and is_marked(value):
        return Number(value.removeprefix(_MARK))
    if isinstance(value, list):
        return [unmarked(each) for each in value]
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items()}
    return value


def is_marked(value: Any) -> bool:
    """Whether text or bytes are a marked number."""
    mark = _MARK.encode() if isinstance(value, bytes) else _MARK
    return isinstance(value, str | bytes) and value.startswith(mark)  # type: ignore[arg-type]

"""Rules of hyperparameters: how a text is parsed, and the description of what is expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AUTO = "auto"


@dataclass(frozen=True)
class Rule:
    """The rule of one hyperparameter.

    Attributes:
        default: The default as text; None if there is none.
        read: Parses a text; raises ValueError if it isn't allowed.
        expected: The description of what is expected, for messages.
    """

    default: str | None
    read: Callable[[str], Any]
    expected: str


def choice(default: str | None, *values: str) -> Rule:
    """Return the rule for one of some words; ``default`` is None if there is none."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return Rule(default, read, f"accepts one of the following: {', '.join(f'{value!r}' for value in values)}")


def switch(default: str, *, auto: bool = False) -> Rule:
    """Return the rule for ``true`` or ``false`` in any case, and with ``auto`` for that word, which becomes None."""
    known: dict[str, bool | None] = {"true": True, "false": False} | ({AUTO: None} if auto else {})
    words = ", ".join(f"{word!r}" for word in sorted(known))

    def read(text: str) -> bool | None:
        if text.lower() not in known:
            raise ValueError(text)
        return known[text.lower()]

    return Rule(default, read, f"accepts one of the following: {words}")


def _without_underscores(text: str) -> str:
    """Refuse numbers such as ``1_000``, which Python parses and the service's patterns don't allow."""
    if "_" in text:
        raise ValueError(text)
    return text


def integer(default: str | None, low: int = 1, high: int | None = None, *, auto: bool = False) -> Rule:
    """Return the rule for an integer.

    Args:
        default: The default as text; None if there is none.
        low: The least integer.
        high: The largest integer; None if there is none.
        auto: Whether the word ``auto`` is allowed too, which becomes None.
    """

    def read(text: str) -> int | None:
        if auto and text == AUTO:
            return None
        value = int(_without_underscores(text))
        if value < low or (high is not None and value > high):
            raise ValueError(text)
        return value

    span = f"an integer between {low} and {high}" if high is not None else f"an integer of at least {low}"
    return Rule(default, read, _expects(span, *([AUTO] if auto else [])))


@dataclass(frozen=True)
class Interval:
    """A range of numbers, with its ends unless they are open; ``words`` describes it."""

    words: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below


ANY = Interval("a number")
POSITIVE = Interval("a number greater than 0", 0.0, low_open=True)
NOT_NEGATIVE = Interval("a number of at least 0", 0.0)
UNIT = Interval("a number between 0 and 1", 0.0, 1.0)
DECAY = Interval("a number from 0 to below 1", 0.0, 1.0, high_open=True)
FACTOR = Interval("a number above 0 and at most 1", 0.0, 1.0, low_open=True)
INSIDE = Interval("a number between 0 and 1, exclusive", 0.0, 1.0, low_open=True, high_open=True)


def number(default: str, interval: Interval, *words: str) -> Rule:
    """Return the rule for a number in a range.

    Args:
        default: The default as text.
        interval: The range.
        *words: Words that are allowed too. If ``auto`` is the only one, it becomes None.
    """

    def read(text: str) -> float | str | None:
        if text in words:
            return None if words == (AUTO,) else text
        value = float(_without_underscores(text))
        if not math.isfinite(value) or value not in interval:
            raise ValueError(text)
        return value

    return Rule(default, read, _expects(interval.words, *words))


def _expects(span: str, *words: str) -> str:
    if not words:
        return f"expects {span}"
    return f"expects one of the following: {'; or '.join([span, *(f'the string {word!r}' for word in words)])}"

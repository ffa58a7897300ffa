"""How the command line writes figures, times, prices and ranges for people."""

from __future__ import annotations

from datetime import datetime

from sluice.evaluation.verdict import shown

_LONGEST_RANGES = 200  # characters


def metric(value: float | None) -> str:
    """Return a metric, with the digits that a report has."""
    return "-" if value is None else shown(value)


def dollars(price: float | None) -> str:
    """Return a price in USD."""
    return "no price" if price is None else f"{price:.4f} $"


def figure(value: float | datetime | None) -> str:
    """Return a figure of a source: a number or a time."""
    if value is None:
        return "-"
    return moment(value) if isinstance(value, datetime) else f"{value:.0f}"


def moment(at: datetime | None) -> str:
    """Return a time (UTC), to the second."""
    return "-" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def ranges(text: str) -> str:
    """Return ranges of partitions with a space after each comma, where a line may break, cut after some of them."""
    if len(text) > _LONGEST_RANGES:
        text = f"{text[:_LONGEST_RANGES].rpartition(',')[0]},… ({text.count(',') + 1} ranges)"
    return text.replace(",", ", ")

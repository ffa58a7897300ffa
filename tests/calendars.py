"""Partitions of UTC, by their keys."""

from __future__ import annotations

from sluice.lake.partitions import Calendar, Partition, parse_ranges


def utc(key: str) -> Partition:
    """Return the hour or the day of a key."""
    return Partition.parse(key, Calendar("hour" if "/hour=" in key else "day"))


def utc_ranges(text: str) -> list[Partition]:
    """Return the hours or the days of ranges."""
    return parse_ranges(text, Calendar("hour" if "/hour=" in text else "day"))

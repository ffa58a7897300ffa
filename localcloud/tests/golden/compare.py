"""Compares answers with recorded ones by the format's rule for each field. A difference is one text."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from localcloud.sagemaker.algorithms.record_message import Record

# The tolerance of every "exact" number, for another build of the library or another CPU.
_SAME_NUMBER = 1e-5
_LAST_PLACE = 1.01e-5  # of a metric line's five decimals
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\bnan\b|\binf\b)", re.IGNORECASE)
_SHOWN_LINES = 12


def bodies(kind: str, tolerance: float | None, expected: bytes, seen: bytes, content_type: str) -> list[str]:
    """Compare the bodies of two answers that aren't errors."""
    if expected == seen:
        return []
    if "recordio" in content_type:
        return _texts(kind, tolerance, _readable(expected), _readable(seen))
    wanted, got = expected.decode(errors="backslashreplace"), seen.decode(errors="backslashreplace")
    if kind == "exact_any_order" and "json" in content_type:
        wanted, got = _sorted_json(wanted), _sorted_json(got)
    return _texts(kind, tolerance, wanted, got)


def lines(kind: str, tolerance: float | None, expected: list[str], seen: list[str]) -> list[str]:
    """Compare two lists of metric lines; each is a round, then ``name:value`` pairs, between TABs."""
    if kind == "exact_any_order":
        expected, seen = ([_sorted_pairs(line) for line in each] for each in (expected, seen))
    return _texts(kind, tolerance, "\n".join(expected), "\n".join(seen), slack=_LAST_PLACE)


def metrics(kind: str, tolerance: float | None, expected: Mapping[str, Any], seen: Mapping[str, float]) -> list[str]:
    """Compare metrics by name."""
    if expected.keys() != seen.keys():
        return [f"names {sorted(expected)} were expected, {sorted(seen)} seen"]
    return [
        f"{name}: {value} was expected, {seen[name]} seen"
        for name, value in expected.items()
        if kind != "shape" and not numbers(float(value), seen[name], tolerance, slack=_LAST_PLACE)
    ]


def salient(expected: str, seen: str) -> list[str]:
    """Look for the relevant part of an error's message, with any spacing."""
    if " ".join(expected.split()) in " ".join(seen.split()):
        return []
    return [f"{expected!r} isn't in {seen!r}"]


def equal(what: str, expected: Any, seen: Any) -> list[str]:
    return [] if expected == seen else [f"{what}: {expected!r} was expected, {seen!r} seen"]


def numbers(expected: float, seen: float, tolerance: float | None, *, slack: float = 0.0) -> bool:
    """Return whether two numbers are equal within a relative tolerance; ``slack`` is an absolute one."""
    if math.isnan(expected) or math.isnan(seen):
        return math.isnan(expected) and math.isnan(seen)
    return math.isclose(expected, seen, rel_tol=max(tolerance or 0.0, _SAME_NUMBER), abs_tol=slack)


def _texts(kind: str, tolerance: float | None, expected: str, seen: str, *, slack: float = 0.0) -> list[str]:
    """Compare two texts: their numbers within the tolerance of their kind, and the rest exactly."""
    same = _forms(expected) == _forms(seen) and (
        kind == "shape"
        or all(
            numbers(float(one), float(other), tolerance, slack=slack)
            for one, other in zip(_NUMBER.findall(expected), _NUMBER.findall(seen), strict=True)
        )
    )
    return [] if same else ["\n".join(_diff(expected.splitlines(), seen.splitlines()))]


def _forms(text: str) -> str:
    """Return the text with a sign in place of each number: one for integers, another for others."""
    return _NUMBER.sub(lambda number: "<int>" if number.group().lstrip("+-").isdecimal() else "<float>", text)


def _diff(expected: list[str], seen: list[str]) -> Iterable[str]:
    difference = list(difflib.unified_diff(expected, seen, "expected", "seen", lineterm="", n=1))
    yield from difference[:_SHOWN_LINES]
    if len(difference) > _SHOWN_LINES:
        yield f"… and {len(difference) - _SHOWN_LINES} more lines"


def _sorted_pairs(line: str) -> str:
    round_, *pairs = line.split("\t")
    return "\t".join([round_, *sorted(pairs)])


def _sorted_json(text: str) -> str:
    return "\n".join(json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines())


def _readable(buffer: bytes) -> str:
    """Return recordio-protobuf as text: one line for each record, with its entries by name."""
    lines = []
    while buffer:
        length = int.from_bytes(buffer[4:8], "little")
        record = Record.FromString(buffer[8 : 8 + length])
        lines.append(
            json.dumps({key: list(value.float32_tensor.values) for key, value in sorted(record.label.items())})
        )
        buffer = buffer[8 + length + -length % 4 :]
    return "\n".join(lines)

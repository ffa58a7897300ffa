"""Checks of the members of a declaration. They run whenever a value is made, so also when Airflow parses a DAG file.

Each error names the member and its right form in one line.
"""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluice.errors import DeclarationError

_HOUR = timedelta(hours=1)
LONGEST_JOB = timedelta(days=28)  # SageMaker API reference, StoppingCondition
LONGEST_APPROVAL = timedelta(days=28)
_UNITS = ("s", "ms", "us", "ns")


def check_tuple(where: str, member: str, value: object, kind: Any, example: str) -> None:
    """Require a tuple of at least one ``kind``. This finds a forgotten comma, and text in place of a tuple.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.
        kind: The type of each item, or a union of types.
        example: A right item, as the user would write it.

    Raises:
        DeclarationError: the value is not such a tuple.
    """
    if not isinstance(value, tuple) or not value or not all(isinstance(each, kind) for each in value):
        raise DeclarationError(f"{where}: {member}={value!r} must be a tuple; write it as {member}=({example},)")


def check_text(where: str, member: str, value: object, example: str) -> None:
    """Require text that is not empty.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.
        example: A right value.

    Raises:
        DeclarationError: the value is empty, or not text.
    """
    if not isinstance(value, str) or not value:
        raise DeclarationError(f"{where}: {member}={value!r} must be text; write it as {member}={example!r}")


def check_count(where: str, member: str, value: object, least: int, most: int) -> None:
    """Require a whole number from ``least`` to ``most``.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.
        least: The smallest number that is allowed.
        most: The largest number that is allowed.

    Raises:
        DeclarationError: the value is outside this range, or not a whole number.
    """
    if type(value) is not int or not least <= value <= most:
        raise DeclarationError(f"{where}: {member}={value!r} must be a whole number from {least:,} to {most:,}")


def check_share(where: str, member: str, value: object, *, below_one: bool = False) -> None:
    """Require a number from 0 to 1.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.
        below_one: Refuse 0 and 1 themselves.

    Raises:
        DeclarationError: the value is outside this range, or not a number.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not (0 < value < 1 if below_one else 0 <= value <= 1):  # type: ignore[operator]
        between = "between 0 and 1" if below_one else "from 0 to 1"
        raise DeclarationError(f"{where}: {member}={value!r} must be a number {between}, such as 0.15")


def check_number(where: str, member: str, value: object, least: float, most: float) -> None:
    """Require a number from ``least`` to ``most``.

    Args:
        where: The owner of the member, such as ``gate``.
        member: The name of the member.
        value: What the user declared.
        least: The smallest number that is allowed.
        most: The largest number that is allowed; infinity for no limit.

    Raises:
        DeclarationError: the value is outside this range, or not a finite number.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not good or not least <= value <= most:  # type: ignore[operator]
        raise DeclarationError(f"{where}: {member}={value!r} must be a number {_range(least, most)}")


def check_instance_type(where: str, instance_type: object) -> None:
    """Require the name of a SageMaker instance type.

    Args:
        where: The owner of the member, such as ``deployment``.
        instance_type: What the user declared.

    Raises:
        DeclarationError: the name does not begin with ``ml.``.
    """
    check_text(where, "instance_type", instance_type, "ml.m5.large")
    if not str(instance_type).startswith("ml."):
        raise DeclarationError(
            f"{where}: instance_type={instance_type!r} is none of SageMaker's; write it as 'ml.m5.large'"
        )


def _range(least: float, most: float) -> str:
    if isfinite(least) and isfinite(most):
        return f"from {least:g} to {most:g}"
    return f"of at least {least:g}" if isfinite(least) else f"of at most {most:g}"


def check_duration(
    where: str, member: str, value: object, least: timedelta, most: timedelta, unit: timedelta = timedelta(seconds=1)
) -> None:
    """Require a timedelta from ``least`` to ``most``, in whole units.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.
        least: The shortest duration that is allowed.
        most: The longest duration that is allowed.
        unit: One second or one hour; the value must be a multiple of it.

    Raises:
        DeclarationError: the value is outside this range, has a part of a unit, or is not a timedelta.
    """
    if not isinstance(value, timedelta) or not least <= value <= most or value % unit:
        raise DeclarationError(
            f"{where}: {member}={value!r} must be a timedelta from {_text(least)} to {_text(most)}, in whole "
            f"{'hours' if unit == _HOUR else 'seconds'}"
        )


def _text(duration: timedelta) -> str:
    hours = duration / _HOUR
    return f"{duration.total_seconds():g} seconds" if hours < 1 else f"{hours:g} hours"


def check_unit(where: str, member: str, value: object) -> None:
    """Require None or a unit of time since 1970.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.

    Raises:
        DeclarationError: the value is no such unit.
    """
    if value is not None and value not in _UNITS:
        raise DeclarationError(f"{where}: {member}={value!r} must be one of {', '.join(_UNITS)}, or None")


def check_zone(where: str, member: str, value: object) -> None:
    """Require None or the name of a time zone.

    Args:
        where: The owner of the member, such as ``source events``.
        member: The name of the member.
        value: What the user declared.

    Raises:
        DeclarationError: the value is no name of a time zone.
    """
    try:
        if value is not None:
            ZoneInfo(value)  # type: ignore[arg-type]
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:  # OSError: the name of a folder
        raise DeclarationError(
            f"{where}: {member}={value!r} must be the name of a time zone, such as 'Europe/Berlin', or None"
        ) from error

"""Checks of the members of a declaration. They run whenever a value is made, so also when Airflow parses a DAG file.

Each check raises DeclarationError with the member and its right form, in one line. ``where`` names the owner of the
member, such as ``source events``. ``example`` is a right value, as the user would write it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sluice.errors import DeclarationError

_HOUR = timedelta(hours=1)


def check_tuple(where: str, member: str, value: object, kind: Any, example: str) -> None:
    """Require a tuple of at least one ``kind``. It catches a tuple of one without its comma, and text as a tuple."""
    if not isinstance(value, tuple) or not value or not all(isinstance(each, kind) for each in value):
        raise DeclarationError(f"{where}: {member}={value!r} must be a tuple; write it as {member}=({example},)")


def check_text(where: str, member: str, value: object, example: str) -> None:
    """Require text that is not empty."""
    if not isinstance(value, str) or not value:
        raise DeclarationError(f"{where}: {member}={value!r} must be text; write it as {member}={example!r}")


def check_count(where: str, member: str, value: object, least: int, most: int) -> None:
    """Require a whole number from ``least`` to ``most``."""
    if type(value) is not int or not least <= value <= most:
        raise DeclarationError(f"{where}: {member}={value!r} must be a whole number from {least:,} to {most:,}")


def check_share(where: str, member: str, value: object, *, below_one: bool = False) -> None:
    """Require a number from 0 to 1; with ``below_one``, without 0 and 1 themselves."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not (0 < value < 1 if below_one else 0 <= value <= 1):  # type: ignore[operator]
        between = "between 0 and 1" if below_one else "from 0 to 1"
        raise DeclarationError(f"{where}: {member}={value!r} must be a number {between}, such as 0.15")


def check_duration(
    where: str, member: str, value: object, least: timedelta, most: timedelta, unit: timedelta = timedelta(seconds=1)
) -> None:
    """Require a timedelta from ``least`` to ``most``, in whole units."""
    if not isinstance(value, timedelta) or not least <= value <= most or value % unit:
        raise DeclarationError(
            f"{where}: {member}={value!r} must be a timedelta from {_text(least)} to {_text(most)}, in whole "
            f"{'hours' if unit == _HOUR else 'seconds'}"
        )


def _text(duration: timedelta) -> str:
    hours = duration / _HOUR
    return f"{duration.total_seconds():g} seconds" if hours < 1 else f"{hours:g} hours"

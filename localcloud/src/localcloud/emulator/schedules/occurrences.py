"""When a schedule is due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ministack.services import eventbridge

_ONCE = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")


class ExpressionError(ValueError):
    """An expression or a time zone that Scheduler doesn't know; the message says which."""


def check(expression: str, timezone: str) -> None:
    """Refuse an expression that no time fits.

    Args:
        expression: The ScheduleExpression.
        timezone: The name of a time zone.

    Raises:
        ExpressionError: It is none, or the time zone doesn't exist.
    """
    latest(expression, timezone, datetime.now(UTC), datetime.now(UTC), datetime.now(UTC))


def last_due(schedule: Mapping[str, Any], after: datetime, until: datetime) -> datetime | None:
    """Return the last time within a period at which a schedule is due; None if there is none.

    Args:
        schedule: The emulator's record of it.
        after: The start of the period, which is not part of it.
        until: The end of the period, which is part of it.
    """
    if schedule["State"] != "ENABLED":
        return None
    starts, ends = _time(schedule.get("StartDate")), _time(schedule.get("EndDate"))
    created = datetime.fromtimestamp(schedule["CreationDate"], UTC)
    due = latest(
        schedule["ScheduleExpression"],
        schedule.get("ScheduleExpressionTimezone") or "UTC",
        starts or created,
        after,
        until,
    )
    is_within = due is not None and (starts is None or due >= starts) and (ends is None or due <= ends)
    return due if is_within else None


def latest(expression: str, timezone: str, anchor: datetime, after: datetime, until: datetime) -> datetime | None:
    """Return the last time after ``after`` and not after ``until`` that fits an expression; None if there is none.

    Args:
        expression: Such as ``rate(5 minutes)``, ``cron(0 9 * * ? *)`` or ``at(2026-01-31T09:00:00)``.
        timezone: The name of the time zone of ``cron`` and ``at``.
        anchor: From when on a rate counts.
        after: The start of the period.
        until: The end of the period.

    Raises:
        ExpressionError: The expression is none, or the time zone doesn't exist.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ExpressionError(f"Invalid Schedule Expression Timezone {timezone}.") from error
    if (seconds := eventbridge._parse_rate_seconds(expression)) is not None and seconds > 0:
        count = (until - anchor) // timedelta(seconds=seconds)
        due = anchor + count * timedelta(seconds=seconds)
        return due if count > 0 and due > after else None
    if once := _ONCE.fullmatch(expression):
        due = datetime.fromisoformat(once[1]).replace(tzinfo=zone)
        return due if after < due <= until else None
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        raise ExpressionError(f"Invalid Schedule Expression {expression}.")
    found = None
    following = eventbridge._cron_next_fire(fields, after.astimezone(zone))
    while following is not None and following <= until:
        found = following
        following = eventbridge._cron_next_fire(fields, following)
    return found


def is_over(schedule: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a schedule will not be due any more."""
    once, ends = _ONCE.fullmatch(schedule["ScheduleExpression"]), _time(schedule.get("EndDate"))
    if once:
        zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
        return datetime.fromisoformat(once[1]).replace(tzinfo=zone) <= now
    return ends is not None and ends < now


def _time(value: Any) -> datetime | None:
    """Return a date of a schedule, which a request has as seconds since the epoch, and a template as text."""
    if value is None:
        return None
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return datetime.fromtimestamp(value, UTC)

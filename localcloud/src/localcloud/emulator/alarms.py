"""Metric alarms that evaluate themselves, by the metric that they watch.

Restores: an alarm watches one metric with its dimensions over N periods, and its state may change without new data. The
released emulator looks at an alarm only when metric data arrives, mixes the data of all dimensions, and supports
neither several datapoints nor missing ones. Here :mod:`localcloud.emulator.alarm_states` evaluates an alarm when data
arrives and once a second, over periods that end now: sooner than CloudWatch, which does it once a minute.

Source: Amazon CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from localcloud.emulator.alarm_states import Rule, is_known

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_EVICTIONS = 60.0

_tickers: dict[tuple[str, str], asyncio.Task[None]] = {}  # by account and region
_held_until: dict[str, float] = {}  # by the alarm's ARN, on the monotonic clock


class Alarm(TypedDict):
    """A metric alarm of the emulator's, of which these members are used. Composite ones lack most of them."""

    AlarmName: str
    AlarmArn: str
    MetricName: NotRequired[str]
    Namespace: str
    Dimensions: NotRequired[list[dict[str, str]]]
    Statistic: NotRequired[str]
    ExtendedStatistic: NotRequired[str]
    Unit: NotRequired[str]
    Period: int
    EvaluationPeriods: int
    DatapointsToAlarm: NotRequired[int]
    Threshold: float
    ComparisonOperator: NotRequired[str]
    TreatMissingData: NotRequired[str]
    StateValue: str
    StateReason: str
    StateUpdatedTimestamp: int


class Point(TypedDict):
    """Data of a metric at one time, in seconds since the epoch."""

    Timestamp: float
    Unit: str


def install() -> None:
    """Replace the emulator's functions. All of them run on its one event loop."""
    cloudwatch._evaluate_alarm = evaluate
    cloudwatch._store_datum = _in_order_of_time(cloudwatch._store_datum)
    cloudwatch._evict_old_metrics = _once_a_minute(cloudwatch._evict_old_metrics)
    cloudwatch._set_alarm_state = _holding(cloudwatch._set_alarm_state)
    cloudwatch.handle_request = _ticking(cloudwatch.handle_request)


def evaluate(alarm: Alarm) -> None:
    """Bring the alarm to the state of its metric; a change is recorded and starts the alarm's actions."""
    if not alarm.get("MetricName") or not is_known(alarm.get("ComparisonOperator")):
        return
    if time.monotonic() < _held_until.get(alarm["AlarmArn"], 0.0):
        return
    periods = alarm["EvaluationPeriods"]
    rule = Rule(
        comparison=alarm["ComparisonOperator"],
        threshold=alarm["Threshold"],
        evaluation_periods=periods,
        datapoints_to_alarm=alarm.get("DatapointsToAlarm") or periods,
        missing=alarm.get("TreatMissingData") or "missing",
    )
    datapoints = _datapoints(alarm, rule.periods)
    before, state = alarm["StateValue"], rule.state(datapoints, alarm["StateValue"])
    if state == before:
        return
    reason = rule.reason(state, datapoints)
    alarm.update({"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(time.time())})
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _datapoints(alarm: Alarm, count: int) -> list[float | None]:
    """Return the alarm's statistic of each of the last periods, the newest first; None for a period without data."""
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
    points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or []
    now, period = time.time(), alarm["Period"]
    periods: list[list[Point]] = [[] for _ in range(count)]
    for point in points[bisect_left(points, now - period * count, key=_timestamp) :]:
        age = max(0, int((now - point["Timestamp"]) // period))
        if age < count and alarm.get("Unit") in (None, point["Unit"]):
            periods[age].append(point)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    return [cloudwatch._stat_value(cloudwatch._calc_stats(each), statistic, each) if each else None for each in periods]


def _in_order_of_time(store: Callable[..., None]) -> Callable[..., None]:
    """Keep the data sorted by time when some arrives late, so that the newest is found without a search."""

    def call(namespace: str, name: str, dimensions: dict[str, str], *datum: Any) -> None:
        points = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dimensions)))
        before = len(points)
        store(namespace, name, dimensions, *datum)
        if before and points[-1]["Timestamp"] < points[before - 1]["Timestamp"]:
            points.sort(key=_timestamp)

    return call


def _timestamp(point: Point) -> float:
    return point["Timestamp"]


def _once_a_minute(evict: Callable[[], None]) -> Callable[[], None]:
    """Drop data of two weeks ago once a minute, as it takes a search of all data, not with each request."""
    evicted: dict[tuple[str, str], float] = {}

    def call() -> None:
        scope, now = _scope(), time.monotonic()
        if now - evicted.get(scope, -_SECONDS_BETWEEN_EVICTIONS) >= _SECONDS_BETWEEN_EVICTIONS:
            evicted[scope] = now
            evict()

    return call


def _holding(set_alarm_state: Callable[..., Any]) -> Callable[..., Any]:
    """Hold a state that is set by hand until CloudWatch would evaluate the alarm again."""

    def call(params: dict[str, Any], data: dict[str, Any], *protocol: bool) -> Any:
        alarm = cloudwatch._alarms.get(data.get("AlarmName") or cloudwatch._p(params, "AlarmName"))
        if alarm is not None:
            seconds = 60.0 if alarm["Period"] >= 60 else 10.0  # high-resolution alarms are evaluated more often
            _held_until[alarm["AlarmArn"]] = time.monotonic() + seconds
        return set_alarm_state(params, data, *protocol)

    return call


def _ticking(handle_request: Callable[..., Any]) -> Callable[..., Any]:
    """Start the evaluation of an account's alarms in a region at its first request to CloudWatch."""

    async def call(*request: Any) -> Any:
        scope = _scope()
        if scope not in _tickers:
            _tickers[scope] = asyncio.create_task(_tick())  # the task keeps this request's account and region
        return await handle_request(*request)

    return call


async def _tick() -> None:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        cloudwatch._evaluate_all_alarms()


def _scope() -> tuple[str, str]:
    return get_account_id(), get_region()

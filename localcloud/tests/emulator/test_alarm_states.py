"""The state of an alarm with missing data: the tables of the CloudWatch User Guide, row by row."""

from __future__ import annotations

import pytest

from localcloud.emulator.alarm_states import Rule

# The newest five datapoints, the oldest first: 0 doesn't breach, X does, - is missing. Then the state where missing
# data is treated as missing, ignore, breaching and notBreaching; the current state is "now".
_THREE_OUT_OF_THREE = {
    "0-X-X": ("OK", "OK", "OK", "OK"),
    "0----": ("OK", "OK", "OK", "OK"),
    "-----": ("INSUFFICIENT_DATA", "now", "ALARM", "OK"),
    "0XX-X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "----X": ("INSUFFICIENT_DATA", "now", "ALARM", "OK"),
    "X----": ("ALARM", "now", "ALARM", "OK"),
}
_TWO_OUT_OF_THREE = {
    "0-X-X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "00X0X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0-X--": ("OK", "OK", "ALARM", "OK"),
    "----0": ("OK", "OK", "ALARM", "OK"),
    "----X": ("INSUFFICIENT_DATA", "now", "ALARM", "OK"),
}


def rule(missing: str, datapoints_to_alarm: int, evaluation_periods: int = 3) -> Rule:
    return Rule("GreaterThanThreshold", 1.0, evaluation_periods, datapoints_to_alarm, missing)


def values(row: str) -> list[float | None]:
    """Return the values of a row of a table, the newest first."""
    return [{"0": 1.0, "X": 2.0, "-": None}[each] for each in reversed(row)]


@pytest.mark.parametrize(
    ("datapoints_to_alarm", "row", "expected"),
    [
        *((3, row, states) for row, states in _THREE_OUT_OF_THREE.items()),
        *((2, row, states) for row, states in _TWO_OUT_OF_THREE.items()),
    ],
)
def test_an_alarm_has_the_states_of_the_guides_tables(
    datapoints_to_alarm: int, row: str, expected: tuple[str, ...]
) -> None:
    treatments = ("missing", "ignore", "breaching", "notBreaching")
    assert rule("missing", 3).periods == len(row)
    assert tuple(rule(each, datapoints_to_alarm).state(values(row), "now") for each in treatments) == expected


@pytest.mark.parametrize(
    ("comparison", "states"),
    [
        ("GreaterThanOrEqualToThreshold", "OK ALARM ALARM"),
        ("GreaterThanThreshold", "OK OK ALARM"),
        ("LessThanThreshold", "ALARM OK OK"),
        ("LessThanOrEqualToThreshold", "ALARM ALARM OK"),
    ],
)
def test_each_comparison_has_its_states(comparison: str, states: str) -> None:
    alarm = Rule(comparison, 1.0, 1, 1, "missing")
    assert " ".join(alarm.state([value], "now") for value in (0.5, 1.0, 1.5)) == states


def test_the_reasons_are_worded_as_in_cloudwatch() -> None:
    alarm = rule("missing", 1, evaluation_periods=2)
    assert alarm.reason("ALARM", [2.0, 0.5]) == (
        "Threshold Crossed: 1 out of the last 2 datapoints [2.0] was greater than the threshold (1.0) "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert alarm.reason("OK", [1.0, 0.5]) == (
        "Threshold Crossed: 2 datapoints [1.0, 0.5] were not greater than the threshold (1.0)."
    )
    assert alarm.reason("INSUFFICIENT_DATA", [None, None]) == "Insufficient Data: 2 datapoints were unknown."
    assert rule("breaching", 1, 1).reason("ALARM", [None]) == (
        "Threshold Crossed: no datapoints were received for 1 period "
        "and 1 missing datapoint was treated as [Breaching]."
    )

"""What a plan says of its partitions is short, however many only follow, and hides none that was asked for."""

from __future__ import annotations

from tests.calendars import utc
from tests.sluice.toy import TOY

from sluice.lake.partitions import Partition, parse_ranges
from sluice.steps.plan import Plan
from sluice.steps.planned import Planned

FIRST = utc("dt=2013-01-01")


def planned(day: int, *, follows: bool) -> Planned:
    return Planned(FIRST.shift(day), {}, {}, None, "code", follows=follows)


def ranges_of(plan: Plan) -> list[Partition]:
    return parse_ranges(plan.ranges, FIRST.calendar)


def test_ranges_of_a_sparse_history_are_short_and_hide_nothing_that_was_asked_for() -> None:
    asked = [planned(day, follows=False) for day in (2, 3)]
    following = [planned(day, follows=True) for day in (0, *range(10, 3000, 2))]
    plan = Plan(TOY.steps[1], "code", [following[0], *asked, *following[1:]], held_back=[planned(4, follows=False)])

    assert len(plan.ranges) < 4000
    assert {each.partition for each in plan.planned} <= set(ranges_of(plan))
    assert [FIRST.shift(day) in ranges_of(plan) for day in (1, 4)] == [False, False]


def test_ranges_that_follow_are_exact_if_they_are_few() -> None:
    plan = Plan(TOY.steps[1], "code", [planned(day, follows=day > 1) for day in (0, 1, 2, 3, 7)])

    assert plan.ranges.replace("dt=2013-01-", "") == "01..02,03..04,08"

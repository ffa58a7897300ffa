"""What a transform still waits for, source by source."""

from __future__ import annotations

from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.toy import EVENTS, TOY, message

from sluice.lake import Lake
from sluice.landing.completeness import incomplete


def test_each_source_is_complete_by_its_own_rule(lake: Lake) -> None:
    """A queue's partition by its closed manifest, a drop by its marker; an open manifest is not enough."""
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")], state="open")
    put_raw(lake, EVENTS, "2013-01-02", [message("{}")], state="closed")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")
    lake.put("drops/weather/dt=2013-01-02/day.csv", b"x\n")
    days = [partition(f"2013-01-0{day}") for day in (1, 2, 3)]

    assert incomplete(lake, TOY, days) == [
        "events/dt=2013-01-01",
        "events/dt=2013-01-03",
        "weather/dt=2013-01-02",
        "weather/dt=2013-01-03",
    ]


def test_nothing_is_left_once_all_are_complete(lake: Lake) -> None:
    put_raw(lake, EVENTS, "2013-01-01", state="closed")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")

    assert incomplete(lake, TOY, [partition("2013-01-01")]) == []
    assert incomplete(lake, TOY, []) == []

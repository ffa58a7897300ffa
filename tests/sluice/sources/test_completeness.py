"""What is not complete yet in each source, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.draining import ALL_LANDED, workspace_of
from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.toy import EVENTS, TOY, message, toy

from sluice.declaration.steps import Input, Step
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.landing.closing import close_source
from sluice.sources.completeness import Incomplete, can_begin, describe, incomplete

DAYS = [partition(f"2013-01-0{day}") for day in (1, 2, 3)]


def test_each_source_is_complete_by_its_own_rule(lake: Lake) -> None:
    """A queue's partition by its closed manifest, a drop by its marker; an open manifest is not enough."""
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")], state="open")
    put_raw(lake, EVENTS, "2013-01-02", [message("{}")], state="closed")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")
    lake.put("drops/weather/dt=2013-01-02/day.csv", b"x\n")

    found = incomplete(workspace_of(lake, TOY), DAYS)

    assert [(each.source, each.partition.key) for each in found] == [
        ("events", "dt=2013-01-01"),
        ("events", "dt=2013-01-03"),
        ("weather", "dt=2013-01-02"),
        ("weather", "dt=2013-01-03"),
    ]
    assert describe(TOY, found) == (
        "toy/events dt=2013-01-03: no event has arrived in it, and nothing proves yet that none will; "
        "toy/events dt=2013-01-01: still open, because events of that time may still arrive; "
        "toy/weather dt=2013-01-02..dt=2013-01-03: no _SUCCESS under drops/weather/dt=…/"
    )


def test_one_partition_is_described_with_its_own_folder(lake: Lake) -> None:
    put_raw(lake, EVENTS, "2013-01-01")

    assert describe(TOY, incomplete(workspace_of(lake, TOY), DAYS[:1])) == (
        "toy/weather dt=2013-01-01: no _SUCCESS under drops/weather/dt=2013-01-01/"
    )


def test_many_partitions_take_one_short_line(lake: Lake) -> None:
    every_other = [partition("2013-01-01").shift(2 * n) for n in range(200)]

    described = describe(TOY, incomplete(workspace_of(lake, TOY), every_other))

    assert len(described) < 700
    assert "(200 partitions)" in described


def test_nothing_is_incomplete_once_all_sources_are_complete(lake: Lake) -> None:
    put_raw(lake, EVENTS, "2013-01-01", state="closed")
    lake.put("drops/weather/dt=2013-01-01/_SUCCESS", b"")

    assert incomplete(workspace_of(lake, TOY), [partition("2013-01-01")]) == []
    assert incomplete(workspace_of(lake, TOY), []) == []


def test_partitions_are_empty_by_rule_only_once_the_evidence_is_there(lake: Lake) -> None:
    """Days before the first event hold nothing by rule; but an older event may still wait."""
    put_raw(lake, EVENTS, "2013-01-02", [message("{}")], state="open")

    def waited_for() -> list[Partition]:
        return [each.partition for each in incomplete(workspace_of(lake, TOY), DAYS) if each.source == "events"]

    assert waited_for() == DAYS
    close_source(replace(lake, now=lambda: DAYS[1].end), TOY, EVENTS, ALL_LANDED)
    assert waited_for() == DAYS[1:]
    close_source(replace(lake, now=lambda: DAYS[1].end + EVENTS.lateness), TOY, EVENTS, ALL_LANDED)
    assert waited_for() == DAYS[2:]


@pytest.mark.parametrize(
    ("missing", "begins"), [(["weather"], True), (["events"], False), (["weather", "events"], False), ([], True)]
)
def test_run_begins_if_a_step_has_all_that_it_reads(missing: list[str], begins: bool) -> None:
    joined = Step("joined", run="steps:joined", reads=(Input("conform"), Input("weather")))
    pipeline = toy(steps=(TOY.step("conform"), joined), training=None, deployment=None)
    lacks = [Incomplete(source, "gone", DAYS[0]) for source in missing]

    assert can_begin(pipeline, DAYS[0], [*lacks, Incomplete("events", "gone", DAYS[0].shift(1))]) is begins
    assert pipeline.sources_of == {"conform": {"events"}, "joined": {"events", "weather"}}

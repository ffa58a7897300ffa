"""Which partitions the transform has to run for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tests.draining import ALL_LANDED, workspace_of
from tests.sluice.lake_contents import keys_below, partition, put_raw
from tests.sluice.toy import DROPS, EVENTS, TOY, message, toy

from sluice.declaration.steps import Input, Step
from sluice.lake.partitions import Partition, between
from sluice.lake.store import Lake
from sluice.landing.closing import Observed, close_source
from sluice.sources.completeness import Incomplete, incomplete
from sluice.sources.drops.land import land_drops
from sluice.sources.due import due_partitions, record_held_back, record_started

DAYS = [partition(f"2013-01-0{day}") for day in range(1, 8)]


def arrive(lake: Lake, *days: Partition, state: str = "closed") -> None:
    for day in days:
        put_raw(lake, EVENTS, day.key.removeprefix("dt="), [message("{}")], state=state)


def drop(lake: Lake, *days: Partition, content: bytes = b"x\n") -> None:
    for day in days:
        lake.put(f"drops/weather/{day.key}/day.csv", content)
        lake.put(f"drops/weather/{day.key}/_SUCCESS", b"")


def ready(lake: Lake, most: int = 100) -> list[Partition]:
    return list(due_partitions(workspace_of(lake, TOY), most).ready)


def test_partition_is_due_once_a_step_can_run_and_one_that_lacks_nothing_comes_first(lake: Lake) -> None:
    arrive(lake, *DAYS[:5])
    arrive(lake, DAYS[5], state="open")
    drop(lake, DAYS[0], DAYS[2], DAYS[4], DAYS[5], DAYS[6])

    due = due_partitions(workspace_of(lake, TOY), 100)

    assert due.ready == (DAYS[0], DAYS[2], DAYS[4], DAYS[1], DAYS[3])
    assert due.next == (DAYS[0], DAYS[2], DAYS[4])
    assert [(each.source, each.partition) for each in sorted(due.waiting)] == [
        ("events", DAYS[6]),
        ("events", DAYS[5]),
        ("weather", DAYS[1]),
        ("weather", DAYS[3]),
    ]


def test_partitions_that_lack_a_drop_are_next_once_no_others_are_due(lake: Lake) -> None:
    arrive(lake, *DAYS[:3])
    drop(lake, DAYS[1])
    record_started(workspace_of(lake, TOY), [DAYS[1]], "run")

    assert due_partitions(workspace_of(lake, TOY), 100).next == (DAYS[0], DAYS[2])


def test_empty_lake_has_nothing_due_and_nothing_to_wait_for(lake: Lake) -> None:
    assert due_partitions(workspace_of(lake, TOY), 100) == due_partitions(workspace_of(lake, TOY), 0)
    assert due_partitions(workspace_of(lake, TOY), 100).waiting == ()


def test_partition_that_a_run_has_begun_on_is_due_again_when_a_source_changes(lake: Lake) -> None:
    arrive(lake, *DAYS[:3])
    drop(lake, *DAYS[:3])
    record_started(workspace_of(lake, TOY), DAYS[:2], "run")
    assert ready(lake) == [DAYS[2]]

    record_started(workspace_of(lake, TOY), DAYS[2:3], "run")
    assert ready(lake) == []

    put_raw(lake, EVENTS, "2013-01-01", [message("{}")], [message("{}", 2)])
    drop(lake, DAYS[1], content=b"y\n")
    assert ready(lake) == DAYS[:2]


def test_change_during_a_run_is_due_after_it(lake: Lake) -> None:
    """The record is what the run began on, not what exists when it ends."""
    arrive(lake, DAYS[0])
    drop(lake, DAYS[0])
    record_started(workspace_of(lake, TOY), DAYS[:1], "run")
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")], [message("{}", 2)])

    assert ready(lake) == [DAYS[0]]


def test_recording_one_by_one_equals_recording_all_at_once(lake: Lake) -> None:
    days = list(between(partition("2013-01-20"), partition("2013-04-10")))
    arrive(lake, *days)
    drop(lake, *days)
    record_started(workspace_of(lake, TOY), days[:40], "run")
    assert ready(lake) == days[40:]

    record_started(workspace_of(lake, TOY), days, "run")

    assert ready(lake) == []
    assert keys_below(lake, "toy/started/") == ["toy/started/2013.json"]


def test_only_partitions_between_start_and_end_are_due(lake: Lake) -> None:
    arrive(lake, partition("2012-12-31"), *DAYS)
    drop(lake, partition("2012-12-31"), *DAYS)
    ends = replace(TOY, end=datetime(2013, 1, 3, tzinfo=UTC))

    assert list(due_partitions(workspace_of(lake, ends), 100).ready) == DAYS[:3]


def test_before_the_first_event_a_drop_alone_makes_a_partition_complete(lake: Lake) -> None:
    arrive(lake, DAYS[2])
    drop(lake, DAYS[0], DAYS[2])
    assert ready(lake) == [DAYS[2]]  # nothing proves yet that no older event waits

    close_source(lake, TOY, EVENTS, ALL_LANDED)

    assert ready(lake) == [DAYS[0], DAYS[2]]


def test_at_most_the_requested_number_of_first_partitions_is_returned(lake: Lake) -> None:
    days = list(between(partition("2013-01-01"), partition("2013-05-31")))
    arrive(lake, *days)
    drop(lake, *days[100:])

    assert ready(lake, 3) == days[100:103]
    assert ready(lake, 100) == [*days[100:], *days[: 200 - len(days)]]


def missing_in(lake: Lake, *days: Partition) -> list[Incomplete]:
    return incomplete(workspace_of(lake, TOY), days)


def test_partition_is_due_again_once_the_drop_is_complete_that_its_run_went_without(lake: Lake) -> None:
    """A drop that is on its way changes often; until it is complete, no run starts for it."""
    arrive(lake, DAYS[0])
    record_started(workspace_of(lake, TOY), DAYS[:1], "run", missing_in(lake, DAYS[0]))
    assert ready(lake) == []

    lake.put(f"drops/weather/{DAYS[0].key}/first.csv", b"x\n")
    assert ready(lake) == []

    record_started(workspace_of(lake, TOY), DAYS[:1], "run", missing_in(lake, DAYS[0]))
    lake.put(f"drops/weather/{DAYS[0].key}/second.csv", b"x\n")
    assert ready(lake) == []

    lake.put(f"drops/weather/{DAYS[0].key}/_SUCCESS", b"")
    assert ready(lake) == DAYS[:1]


def test_partition_that_was_held_back_is_due_once_all_that_it_waits_for_has_landed(lake: Lake) -> None:
    arrive(lake, DAYS[2])
    drop(lake, DAYS[2])
    record_started(workspace_of(lake, TOY), DAYS[2:3], "run")
    record_held_back(workspace_of(lake, TOY), {DAYS[2]: [("weather", day) for day in DAYS[:3]]})

    drop(lake, *DAYS[:2])
    assert DAYS[2] not in ready(lake)  # their own runs have to land them first
    land_drops(lake, DROPS, [DAYS[0]])
    assert DAYS[2] not in ready(lake)
    land_drops(lake, DROPS, [DAYS[1]])
    assert DAYS[2] in ready(lake)

    record_started(workspace_of(lake, TOY), DAYS[2:3], "run")
    assert DAYS[2] not in ready(lake)


def test_what_came_while_a_run_was_held_back_makes_it_due(lake: Lake) -> None:
    arrive(lake, DAYS[2])
    record_started(workspace_of(lake, TOY), DAYS[2:3], "run", missing_in(lake, DAYS[2]))
    record_held_back(workspace_of(lake, TOY), {DAYS[2]: [("weather", DAYS[2])]})
    assert ready(lake) == []

    record_held_back(workspace_of(lake, TOY), {DAYS[2]: []})

    assert ready(lake) == [DAYS[2]]


def test_manifest_that_can_not_be_read_is_named_and_holds_back_no_other_partition(lake: Lake) -> None:
    """P17: once it is restored, its partition is due by itself."""
    arrive(lake, *DAYS[:3])
    drop(lake, *DAYS[:3])
    key = lake.layout.manifest("raw/events", DAYS[1])
    former = lake.get(key)
    lake.put(key, b"")
    lake.put(lake.layout.manifest("raw/events", partition("2013-01-09")), b'{"schema_version": 2}')

    due = due_partitions(workspace_of(lake, TOY), 100)

    assert list(due.ready) == [DAYS[0], DAYS[2]]
    reasons = {each.partition: each.reason for each in due.waiting if each.source == "events"}
    assert reasons[DAYS[1]].startswith(f"{lake.uri(key)} is no JSON")
    assert reasons[partition("2013-01-09")].endswith("has schema 2, and this version of Sluice reads 1; update Sluice")

    lake.put(key, former)

    assert ready(lake) == DAYS[:3]


def test_partition_that_waits_for_a_later_one_alone_is_due_once_that_is_known_never_to_come(lake: Lake) -> None:
    """A later one that lands has a run of its own, which makes what was held back."""
    arrive(lake, DAYS[2])
    drop(lake, DAYS[2])
    record_started(workspace_of(lake, TOY), DAYS[2:3], "run")
    record_held_back(workspace_of(lake, TOY), {DAYS[2]: [("events", DAYS[3]), ("conform", DAYS[3])]})
    assert ready(lake) == []

    lake.put(lake.layout.observed("events"), Observed(since=DAYS[3].end).model_dump_json().encode())
    assert ready(lake) == [DAYS[2]]
    ends = replace(TOY, end=DAYS[2].start)
    lake.put(lake.layout.observed("events"), Observed(since=DAYS[2].end).model_dump_json().encode())
    assert ready(lake) == []
    assert list(due_partitions(workspace_of(lake, ends), 100).ready) == [DAYS[2]]

    arrive(lake, DAYS[3], state="open")
    assert ready(lake) == []


def test_partition_that_waits_for_an_earlier_one_too_is_due_once_that_has_landed(lake: Lake) -> None:
    """A step that looks back alone does not wait for what another step looks ahead on."""
    arrive(lake, DAYS[2])
    drop(lake, DAYS[2])
    record_started(workspace_of(lake, TOY), DAYS[2:3], "run")
    record_held_back(workspace_of(lake, TOY), {DAYS[2]: [("events", DAYS[3]), ("weather", DAYS[1])]})
    assert ready(lake) == []

    drop(lake, DAYS[1])
    land_drops(lake, DROPS, [DAYS[1]])
    assert ready(lake) == [DAYS[2]]


def test_drop_on_which_an_earlier_partition_looks_ahead_lands_at_once(lake: Lake) -> None:
    """GIVEN a forecast that has come before the events of its day THEN a run lands it, for the day before."""
    conform = TOY.steps[0]
    read = Input("weather", look_ahead=1)
    ahead = Step("ahead", run="steps:ahead", reads=(Input("conform"), read))
    looking = toy(steps=(conform, ahead), training=None, deployment=None)
    plain = replace(looking, steps=(conform, replace(ahead, reads=(Input("conform"), replace(read, look_ahead=0)))))
    arrive(lake, DAYS[0])
    drop(lake, DAYS[0], DAYS[1])

    assert list(due_partitions(workspace_of(lake, looking), 100).ready) == DAYS[:2]
    assert list(due_partitions(workspace_of(lake, plain), 100).ready) == DAYS[:1]

    record_started(workspace_of(lake, looking), DAYS[:2], "run", missing_in(lake, *DAYS[:2]))
    assert list(due_partitions(workspace_of(lake, looking), 100).ready) == []
    arrive(lake, DAYS[1])
    assert list(due_partitions(workspace_of(lake, looking), 100).ready) == [DAYS[1]]

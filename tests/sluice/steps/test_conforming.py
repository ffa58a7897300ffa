"""An id counts once in the whole dataset, whichever partition its copies are in (P2)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import permutations
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.lake_contents import keys_below, manifest_json, rows_of
from tests.sluice.s3_calls import counted as counted_calls
from tests.sluice.steps.ids.copies import (
    Copy,
    conflicts,
    content,
    counted,
    counts_by_reference,
    declared,
    put_copies,
)
from tests.sluice.toy import MESSAGES

from sluice.declaration.pipeline import Pipeline
from sluice.lake.partitions import format_ranges
from sluice.lake.store import Lake
from sluice.steps.outlook import outlook
from sluice.steps.reasons import REPEATS
from sluice.steps.runner import run_step

ONE, TWO, THREE, FOUR, FIVE = (f"dt=2013-01-0{day}" for day in range(1, 6))
pytestmark = pytest.mark.usefixtures("toy_pipeline")


def run_all(lake: Lake, ranges: str, pipeline: Pipeline | None = None) -> list[dict[str, Any]]:
    pipeline = pipeline or declared()
    return [run_step(workspace_of(lake, pipeline), step.name, ranges) for step in pipeline.steps]


@pytest.mark.parametrize("order", [(ONE, TWO), (TWO, ONE), (f"{ONE}..{TWO}",)])
@pytest.mark.parametrize("first", [ONE, TWO])
def test_copy_with_another_event_time_counts_once_whichever_comes_first(
    lake: Lake, order: tuple[str, ...], first: str
) -> None:
    """The first in sequence counts, whatever the event times are, and in whichever order the partitions are made."""
    places = {ONE: 1, TWO: 2} if first == ONE else {ONE: 2, TWO: 1}
    put_copies(lake, [Copy("a", 0.5, places[ONE]), Copy("a", 1.5, places[TWO]), Copy("b", 0.5, 8), Copy("c", 1.5, 9)])

    for ranges in order:
        run_all(lake, ranges)

    second = TWO if first == ONE else ONE
    others = {ONE: {8}, TWO: {9}}
    assert counted(lake, [ONE, TWO]) == {first: {1, *others[first]}, second: others[second]}
    assert (conflicts(lake, first), conflicts(lake, second)) == ([], ["message-2"])
    assert manifest_json(lake, "conform", second)["rejected"] == {"conflict": 1}
    # What follows has it, too.
    assert [len(rows_of(lake, "running", key)) for key in (first, second)] == [2, 1]


def test_first_copy_that_comes_late_takes_the_place_of_the_other_and_all_that_follows_is_made_again(
    lake: Lake,
) -> None:
    """P13: nobody clears the run of the other partition; ``running`` of the day after looks back on it."""
    put_copies(lake, [Copy("a", 2.5, 5), Copy("b", 2.5, 6), Copy("c", 3.5, 7)])
    run_all(lake, f"{THREE}..{FOUR}")
    put_copies(lake, [Copy("a", 0.5, 1)])

    ran = run_all(lake, ONE)

    assert counted(lake, [ONE, THREE]) == {ONE: {1}, THREE: {6}}
    assert [run["partitions"] for run in ran] == [f"{ONE},{THREE}", f"{ONE},{THREE}", f"{ONE},{THREE}..{FOUR}"]
    assert [run["changed"] for run in ran] == [2, 2, 3]
    assert rows_of(lake, "running", FOUR)[0]["total"] == 2 + 2


def test_good_copy_after_a_bad_one_in_another_partition_is_accepted(lake: Lake) -> None:
    put_copies(lake, [Copy("a", 0.5, 1, value="nine"), Copy("a", 1.5, 2, value=9)])

    run_all(lake, f"{ONE}..{TWO}")

    assert counted(lake, [ONE, TWO]) == {ONE: set(), TWO: {2}}
    assert manifest_json(lake, "conform", ONE)["rejected"] == {"value: int_type": 1}


@pytest.mark.parametrize("order", permutations([ONE, TWO, THREE]))
def test_of_three_copies_one_counts(lake: Lake, order: Sequence[str]) -> None:
    put_copies(lake, [Copy("a", 0.5, 3), Copy("a", 1.5, 1), Copy("a", 2.5, 2)])

    for ranges in order:
        run_all(lake, ranges)

    assert counted(lake, [ONE, TWO, THREE]) == {ONE: set(), TWO: {1}, THREE: set()}


def test_copies_beyond_the_time_that_is_declared_count_each(lake: Lake) -> None:
    """Partitions are compared as a whole: the ends of days one and four are two days apart, those of five are three."""
    put_copies(lake, [Copy("a", 0.999, 1), Copy("a", 3.001, 2), Copy("b", 0.999, 3), Copy("b", 2.001, 4)])

    run_all(lake, f"{ONE}..{FOUR}".replace(f"..{FOUR}", f",{THREE},{FOUR}"))

    assert counted(lake, [ONE, THREE, FOUR]) == {ONE: {1, 3}, THREE: set(), FOUR: {2}}


def test_ids_are_not_compared_where_that_is_turned_off(lake: Lake) -> None:
    put_copies(lake, [Copy("a", 0.5, 1), Copy("a", 1.5, 2)])

    run_all(lake, f"{ONE}..{TWO}", declared(within=None))

    assert counted(lake, [ONE, TWO]) == {ONE: {1}, TWO: {2}}
    assert keys_below(lake, "toy/ids/") == []


def test_hours_of_different_days_are_compared(lake: Lake) -> None:
    copies = [Copy("a", 23.5 / 24, 2), Copy("a", 24.5 / 24, 1), Copy("b", 23.5 / 24, 3), Copy("b", 26.5 / 24, 4)]
    hours = put_copies(lake, copies, "hour")
    pipeline = declared(timedelta(hours=1), "hour")

    for hour in hours:
        run_all(lake, hour.key, pipeline)

    keys = [hour.key for hour in hours]
    assert counted(lake, keys) == {f"{ONE}/hour=23": {3}, f"{TWO}/hour=00": {1}, f"{TWO}/hour=02": {4}}


def test_of_copies_of_a_standard_queue_without_a_count_the_earlier_event_is_first(lake: Lake) -> None:
    """As within a partition: there its event time is the place of an event."""
    source = replace(MESSAGES, sequence=None)
    put_copies(lake, [Copy("a", 1.5, 1), Copy("a", 0.5, 2)], source=source)

    run_all(lake, f"{ONE}..{TWO}", declared(source=source))

    assert [len(rows_of(lake, "conform", key)) for key in (ONE, TWO)] == [1, 0]


def test_conflict_can_be_seen_with_the_message_as_it_came(lake: Lake) -> None:
    put_copies(lake, [Copy("a", 0.5, 1), Copy("a", 1.5, 2, value=7)], landed=2)

    run_all(lake, f"{ONE}..{TWO}")

    (row,) = rows_of(lake, "conform", TWO, "quarantined")
    assert (row["reason"], row["body"]) == ("conflict", Copy("a", 1.5, 2, value=7).message()["Body"])
    assert [manifest_json(lake, "conform", key)["duplicates"] for key in (ONE, TWO)] == [1, 1]
    assert counted(lake, [ONE, TWO]) == {ONE: {1}, TWO: set()}


def test_run_without_a_change_reads_no_key_file_and_writes_nothing(lake: Lake) -> None:
    put_copies(lake, [Copy("a", 0.5, 1), Copy("a", 1.5, 2), Copy("b", 2.5, 3)])
    run_all(lake, f"{ONE}..{THREE}")
    before = keys_below(lake, "toy/")

    with counted_calls(lake.bucket) as calls:
        ran = run_step(workspace_of(lake, declared()), "conform", f"{ONE}..{THREE}")

    assert ran["changed"] == 0
    assert calls == {"list": 1, "get": 3 + 3}  # the manifests of the output and of the raw partitions
    assert keys_below(lake, "toy/") == before


def test_code_that_accepts_a_copy_no_longer_gives_its_place_back(lake: Lake, declare: Any) -> None:
    from tests.sluice.toy import CONTRACT, MODULES

    put_copies(lake, [Copy("a", 0.5, 1, value=1), Copy("a", 1.5, 2, value=9)])
    run_all(lake, f"{ONE}..{TWO}")
    assert counted(lake, [ONE, TWO]) == {ONE: {1}, TWO: set()}
    declare(
        "toy",
        {
            **MODULES,
            "contract": CONTRACT.replace("value: int", "value: int = Field(ge=5)").replace(
                "import BaseModel", "import BaseModel, Field"
            ),
        },
    )

    run_all(lake, ONE)

    assert counted(lake, [ONE, TWO]) == {ONE: set(), TWO: {2}}


# Shuffled, late and duplicated delivery, in any order of runs.
COPIES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.sampled_from([1, 2, "nine"]), st.sampled_from("gh")),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COPIES, st.data())
def test_any_order_of_arrival_and_of_runs_ends_in_the_same_bytes(
    lake: Lake, sent: list[tuple[str, int, Any, str]], data: st.DataObject
) -> None:
    """Equal to the definition, and to a run of all days over all data."""
    copies = [Copy(id_, day + 0.5, place, value, group) for place, (id_, day, value, group) in enumerate(sent, 1)]
    keys = sorted({copy.partition("day").key for copy in copies})
    calm, shuffled = (_emptied(replace(lake, pipeline=name)) for name in ("calm", "shuffled"))
    put_copies(calm, copies)
    run_all(calm, ",".join(keys))

    arriving = data.draw(st.permutations(copies))
    arrived: list[Copy] = []
    while arriving:
        count = data.draw(st.integers(1, len(arriving)))
        arrived, arriving = arrived + arriving[:count], arriving[count:]
        days = data.draw(st.permutations(put_copies(shuffled, arrived, landed=data.draw(st.integers(1, 2)))))
        for day in days:
            run_all(shuffled, day.key)

    assert counted(calm, keys) == counted(shuffled, keys) == counts_by_reference(copies)
    assert _named(content(calm, keys)) == _named(content(shuffled, keys))


def _emptied(lake: Lake) -> Lake:
    for key in keys_below(lake, f"{lake.pipeline}/"):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    return lake


def _named(found: Any) -> Any:
    """Return contents by what names them: quarantine has how often a message was received."""
    return {
        key: [files[0]["key"].partition("/")[2], rows, rejected] for key, (files, _, rows, rejected) in found.items()
    }


# Kills: each is that of a process, right before or after one of its writes.
@dataclass(frozen=True)
class Hooked(Lake):
    """A lake of which each write calls a function before and after."""

    hook: Callable[[], None] = lambda: None

    def _put(self, key: str, body: bytes, condition: Any) -> str:
        self.hook()
        etag = super()._put(key, body, condition)
        self.hook()
        return etag


def _killed_at(cloud: Cloud, lake: Lake, nth: int) -> bool:
    """Run day one in a process of its own, which is killed at the nth moment; return whether it was."""

    def run() -> None:
        moments = iter(range(1, 1000))

        def hook() -> None:
            if next(moments) == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        run_all(Hooked(cloud.client("s3"), lake.bucket, lake.pipeline, lake.now, hook), ONE)

    process = get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_kill_at_any_write_is_repaired_by_the_next_run(cloud: Cloud, lake: Lake) -> None:
    """Day one brings the first copy of an id, and a second copy of another, late."""
    copies = [Copy("a", 0.5, 1), Copy("b", 0.5, 9), Copy("a", 1.5, 5), Copy("b", 1.5, 6)]
    for nth in range(1, 100):
        world = replace(lake, pipeline=f"try-{nth}")
        put_copies(world, copies[2:])
        run_all(world, TWO)
        put_copies(world, copies[:2])
        killed = _killed_at(cloud, world, nth)
        run_all(world, ONE)
        assert counted(world, [ONE, TWO]) == {ONE: {1}, TWO: {6}}, nth
        assert [len(rows_of(world, "running", key)) for key in (ONE, TWO)] == [1, 1], nth
        if not killed:
            break
    assert nth > 10


@pytest.mark.slow
@pytest.mark.parametrize("first", [ONE, TWO])
def test_two_runs_at_once_end_as_one_after_the_other(cloud: Cloud, lake: Lake, first: str) -> None:
    """One run is held at each moment of its writes, while the other begins and ends."""
    places = (1, 2) if first == ONE else (2, 1)
    copies = [Copy("a", 0.5, places[0]), Copy("a", 1.5, places[1]), Copy("b", 1.5, 7)]
    for nth in range(1, 100):
        world = replace(lake, pipeline=f"try-{nth}")
        put_copies(world, copies)
        moments = iter(range(1, 1000))
        done: list[bool] = []

        def hook(
            world: Lake = world, nth: int = nth, moments: Iterator[int] = moments, done: list[bool] = done
        ) -> None:
            if next(moments) == nth:
                run_all(world, TWO)
                done.append(True)

        with ThreadPoolExecutor(1) as pool:
            held = Hooked(cloud.client("s3"), world.bucket, world.pipeline, world.now, hook)
            pool.submit(run_all, held, ONE).result(60)
        if not done:
            break
        assert counted(world, [ONE, TWO]) == counts_by_reference(copies), nth
        total = sum(len(rows_of(world, "running", key)) for key in (ONE, TWO))
        assert total == 2, nth
    assert nth > 6


def test_key_file_that_can_not_be_read_is_made_again(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    put_copies(lake, [Copy("a", 0.5, 1), Copy("a", 1.5, 2)])
    run_all(lake, ONE)
    (key,) = keys_below(lake, f"toy/ids/conform/{ONE}/")
    former = lake.get(key)
    lake.put(key, former[:-9])

    run_all(lake, TWO)

    assert f"{key} can't be read" in caplog.text
    assert counted(lake, [ONE, TWO]) == {ONE: {1}, TWO: set()}
    again = key.replace("000001", "000002")
    assert keys_below(lake, f"toy/ids/conform/{ONE}/") == [key, again]
    assert lake.get(again) == former


def test_key_file_that_is_gone_is_written_by_the_next_run_of_its_partition(lake: Lake) -> None:
    put_copies(lake, [Copy("a", 0.5, 1), Copy("a", 1.5, 2)])
    run_all(lake, ONE)
    (key,) = keys_below(lake, f"toy/ids/conform/{ONE}/")
    lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    run_all(lake, TWO)

    said = outlook(workspace_of(lake, declared()), with_code=False)
    run_all(lake, ONE)

    assert next((each.partition.key, each.reasons[0].text) for each in said if each.reasons) == (ONE, REPEATS)
    assert counted(lake, [ONE, TWO]) == {ONE: {1}, TWO: set()}


def test_calls_of_a_day_do_not_grow_with_what_is_outside_of_the_time_that_is_declared(lake: Lake) -> None:
    days = put_copies(lake, [Copy(f"r-{day}", day + 0.5, day) for day in range(1, 31)])
    found = []
    for first, last in ((0, 9), (9, 29)):
        run_step(workspace_of(lake, declared()), "conform", format_ranges(days[first:last]))
        with counted_calls(lake.bucket) as calls:
            run_step(workspace_of(lake, declared()), "conform", days[last].key)
        found.append(dict(calls))

    assert found[0] == found[1]
    assert found[0]["list"] == 3  # two plans, and one listing between them
    reads = 2 * 2 + 1 + 2  # two manifests in each plan, the part, the keys of two days
    assert found[0]["get"] == reads + 2  # and the records of the code and of the division

"""Where many pipelines saturate Airflow; docs/operations/scale.md shows the table that is made here."""

from __future__ import annotations

import re

import pytest
from deploy.checkout import CELERY, read_settings
from tests.deployment.files import ROOT
from tests.scale.simulation import ACTIVE_RUNS, APART_SECONDS, LOOK_SECONDS, Limits, Load, Result, simulate

_PAGE = (ROOT / "docs" / "operations" / "scale.md").read_text()
_LOADS = (100, 1_000, 1_500, 2_000)
_FLEETS = (
    Limits(slots=16),
    Limits(slots=64),
    Limits(slots=128, parallelism=128),
    Limits(slots=128, schedulers=2),
)


def _row(load: Load, limits: Limits, result: Result) -> str:
    wait = f"{result.wait_seconds:.0f} s" if result.keeps_up else "grows"
    shares = (result.slots_used, result.under_way_used, result.queueing_used)
    cells = (
        f"{load.partitions:,}",
        limits.slots // 4,
        limits.schedulers,
        limits.parallelism,
        *(f"{share:.0%}".replace("%", " %") for share in shares),
        wait,
    )
    return f"| {' | '.join(map(str, cells))} |"


@pytest.mark.parametrize("limits", _FLEETS, ids=lambda limits: f"{limits.slots}-{limits.parallelism}")
@pytest.mark.parametrize("partitions", _LOADS)
def test_page_shows_what_the_simulation_gives(partitions: int, limits: Limits) -> None:
    load = Load(partitions=partitions)

    assert _row(load, limits, simulate(load, limits)) in _PAGE


def test_hundred_pipelines_of_a_thousand_partitions_need_sixteen_workers() -> None:
    load = Load(pipelines=100, partitions=1_000)

    assert simulate(load, Limits(slots=64)).keeps_up
    few = simulate(load, Limits(slots=32))
    assert not few.keeps_up
    assert few.backlog > 0.1 * few.arrived
    assert few.slots_used > 0.97


def test_parallelism_saturates_next_then_the_scheduler_and_a_second_one_helps() -> None:
    """More slots don't help."""
    more, twice = Load(partitions=1_500), Load(partitions=2_000)

    by_parallelism = simulate(more, Limits(slots=1_000))
    assert not by_parallelism.keeps_up
    assert by_parallelism.under_way_used > 0.97 > by_parallelism.queueing_used
    by_queueing = simulate(twice, Limits(slots=1_000, parallelism=1_000))
    assert not by_queueing.keeps_up
    assert by_queueing.queueing_used > 0.97 > by_queueing.under_way_used
    assert simulate(twice, Limits(slots=1_000, schedulers=2)).keeps_up


def test_one_pipeline_alone_is_limited_by_its_four_runs() -> None:
    result = simulate(Load(pipelines=1, partitions=20_000), Limits())

    assert 6 * (result.arrived - result.backlog) == pytest.approx(14_400, rel=0.01)
    assert result.keeps_up


def test_no_partition_is_lost_or_made_twice() -> None:
    load = Load(pipelines=3, partitions=200)

    result = simulate(load, Limits(), seconds=86_400 + 600)

    assert (result.arrived, result.backlog) == (603, 0)  # three of the next day


def test_a_run_takes_its_tasks_one_after_another() -> None:
    """One partition alone: its look, three tasks of the dispatch, six of the run."""
    result = simulate(Load(pipelines=1, partitions=24, task_seconds=10), Limits())

    assert 80 <= result.wait_seconds <= 80 + LOOK_SECONDS + 10


def test_numbers_are_those_of_the_code() -> None:
    settings = read_settings(CELERY, ROOT)
    assert int(settings["AIRFLOW__CORE__PARALLELISM"]) == Limits().parallelism
    assert re.findall(r"max_active_runs=(\d+)", (ROOT / "dags" / "transform.py").read_text()) == [str(ACTIVE_RUNS)]
    dispatch = (ROOT / "dags" / "dispatch.py").read_text()
    assert re.findall(r"poll_seconds=(\d+)", dispatch) == [str(LOOK_SECONDS)]
    assert re.findall(r"schedule=timedelta\(seconds=(\d+)\)", dispatch) == [str(APART_SECONDS)]

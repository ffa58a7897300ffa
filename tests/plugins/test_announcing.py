"""What a transform run has made is announced, whatever becomes of the wait for other runs.

That it waits only for runs that are at work is shown in a whole Airflow: ``tests/dags/test_overlapping_runs.py``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from tests.plugins.task_life import run
from tests.sluice.lake_contents import keys_below, partition, put_rows

from sluice.declaration.pipeline import Pipeline
from sluice.lake.manifests import Manifest
from sluice.sources.due import record_started
from sluice.sources.started import Started
from sluice.steps import lacking
from sluice.workspace import Workspace
from sluice_airflow.announcing import AnnounceTransformedOperator

ROWS = pd.DataFrame({"weight": [1, 2]})


def announcing(*ranges: str) -> AnnounceTransformedOperator:
    return announcing_runs([[{"partitions": each, "held_back": 0} for each in ranges]])


def announcing_runs(runs: Any) -> AnnounceTransformedOperator:
    return AnnounceTransformedOperator(
        task_id="announce", pipeline="parcels", runs=runs, poll_seconds=0.1, max_wait_seconds=600
    )


def context(day: str, last: str | None = None, *, run_type: str = "manual", user: str | None = None) -> Any:
    run = SimpleNamespace(logical_date=None, run_type=run_type, triggering_user_name=user)
    return {"params": {"from": day, "to": last}, "dag_run": run, "run_id": "run"}


def announced(parcels: Workspace, day: str) -> int:
    return len(keys_below(parcels.lake, parcels.lake.layout.announcement("elsewhere", f"dt={day}", "")))


def test_pipeline_that_looks_back_nowhere_announces_at_once(parcels: Workspace) -> None:
    """Airflow is not asked: outside of a task, asking fails."""
    record_started(parcels, [partition("2013-05-01")], "another")
    put_rows(parcels.lake, "elsewhere", "2013-05-01", ROWS)
    put_rows(parcels.lake, "elsewhere", "2013-05-02", ROWS)

    chunks = announcing("dt=2013-05-01..dt=2013-05-02", "dt=2013-05-02")

    assert run(chunks, context("2013-05-01", "2013-05-02")) == 2
    assert [announced(parcels, f"2013-05-0{day}") for day in (1, 2)] == [1, 1]


@pytest.mark.parametrize(
    ("day", "event", "reason"),
    [
        (
            "2013-05-03",
            {"timed_out": True, "waiting_for": "runs: dt=2013-05-02"},
            "after 600 s it still waits for runs: dt=2013-05-02",
        ),
        ("2013-05-04", {"error": "the API server is away", "refused": True}, "the API server is away"),
    ],
    ids=["timed-out", "failed"],
)
def test_no_event_is_lost_when_the_wait_ends_otherwise(
    parcels: Workspace, capsys: pytest.CaptureFixture[str], day: str, event: dict[str, Any], reason: str
) -> None:
    put_rows(parcels.lake, "elsewhere", day, ROWS)

    assert announcing(f"dt={day}").resume(context(day), event) == 1

    assert announced(parcels, day) == 1
    assert f"{reason}; announcing all the same" in capsys.readouterr().out


def test_run_that_has_not_made_all_of_its_partitions_fails(parcels: Workspace) -> None:
    put_rows(parcels.lake, "elsewhere", "2013-05-05", ROWS)

    with pytest.raises(AirflowFailException, match="this run has not transformed dt=2013-05-06"):
        run(announcing("dt=2013-05-05"), context("2013-05-05", "2013-05-06"))

    assert announced(parcels, "2013-05-05") == 1


def held_back(parcels: Workspace, *, last_is_held_back: bool = True) -> AnnounceTransformedOperator:
    """Return the task of a run of two days, of which the second has no tariffs."""
    days = "dt=2013-05-07..dt=2013-05-08"
    for day in (7, 8):
        key = partition(f"2013-05-0{day}")
        manifest = Manifest(dataset="raw/events", partition=key.key, state="closed", written_at=parcels.lake.now())
        parcels.lake.update_manifest("raw/events", key, lambda _, manifest=manifest: manifest)  # type: ignore[misc]
    put_rows(parcels.lake, "raw/tariffs", "2013-05-07", ROWS)
    put_rows(parcels.lake, "elsewhere", "2013-05-07", ROWS)
    all_made = [{"partitions": days, "held_back": 0}]
    half = [{"partitions": "dt=2013-05-07", "held_back": 1}]
    return announcing_runs([all_made, half, half if last_is_held_back else all_made])


WAITS = "held back: dt=2013-05-08 waits for tariffs dt=2013-05-08"


def test_run_by_hand_fails_if_steps_were_held_back_after_it_has_announced_the_others(parcels: Workspace) -> None:
    with pytest.raises(AirflowFailException, match=WAITS):
        run(held_back(parcels), context("2013-05-07", "2013-05-08"))

    assert announced(parcels, "2013-05-07") == 1


def test_run_of_the_dispatch_is_skipped_if_its_last_step_was_held_back(
    parcels: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs again by itself. A run whose last step has made all is a success."""
    dispatched = context("2013-05-07", "2013-05-08", run_type="operator_triggered")
    with pytest.raises(AirflowSkipException, match=WAITS):
        run(held_back(parcels), dispatched)

    run(held_back(parcels, last_is_held_back=False), dispatched)
    assert WAITS in capsys.readouterr().out


def test_run_whose_tasks_were_marked_by_hand_fails_whoever_has_started_it(parcels: Workspace) -> None:
    """A task that was marked has left no summary."""
    one = [{"partitions": "dt=2013-05-07", "held_back": 1}]
    for runs in ([None, None, None], [one, None, None], [one, [None], [None]]):
        with pytest.raises(
            AirflowFailException, match=r"has not transformed dt=2013-05-07\.\.dt=2013-05-08: .*by hand"
        ):
            run(announcing_runs(runs), context("2013-05-07", "2013-05-08", run_type="operator_triggered"))


@pytest.mark.parametrize(
    ("awaited", "error"),
    [
        ((("tariffs", 3),), AirflowSkipException),
        ((("tariffs", 3), ("features", 1)), AirflowSkipException),
        ((("tariffs", 3), ("tariffs", 2)), AirflowFailException),
    ],
    ids=["later than the run", "made by another run", "of the run"],
)
def test_run_by_hand_is_skipped_if_its_steps_wait_only_for_what_comes_after_it(
    parcels: Workspace, monkeypatch: pytest.MonkeyPatch, awaited: Any, error: type[Exception]
) -> None:
    """A step that looks ahead waits for a later partition, whose run makes what is held back."""
    first = partition("2013-06-01")
    waits = {first: tuple((name, first.shift(day - 1)) for name, day in awaited)}
    monkeypatch.setattr(lacking, "held_back", lambda *_: waits)
    held = announcing_runs([[{"partitions": "", "held_back": 2}]])

    with pytest.raises(error, match=r"held back: dt=2013-06-01 waits for .*tariffs dt=2013-06-0"):
        run(held, context("2013-06-01", "2013-06-02"))


def test_run_by_hand_fails_if_the_state_before_it_is_not_there(
    parcels: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own run can't make it, and no later one will."""
    first = partition("2013-06-01")
    monkeypatch.setattr(lacking, "held_back", lambda *_: {first: (("features", first.shift(-1)),)})
    monkeypatch.setattr(Pipeline, "carries_state", lambda _, step: step.name == "features")
    waits = "held back: dt=2013-06-01 waits for features dt=2013-05-31"

    for run_type, error in (("manual", AirflowFailException), ("operator_triggered", AirflowSkipException)):
        held = announcing_runs([[{"partitions": "", "held_back": 1}]])
        with pytest.raises(error, match=waits):
            run(held, context("2013-06-01", run_type=run_type))


@pytest.mark.parametrize(
    ("day", "user", "recorded"), [("2013-05-12", "admin", True), ("2013-05-22", "dag_test", False)]
)
def test_what_an_earlier_partition_lacks_is_recorded(
    parcels: Workspace, monkeypatch: pytest.MonkeyPatch, day: str, user: str, recorded: bool
) -> None:
    """So the dispatch starts a run once it has landed. It sees a change of the partition itself anyway."""
    own = partition(day)
    waits = {own: (("tariffs", own.shift(-1)), ("tariffs", own))}
    monkeypatch.setattr(lacking, "held_back", lambda *_: waits)
    held = announcing_runs([[{"partitions": "", "held_back": 1}]])

    with pytest.raises(AirflowFailException, match="waits for tariffs dt=2013-05-"):
        run(held, context(day, user=user))

    stored = parcels.lake.stored(parcels.lake.layout.started("2013"), Started).value
    found = stored.held_back if stored else {}
    assert found.get(own.key) == ((f"tariffs/{own.shift(-1).key}",) if recorded else None)

"""What a transform run has made is announced, whatever becomes of the wait for other runs.

That it waits only for runs that are at work is shown in a whole Airflow: ``tests/dags/test_overlapping_runs.py``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.plugins.task_life import run
from tests.sluice.lake_contents import keys_below, partition, put_rows

from sluice.sources.due import record_started
from sluice.workspace import Workspace
from sluice_airflow.announcing import AnnounceTransformedOperator

ROWS = pd.DataFrame({"weight": [1, 2]})


def announcing(*ranges: str) -> AnnounceTransformedOperator:
    summaries = [{"partitions": each} for each in ranges]
    return AnnounceTransformedOperator(
        task_id="announce", pipeline="parcels", runs=summaries, poll_seconds=0.1, max_wait_seconds=600
    )


def context(day: str, last: str | None = None) -> Any:
    params = {"from": day, "to": last}
    return {"params": params, "dag_run": SimpleNamespace(logical_date=None), "run_id": "run"}


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

"""``airflow backfill create`` beside a scheduler that works, under ``make up``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from deploy.checkout import Checkout, make_checkout

from localcloud.testing.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_TRIES = 4
_MANY = 23  # more runs than Airflow's scheduler examines by default

_DAGS = f'''
"""DAGs of a test."""

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, task

START = datetime(2020, 1, 1, tzinfo=UTC)

for number in range({_TRIES}):
    with DAG(f"daily_{{number}}", schedule="@daily", start_date=START, catchup=False, max_active_runs=2):
        EmptyOperator(task_id="nothing")

with DAG("busy", schedule="@continuous", start_date=START, max_active_runs=1):

    @task
    def work() -> None: ...

    work()

with DAG(
    "waiting", schedule="@daily", start_date=START, end_date=datetime(2020, 1, {_MANY}, tzinfo=UTC), catchup=True,
    max_active_runs={_MANY}, is_paused_upon_creation=True,
):
    DateTimeSensorAsync(task_id="wait", target_time="2099-01-01T00:00:00+00:00")

with DAG("overtaken", schedule="@daily", start_date=START, catchup=False):
    EmptyOperator(task_id="nothing")
'''


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """``make up`` with DAGs of this test's own."""
    folder = tmp_path_factory.mktemp("backfills")
    (folder / "dags").mkdir()
    (folder / "dags" / "of_the_test.py").write_text(_DAGS)
    made = make_checkout(folder / "checkout", folder / "dags")
    try:
        status, output = made.run("up")
        assert status == 0, output
        wait_for(lambda: len(made.call("dags")["dags"]) == _TRIES + 3, seconds=60, what="the DAGs")
        yield made
    finally:
        made.run("down")


def _create(running: Checkout, dag_id: str, last: str) -> None:
    done = running.airflow("backfill", "create", "--dag-id", dag_id, "--from-date", "2020-01-01", "--to-date", last)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _states(running: Checkout, dag_id: str, run_type: str) -> Counter[str]:
    runs = running.call(f"dags/{dag_id}/dagRuns?limit=500&run_type={run_type}")["dag_runs"]
    return Counter(run["state"] for run in runs)


@pytest.mark.parametrize("number", range(_TRIES))
def test_backfill_is_created_while_the_scheduler_works(running: Checkout, number: int) -> None:
    _create(running, f"daily_{number}", "2020-07-18")

    runs = running.call(f"dags/daily_{number}/dagRuns?limit=1&run_type=backfill")
    assert runs["total_entries"] == 200


def test_backfill_completes_beside_many_waiting_runs(running: Checkout) -> None:
    running.airflow("dags", "unpause", "waiting")
    wait_for(
        lambda: _states(running, "waiting", "scheduled")["running"] == _MANY, seconds=180, what="the runs that wait"
    )

    _create(running, "overtaken", "2020-01-05")

    wait_for(
        lambda: _states(running, "overtaken", "backfill") == {"success": 5},
        seconds=120,
        what="the runs of the backfill",
    )

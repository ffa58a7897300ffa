"""Old records of Airflow go by themselves, on its real database, and never those of a run that has not ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deploy import retention
from deploy.checkout import Checkout, make_checkout
from tests.deployment.files import SETTINGS

from localcloud.testing.waiting import wait_for

_DAG = """
from airflow.sdk import DAG, task

with DAG("tiny", schedule=None):

    @task
    def one() -> int:
        return 1

    one()
"""
_SECONDS = 30


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout whose PostgreSQL runs, with Airflow's tables and one DAG."""
    folder = tmp_path_factory.mktemp("retention")
    (folder / "dags").mkdir()
    (folder / "dags" / "tiny.py").write_text(_DAG)
    made = make_checkout(folder / "checkout", folder / "dags")
    (made.folder / ".sluice").mkdir()
    server = subprocess.Popen([".venv/bin/python", "-m", "deploy.postgres"], cwd=made.folder, env=dict(made.settings))
    try:
        wait_for(lambda: _answers(made), seconds=_SECONDS, what="an answer of the database")
        for command in (("db", "migrate"), ("dags", "reserialize")):
            _succeeded(made.airflow(*command))
        yield made
    finally:
        server.terminate()
        server.wait(timeout=_SECONDS)


def _address(checkout: Checkout) -> str:
    return checkout.settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")


def _answers(checkout: Checkout) -> bool:
    try:
        psycopg.connect(_address(checkout), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _rows(checkout: Checkout, query: Any) -> list[Any]:
    with psycopg.connect(_address(checkout), connect_timeout=5) as connection:
        return connection.execute(query).fetchall()


def _runs(checkout: Checkout) -> set[str]:
    return {run_id for (run_id,) in _rows(checkout, "SELECT run_id FROM dag_run")}


def _log_of_run(checkout: Checkout, name: str, written: datetime) -> Path:
    log = checkout.folder / ".sluice" / "airflow" / "logs" / "dag_id=tiny" / f"run_id={name}" / "task_id=one" / "1.log"
    log.parent.mkdir(parents=True)
    log.write_text("done\n")
    os.utime(log, (written.timestamp(), written.timestamp()))
    return log


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_records_go_after_the_days_but_for_those_since_a_run_that_has_not_ended(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    def removed(days: float) -> datetime:
        return retention.remove(checkout.settings, datetime.now(UTC) + timedelta(days=days))

    _succeeded(checkout.airflow("dags", "pause", "--yes", "tiny"))
    _succeeded(checkout.airflow("dags", "test", "tiny"))
    (done,) = _runs(checkout)
    now = datetime.now(UTC)
    old, young = (_log_of_run(checkout, name, now + timedelta(days=age)) for name, age in (("old", -0.5), ("young", 3)))

    removed(29)
    assert _runs(checkout) == {done}
    assert old.exists()

    _succeeded(checkout.airflow("dags", "trigger", "tiny", "--run-id", "waits"))
    _succeeded(checkout.airflow("dags", "test", "tiny"))
    after = _runs(checkout) - {done}
    bound = removed(31)

    assert _runs(checkout) == after
    assert now < bound < datetime.now(UTC)
    assert capsys.readouterr().out.startswith(f"run waits of tiny has not ended since {bound:%Y-%m-%d %H:%M}, so ")
    assert (old.exists(), young.exists()) == (False, True)

    with psycopg.connect(_address(checkout)) as connection:
        connection.execute("UPDATE dag_run SET state = 'failed', start_date = queued_at WHERE run_id = 'waits'")
    removed(31)

    assert _runs(checkout) == set()
    assert _rows(checkout, "SELECT count(*) FROM task_instance") == [(0,)]
    assert _rows(checkout, "SELECT count(*) FROM pg_tables WHERE tablename LIKE '\\_airflow\\_deleted%'") == [(0,)]
    assert _rows(checkout, "SELECT dag_id, is_paused FROM dag") == [("tiny", True)]


@pytest.mark.slow
def test_program_removes_once_or_each_day_until_it_is_stopped(checkout: Checkout) -> None:
    stamp = checkout.folder / ".sluice" / "airflow" / "logs" / "retention.done"
    stamp.unlink(missing_ok=True)
    assert checkout.program("python", "deploy/retention.py", "check").returncode == 1
    assert _succeeded(checkout.program("python", "deploy/retention.py", "once")).startswith("removed Airflow's records")
    assert checkout.program("python", "deploy/retention.py", "check").returncode == 0

    os.utime(stamp, (0, 0))
    assert checkout.program("python", "deploy/retention.py", "check").returncode == 1
    command = [".venv/bin/python", "deploy/retention.py"]
    process = subprocess.Popen(command, cwd=checkout.folder, env=dict(checkout.settings))
    try:
        wait_for(lambda: stamp.stat().st_mtime > 0, seconds=60, what="the first removal")
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(timeout=_SECONDS) == 0


def test_database_that_does_not_answer_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_RECORDS_DAYS", "30")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://sluice:x@127.0.0.1:1/postgres")

    assert retention.main(["once"]) == 1

    assert capsys.readouterr().out.startswith("retention: Airflow's database does not answer (")
    assert retention.main(["check"]) == 1


def test_days_are_a_setting() -> None:
    assert retention.days_of(SETTINGS) == 30
    for wrong in ("", "0", "-1", "a month"):
        with pytest.raises(retention.RetentionError, match=r"must be a whole number from 1 on; correct it in .env$"):
            retention.days_of({"SLUICE_RECORDS_DAYS": wrong})

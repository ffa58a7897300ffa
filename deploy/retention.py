"""Removes Airflow's own records and task logs once they are older than the retention, each day, beside Airflow.

`make up` and docker compose run it. No DAG can: a task of Airflow 3 has no access to Airflow's database. `airflow db
clean` judges by age alone, and would take a run that still waits. So what has not ended moves the bound back.

`retention.py once` removes them once, for a scheduler outside: a cron job, or a scheduled task of ECS or Kubernetes.
`retention.py check` fails if nothing was removed for two days.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2

_DAY = timedelta(days=1)
_AGAIN = timedelta(hours=1)  # after a failure
_LONGEST_ANSWER = 10  # seconds
_ROWS_AT_ONCE = "10000"
# What runs leave. Not `dag`: after a month without `make up` every DAG has an old parse, and would lose its pause.
_TABLES = (
    *("asset_event", "callback", "celery_taskmeta", "celery_tasksetmeta", "dag_run", "deadline", "import_error", "job"),
    *("log", "revoked_token", "task_instance", "task_instance_history", "task_reschedule", "trigger", "xcom"),
)
_UNFINISHED = """
    SELECT r.dag_id, r.run_id, LEAST(r.start_date, r.queued_at, min(t.start_date)) AS since
    FROM dag_run r LEFT JOIN task_instance t ON t.dag_id = r.dag_id AND t.run_id = r.run_id
    WHERE r.state IN ('queued', 'running')
    GROUP BY r.dag_id, r.run_id, r.start_date, r.queued_at ORDER BY since LIMIT 1
"""
# The folders of runs, and those of a day's parsing.
_LOGS = ("dag_id=*/run_id=*", "dag_processor/????-??-??")


class RetentionError(Exception):
    """Nothing, or not all, was removed. The message is one line: what failed, and the next action."""


def days_of(settings: Mapping[str, str]) -> int:
    """Return for how many days Airflow's records are kept.

    Args:
        settings: The variables of .env, with their values.

    Raises:
        RetentionError: it is no such number.
    """
    text = settings.get("SLUICE_RECORDS_DAYS", "")
    if not text.isdecimal() or int(text) < 1:
        raise RetentionError(f"SLUICE_RECORDS_DAYS={text!r} must be a whole number from 1 on; correct it in .env")
    return int(text)


def remove(settings: Mapping[str, str], now: datetime) -> datetime:
    """Remove what is older than the retention, and older than every run that has not ended.

    Args:
        settings: The variables of .env, with their values.
        now: The time (UTC).

    Returns:
        The bound: what is older was removed.

    Raises:
        RetentionError: the setting is wrong, the database does not answer, or Airflow's command failed.
    """
    before = now - timedelta(days=days_of(settings))
    before = min(before, _oldest_unfinished(settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], before))
    command = ["db", "clean", "--clean-before-timestamp", before.isoformat(), "--tables", ",".join(_TABLES)]
    options = ["--batch-size", _ROWS_AT_ONCE, "--skip-archive", "--error-on-cleanup-failure", "--yes"]
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *command, *options],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise RetentionError(f"`airflow db clean` failed ({last}); what is left is removed by the next try")
    logs = Path(settings["AIRFLOW_HOME"], "logs")
    for folder in (folder for pattern in _LOGS for folder in logs.glob(pattern)):
        if not folder.is_symlink() and _newest_change(folder) < before:
            shutil.rmtree(folder)
    _stamp(settings).touch()
    return before


def _oldest_unfinished(address: str, bound: datetime) -> datetime:
    """Return since when the oldest run has not ended; ``bound`` if there is none. Say which it is if it is older."""
    try:
        address = address.replace("+psycopg2", "")
        with psycopg2.connect(address, connect_timeout=_LONGEST_ANSWER) as connection, connection.cursor() as cursor:
            cursor.execute(_UNFINISHED)
            found = cursor.fetchone()
    except psycopg2.Error as error:
        raise RetentionError(f"Airflow's database does not answer ({str(error).strip().splitlines()[0]})") from error
    if found is None or found[2] is None or found[2] >= bound:
        return bound
    dag_id, run_id = found[:2]
    since: datetime = found[2]
    _say(
        f"run {run_id} of {dag_id} has not ended since {since:%Y-%m-%d %H:%M}, so what is younger stays; mark it as "
        f"failed if it hangs"
    )
    return since.astimezone(UTC)


def _newest_change(folder: Path) -> datetime:
    """Return when something in a folder was last written; the beginning of time if there is nothing."""
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return datetime.fromtimestamp(max(times, default=0), UTC)


def _stamp(settings: Mapping[str, str]) -> Path:
    return Path(settings["AIRFLOW_HOME"], "logs", "retention.done")


def _each_day(settings: Mapping[str, str]) -> None:
    os.nice(19)  # nobody waits for it, and at its start all of Airflow starts as well
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        stop.wait((_DAY if _once(settings) == 0 else _AGAIN).total_seconds())


def _once(settings: Mapping[str, str]) -> int:
    try:
        _say(f"removed Airflow's records and logs from before {remove(settings, datetime.now(UTC)):%Y-%m-%d %H:%M}")
    except RetentionError as error:
        _say(f"retention: {error}")
        return 1
    return 0


def _check(settings: Mapping[str, str]) -> int:
    stamp = _stamp(settings)
    return 0 if stamp.exists() and time.time() - stamp.stat().st_mtime < 2 * _DAY.total_seconds() else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Remove the old records each day, once, or check that it was done.

    Args:
        arguments: Those of the command line: none, ``once`` or ``check``.

    Returns:
        The exit status.
    """
    if arguments == ["check"]:
        return _check(os.environ)
    if arguments == ["once"]:
        return _once(os.environ)
    _each_day(os.environ)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

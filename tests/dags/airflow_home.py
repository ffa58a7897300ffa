"""A fresh Airflow of a test's own: a home, a database, and the command line that works on them."""

from __future__ import annotations

import json
import os
import select
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from tests.conftest import STEP_IMAGE, Cloud

from localcloud.testing.clouds import OF_STAND_IN

ROOT = Path(__file__).resolve().parents[2]
_COMMAND_SECONDS = 900


@dataclass(frozen=True)
class Finished:
    """How a command ended; ``output`` is all that it printed."""

    status: int
    output: str

    def succeeded(self) -> Finished:
        assert self.status == 0, self.output[-8000:]
        return self


def airflow_environment(cloud: Cloud, home: Path) -> dict[str, str]:
    """Return the environment in which Airflow finds the DAGs, the plugins and, through ``aws_default``, the cloud."""
    return {
        **cloud.environment,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": "^[A-Za-z0-9_.~:+=-]+$",
        "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",  # seconds: the tests don't wait as long as production does
        "AIRFLOW_CONN_AWS_DEFAULT": aws_connection(cloud.endpoint_url, cloud.sagemaker_endpoint_url),
        "NO_COLOR": "1",
        "SLUICE_STEP_IMAGE": STEP_IMAGE,
        "PYTHONPATH": str(ROOT / "include"),
    }


def aws_connection(endpoint_url: str, sagemaker_endpoint_url: str) -> str:
    """Return the connection ``aws_default``, as ``.env.example`` sets it."""
    services = {name: {"endpoint_url": sagemaker_endpoint_url} for name in OF_STAND_IN}
    return json.dumps({"conn_type": "aws", "extra": {"endpoint_url": endpoint_url, "service_config": services}})


@dataclass
class AirflowHome:
    """Runs commands in the environment; ``loop`` is a process that has Airflow imported already."""

    folder: Path
    environment: Mapping[str, str]
    loop: subprocess.Popen[str] | None = field(default=None, init=False)

    def on(self, cloud: Cloud) -> AirflowHome:
        """Return this Airflow on another cloud, with the same database and the same process."""
        home = replace(self, environment={**self.environment, **airflow_environment(cloud, self.folder)})
        home.loop = self._loop()
        return home

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Run ``python -m …`` in a process of its own, as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**_environment(), **self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout)

    def dags_test(self, dag_id: str, date: str, **params: Any) -> Finished:
        """Run ``airflow dags test`` in the process that has Airflow imported already.

        With the name of the bundle, the DAGs are written to the database once, and without it twice.
        """
        return self.airflow(*_dags_test(dag_id, date, params), "--bundle-name", "dags-folder")

    def cold_dags_test(self, dag_id: str, date: str, **params: Any) -> Finished:
        """Run ``airflow dags test`` in a process of its own."""
        return self.command("airflow", *_dags_test(dag_id, date, params))

    def airflow(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Run ``airflow`` in the process that has Airflow imported; the environment is that of this command alone."""
        loop = self._loop()
        assert loop.stdin is not None
        assert loop.stdout is not None
        log = self.folder / "command.log"
        request = {
            "command": arguments,
            "environment": {**self.environment, **(environment or {})},
            "log": str(log),
        }
        print(json.dumps(request), file=loop.stdin, flush=True)
        status = _line(loop.stdout)
        output = log.read_text(errors="replace")
        assert status, f"{arguments} took longer than {_COMMAND_SECONDS} s, or its process ended: {output[-8000:]}"
        return Finished(int(status), output)

    def xcoms(self) -> list[tuple[str, str, str]]:
        """Return the DAG, the task and the JSON value of every XCom in the database."""
        with closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            return database.execute("SELECT dag_id, task_id, CAST(value AS TEXT) FROM xcom").fetchall()

    def _loop(self) -> subprocess.Popen[str]:
        if self.loop is None:
            self.loop = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("airflow_loop.py"))],
                cwd=ROOT,
                env={**_environment(), **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self.loop

    def close(self) -> None:
        if self.loop is not None:
            with self.loop:
                self.loop.kill()


@contextmanager
def fresh_airflow(cloud: Cloud, folder: Path) -> Iterator[AirflowHome]:
    """Make an Airflow that has run nothing yet, with its database."""
    home = AirflowHome(folder, airflow_environment(cloud, folder))
    try:
        home.airflow("db", "migrate").succeeded()
        yield home
    finally:
        home.close()


def _dags_test(dag_id: str, date: str, params: Mapping[str, Any]) -> Sequence[str]:
    return ["dags", "test", dag_id, date, "-c", json.dumps(params)]


def _environment() -> dict[str, str]:
    """Return this process's environment without the variable that makes Airflow compile itself in every process."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _line(stream: IO[str]) -> str:
    ready, _, _ = select.select([stream], [], [], _COMMAND_SECONDS)
    return stream.readline() if ready else ""

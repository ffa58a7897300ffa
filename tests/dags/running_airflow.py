"""A whole Airflow of a test's own, as it runs in production: API server, scheduler, DAG processor and triggerer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from tests.conftest import free_ports
from tests.dags.airflow_home import ROOT, AirflowHome

from localcloud.testing.waiting import wait_for

_COMPONENTS = ("api-server", "scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs")
_HEALTHY = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_START_SECONDS = 120
_STOP_SECONDS = 30
_SECONDS_BETWEEN_LOOKS = 0.25  # each is a request that the API server answers


@dataclass(frozen=True)
class Airflow:
    """The REST API of a running Airflow, by which a test does what a user does in the UI."""

    home: AirflowHome
    url: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer of ``/api/v2/<path>``; raise an HTTPError for any refusal."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = Request(f"{self.url}/api/v2/{path}", method=method, headers=headers)
        data = None if body is None else json.dumps(body).encode()
        with build_opener(ProxyHandler({})).open(request, data=data, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def trigger(self, dag_id: str, *, logical_date: str | None = None, **conf: Any) -> str:
        """Trigger a run as the UI's form does; return the run's name."""
        body = {"logical_date": logical_date, "conf": conf}
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Return every run of a DAG, by name."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return {run["dag_run_id"]: run for run in found}

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
        return found

    def ended(self, dag_id: str, run_id: str, *, seconds: float = 120) -> dict[str, Any]:
        """Return the run, once it has ended. On a slow machine it may take long, but in so many seconds a task changes.

        The error of a run that stands still says where it stands.
        """
        stands = self._stands(dag_id, run_id)
        while not stands.startswith(("success", "failed")):
            stands = wait_for(
                lambda before=stands: now if (now := self._stands(dag_id, run_id)) != before else None,
                seconds=seconds,
                what=f"change of {dag_id} {run_id}, which stands at {stands}",
                every=_SECONDS_BETWEEN_LOOKS,
            )
        return self.run(dag_id, run_id)

    def _stands(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run, and of each of its tasks with the try."""
        tasks = [f"{each['task_id']} {each['state']} {each['try_number']}" for each in self.tasks(dag_id, run_id)]
        return f"{self.run(dag_id, run_id)['state']}: {', '.join(tasks)}"

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear a whole run, as the UI's button does."""
        self.call("POST", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/clear", {"dry_run": False})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = self.call("GET", path)["task_instances"]
        return found

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task by hand, as the UI's button does."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"
        self.call("PATCH", path, {"new_state": state})

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the log of a task as the UI shows it, with its errors."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", f"{path}?full_content=true")["content"]
        return "\n".join(f"{line['event']} {_reasons(line)}" for line in content)

    def end(self, dag_id: str, run_id: str) -> None:
        """Mark a whole run as failed."""
        self.call("PATCH", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}", {"state": "failed"})

    def pause(self, dag_id: str) -> None:
        self.call("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": True})

    def unpause(self, *dag_ids: str) -> None:
        for dag_id in dag_ids:
            self.call("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False})


def _reasons(line: Mapping[str, Any]) -> str:
    """Return the errors of a line of a log, or why Airflow has ended the task."""
    errors = [error["exc_value"] for error in line.get("error_detail") or ()]
    return " ".join([*errors, json.dumps(line["detail"])] if "detail" in line else errors)


@contextmanager
def running_airflow(home: AirflowHome, settings: Mapping[str, str] | None = None) -> Iterator[Airflow]:
    """Run all components, with these environment variables as well; each is healthy and every DAG is paused.

    Their output is in the home's folder.
    """
    with _running(home, _COMPONENTS, _HEALTHY, settings or {}) as url:
        with build_opener(ProxyHandler({})).open(f"{url}/auth/token", timeout=30) as answer:
            token = json.load(answer)["access_token"]
        yield Airflow(home, url, token)


@contextmanager
def running_api_server(home: AirflowHome, settings: Mapping[str, str]) -> Iterator[str]:
    """Run the API server alone, with these environment variables as well; yield its URL."""
    with _running(home, _COMPONENTS[:1], _HEALTHY[:1], settings) as url:
        yield url


@contextmanager
def _running(
    home: AirflowHome, components: Sequence[str], healthy: Sequence[str], settings: Mapping[str, str]
) -> Iterator[str]:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **home.environment,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": "of-a-test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-a-test-that-is-long-enough-for-a-signature-of-its-tokens-by-hmac-512",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # No test changes a DAG while it runs. Parsing again and again took a third of the processor's time.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        **settings,
    }
    started = [_start(component, environment, home.folder) for component in components]
    try:
        wait_for(
            lambda: all((_health(url).get(name) or {}).get("status") == "healthy" for name in healthy),
            seconds=_START_SECONDS,
            what="a healthy Airflow",
        )
        yield url
    finally:
        _stop(started)


def _start(component: str, environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{component.split()[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *component.split()],
            cwd=ROOT,
            env=dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop the components and their children: each component is a process group of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)


def _health(url: str) -> dict[str, Any]:
    """Return the health of the components; empty while the API server does not answer."""
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, HTTPError):
        return {}

"""Starts and stops Airflow and the embedded cloud on this machine: `make up` and `make down`.

The settings come from the environment (.env.example).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO
from urllib.request import ProxyHandler, build_opener

import psycopg
from deploy import prepare, supervised, workers
from deploy.cloud import CloudFailed, cloud_status, start_cloud, stop_cloud
from deploy.login import ensure_password, login_link
from deploy.ports import AIRFLOW_PORTS, PortTaken, require_free

ROOT = Path(__file__).resolve().parents[1]

_STATE = ROOT / ".sluice"
_DATABASE = "postgres"
_WEB = "api-server"
_RETENTION = "retention"
_NEED_THE_WEB = ("scheduler", "dag-processor", "triggerer")  # their first calls fail until the API server listens
_HEALTH_NAMES = ("metadatabase", "scheduler", "dag_processor", "triggerer")

_LONGEST_START = 180
_LONGEST_PROBE = 5
_SECONDS_BETWEEN_PROBES = 0.5


class LaptopError(Exception):
    """A start or a stop failed. The message is one line: what failed, where, and the next action."""


def up() -> None:
    """Start what doesn't run yet, in order, and wait until all of it is healthy.

    After an error or Ctrl-C, what this call started is stopped again.

    Raises:
        LaptopError: a command failed, a program isn't healthy in time, or another `make up` or `make down` runs.
        CloudFailed: the embedded cloud could not be started.
        PortTaken: another program listens on a port; nothing was started.
        SupervisorError: a program ends whenever it is started.
        WorkersError: there are too many Celery workers, or their broker is not installed.
    """
    with _alone(), ExitStack() as undo:
        _require_secrets()
        workers.require_redis(os.environ)
        airflow_runs, cloud = supervised.is_running(), cloud_status()
        require_free(os.environ, [*(() if airflow_runs else AIRFLOW_PORTS), *cloud.missing_ports])
        if not cloud.healthy:
            undo.callback(stop_cloud)
        _say("starting the embedded cloud")
        start_cloud()
        if not airflow_runs:
            undo.callback(supervised.stop)
            supervised.start_supervisor()
        _start_airflow(first_time=not airflow_runs)
        undo.pop_all()
    _say_what_to_click()


def down() -> None:
    """Stop Airflow, then the embedded cloud. If nothing runs, do nothing.

    Raises:
        LaptopError: another `make up` or `make down` runs.
        CloudFailed: the embedded cloud could not be stopped.
    """
    with _alone():
        _say(f"stopped: {'Airflow' if supervised.stop() else 'no Airflow ran'}")
        stop_cloud()


@contextmanager
def _alone() -> Iterator[None]:
    _STATE.mkdir(exist_ok=True)
    with (_STATE / "laptop.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LaptopError("another `make up` or `make down` is at work here; wait for it to end") from error
        yield


def _require_secrets() -> None:
    try:
        prepare.require_secrets(os.environ)
    except prepare.ShippedSecrets as error:
        raise LaptopError(str(error)) from error


def _start_airflow(*, first_time: bool) -> None:
    _say("starting PostgreSQL, for Airflow's records")
    supervised.start(_DATABASE)
    _wait_until(_database_answers, _DATABASE)
    if workers.uses_celery(os.environ):
        workers.make_folders()
        supervised.start(*workers.BROKER)
    if first_time and prepare.main():
        raise LaptopError("what Airflow and the pipelines need could not be made ready; see above")
    ensure_password(os.environ)
    _say("starting Airflow's API server and web UI")
    supervised.start(_WEB)
    _wait_until(lambda: bool(_health()), _WEB)
    _say(f"starting Airflow's {', '.join(_NEED_THE_WEB)}")
    supervised.start(*_NEED_THE_WEB)
    _wait_until(lambda: all(_health().get(name) == "healthy" for name in _HEALTH_NAMES), *_NEED_THE_WEB)
    supervised.start(_RETENTION)
    if workers.uses_celery(os.environ):
        _start_workers(int(os.environ["WORKERS"]))


def _start_workers(count: int) -> None:
    """Start Celery workers, and wait until each answers."""
    programs = workers.programs(count)
    _say(f"starting {count} Celery workers")
    supervised.start(*programs)
    _wait_until(lambda: workers.answers(count), *programs)


def _wait_until(ready: Callable[[], bool], *programs: str) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while not ready():
        supervised.require_started(*programs)
        if time.monotonic() > deadline:
            logs = ", ".join(str(supervised.log_of(program)) for program in programs)
            raise LaptopError(f"{', '.join(programs)} not healthy after {_LONGEST_START} s; see {logs}")
        time.sleep(_SECONDS_BETWEEN_PROBES)


def _database_answers() -> bool:
    """Return whether Airflow's database accepts connections."""
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    try:
        psycopg.connect(address, connect_timeout=_LONGEST_PROBE).close()
    except psycopg.OperationalError:
        return False
    return True


def _health() -> dict[str, str]:
    """Return the health of each component, by the API server; empty while it doesn't respond."""
    host, port = os.environ["AIRFLOW__API__HOST"], os.environ["AIRFLOW__API__PORT"]
    try:
        direct = build_opener(ProxyHandler({}))
        with direct.open(f"http://{host}:{port}/api/v2/monitor/health", timeout=_LONGEST_PROBE) as response:
            return {name: (part or {}).get("status", "") for name, part in json.load(response).items()}
    except OSError:
        return {}


def _say_what_to_click() -> None:
    _say(
        "\nAirflow runs. Click first, to log in:\n"
        f"  {login_link(os.environ)}\n"
        "Then open Dags: <pipeline>_transform shows the partitions.\n"
        f"`make down` stops all of it; the logs are in {supervised.LOGS.relative_to(ROOT)}."
    )


def _say(line: str, to: TextIO = sys.stdout) -> None:
    to.write(f"{line}\n")
    to.flush()


def main(command: str) -> int:
    """Run ``up`` or ``down``.

    Returns:
        The exit status: 0, 1 after an error, 130 after an interruption.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        {"up": up, "down": down}[command]()
    except (LaptopError, CloudFailed, PortTaken, workers.WorkersError, supervised.SupervisorError) as error:
        _say(f"make {command}: {error}", to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say(f"make {command}: interrupted", to=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

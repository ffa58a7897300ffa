"""Airflow and the embedded cloud on this machine: what `make up` and `make down` do.

The settings come from the environment (.env.example). What is started belongs either to `localcloud` or to the
session of one supervisord: by that session, and by nothing else, `down` knows what to stop.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO
from urllib.request import ProxyHandler, build_opener

import psutil
from deploy import prepare

ROOT = Path(__file__).resolve().parents[1]

_STATE = ROOT / ".sluice"
_LOGS = _STATE / "airflow" / "logs"
_CONFIG = ROOT / "deploy" / "supervisord.conf"
_SUPERVISOR_PID = _STATE / "supervisord.pid"
_COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")

_LONGEST_COMMAND = 900
_LONGEST_START = 180
_LONGEST_STOP = 120
_LONGEST_GOODBYE = 10
_LONGEST_ASK = 5
_SECONDS_BETWEEN_LOOKS = 2


class LaptopError(Exception):
    """What went wrong, where, and the next action, in one line."""


def up() -> None:
    """Starts what doesn't run yet and waits until all of it is healthy.

    Raises:
        LaptopError: the port is taken, a command failed, or a component isn't healthy in time. Whatever this
            call started is stopped again, likewise after Ctrl-C.
    """
    host, port = os.environ["AIRFLOW__API__HOST"], int(os.environ["AIRFLOW__API__PORT"])
    with _alone(), ExitStack() as undo:
        airflow_runs = _supervisor() is not None
        if not airflow_runs:
            _require_free_port(host, port)
        if not _cloud_runs():
            undo.callback(_localcloud, "down")
        _localcloud("up")
        if not airflow_runs:
            _prepare()
            undo.callback(_stop_airflow)
            _start_airflow()
        _wait_until_healthy(f"http://{host}:{port}")
        undo.pop_all()
    _say(f"Airflow is at http://{host}:{port} (logs: {_LOGS.relative_to(ROOT)}); `make down` stops it")


def down() -> None:
    """Stops Airflow, then the embedded cloud. Does nothing where nothing runs.

    Raises:
        LaptopError: the embedded cloud could not be stopped.
    """
    with _alone():
        _say(f"stopped: {'Airflow' if _stop_airflow() else 'no Airflow ran'}")
        _localcloud("down")


@contextmanager
def _alone() -> Iterator[None]:
    _STATE.mkdir(exist_ok=True)
    with (_STATE / "laptop.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LaptopError("another `make up` or `make down` is at work here; wait for it to end") from error
        yield


def _prepare() -> None:
    if prepare.main():
        raise LaptopError("what Airflow and the pipelines need could not be made ready; see above")


def _start_airflow() -> None:
    _LOGS.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "supervisor.supervisord", "-c", str(_CONFIG)])


def _stop_airflow() -> bool:
    """True if anything ran. Supervisord stops its components in order; what outlives it is ended after it."""
    ran = bool(_session())
    if supervisor := _supervisor():
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=_LONGEST_STOP)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = _session()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=_LONGEST_GOODBYE)
    return ran


def _supervisor() -> psutil.Process | None:
    """The supervisord of this checkout, if it runs."""
    return next((process for process in _session() if process.pid == os.getsid(process.pid)), None)


def _session() -> list[psutil.Process]:
    """Supervisord and all that it started, even where a parent died: they share the session that it began.

    They also share the checkout as working directory; a number that the system gave to someone else since
    is thereby not taken for theirs.
    """
    record = _SUPERVISOR_PID.read_text().strip() if _SUPERVISOR_PID.exists() else ""
    return [process for process in psutil.process_iter() if record and _belongs(process, int(record))]


def _belongs(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and process.cwd() == str(ROOT)
    except (psutil.Error, OSError):  # gone meanwhile, or somebody else's
        return False


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while waiting_for := _unhealthy(url):
        if dead := _given_up():
            raise LaptopError(f"{', '.join(dead)} can't be started; see {_LOGS / dead[0]}.log")
        if time.monotonic() > deadline:
            raise LaptopError(f"{', '.join(waiting_for)} not healthy after {_LONGEST_START} s; see the logs in {_LOGS}")
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _unhealthy(url: str) -> list[str]:
    """The components that the API server doesn't report as healthy; all of them while it doesn't answer."""
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/api/v2/monitor/health", timeout=_LONGEST_ASK) as answer:
            health = json.load(answer)
    except OSError:
        return ["api-server"]
    return [name for name in _COMPONENTS if (health.get(name) or {}).get("status") != "healthy"]


def _given_up() -> list[str]:
    """The components that supervisord has tried to start often enough."""
    supervisorctl = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(_CONFIG), "status"]
    status = subprocess.run(supervisorctl, capture_output=True, text=True, timeout=_LONGEST_COMMAND)
    return [line.split()[0] for line in status.stdout.splitlines() if "FATAL" in line]


def _require_free_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LaptopError(
                f"port {port} of {host} is not free ({error.strerror}); stop what listens there (`make down`, "
                f"if it is an earlier `make up`) or set AIRFLOW__API__PORT in .env (a copy of .env.example)"
            ) from error


def _cloud_runs() -> bool:
    return subprocess.run(_localcloud_command("status"), capture_output=True, timeout=_LONGEST_COMMAND).returncode == 0


def _localcloud(command: str) -> None:
    _run(_localcloud_command(command))


def _localcloud_command(command: str) -> list[str]:
    return [str(ROOT / ".venv-cloud" / "bin" / "python"), "-m", "localcloud", command]


def _run(command: list[str]) -> None:
    """Raises LaptopError if the command fails (it has said why) or hangs."""
    try:
        status = subprocess.run(command, cwd=ROOT, timeout=_LONGEST_COMMAND).returncode
    except subprocess.TimeoutExpired as error:
        raise LaptopError(f"`{' '.join(command)}` was not done after {_LONGEST_COMMAND} s and was ended") from error
    if status:
        raise LaptopError(f"`{' '.join(command)}` failed with status {status}; see above")


def _say(line: str, to: TextIO = sys.stdout) -> None:
    to.write(f"{line}\n")
    to.flush()


def main(command: str) -> int:
    """Runs ``up`` or ``down``; 0, or 1 after an error, or 130 after an interruption."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        {"up": up, "down": down}[command]()
    except LaptopError as error:
        _say(f"make {command}: {error}", to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say(f"make {command}: interrupted", to=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""``make up`` starts all of it, in order, ``make down`` stops all of it and nothing else."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from deploy.checkout import LONGEST, PORTS, ROOT, Checkout, make_checkout

from localcloud.testing.waiting import wait_for

_PROGRAMS = 6

_NOTES_ITS_TRIES = '''
"""A DAG of a test."""

import os
import time

from airflow.sdk import DAG, task

with DAG("noting", schedule="@once"):

    @task
    def note() -> None:
        with open(os.environ["TRIES"], "a") as tries:
            tries.write("tried ")
        time.sleep(600)

    note()
'''


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    with _checkout() as made:
        yield made


@contextmanager
def _checkout(dags: Path = ROOT / "dags") -> Iterator[Checkout]:
    """In a folder of its own whose path is short, as a Unix socket needs it, and has a space."""
    with tempfile.TemporaryDirectory(prefix="sluice ") as folder:
        made = make_checkout(Path(folder) / "checkout", dags)
        yield made
        made.run("down")


@pytest.mark.parametrize("name", PORTS)
def test_taken_port_is_reported_before_anything_is_started(checkout: Checkout, name: str) -> None:
    port = int(checkout.settings[name])
    with socket.create_server(("127.0.0.1", port)):
        status, output = checkout.run("up")

    assert status == 1
    assert output.startswith(f"make up: port {port} of 127.0.0.1 is not free")
    assert f"set {name} in .env" in output
    assert output.count("\n") == 1
    assert not (checkout.folder / ".sluice" / "cloud" / "logs").exists()
    assert checkout.processes() == []


def test_shipped_secrets_are_refused_where_others_can_reach(checkout: Checkout) -> None:
    status, output = checkout.run("up", AIRFLOW__API__HOST="0.0.0.0")

    assert status == 1
    assert output.startswith("make up: others can reach 0.0.0.0 (AIRFLOW__API__HOST)")
    assert output.count("\n") == 1
    assert checkout.processes() == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs what is refused here")
def test_root_without_user_namespaces_gets_the_next_action(checkout: Checkout) -> None:
    programs = checkout.folder / "programs"
    programs.mkdir()
    (programs / "unshare").write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    (programs / "unshare").chmod(0o755)

    status, output = checkout.run("up", PATH=f"{programs}:/usr/bin:/bin")

    assert status == 1
    assert (
        "make up: postgres can't be started: postgres: PostgreSQL does not run as root, and user namespaces are not "
        "allowed here (unshare failed: Operation not permitted); run `make up` as an ordinary user"
    ) in output
    assert checkout.processes() == []


def test_path_that_is_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    checkout = make_checkout(deep / "checkout")

    status, output = checkout.run("up")

    assert status == 1
    assert re.search(
        r"^make up: the path of /.* is \d+ bytes too long for a Unix socket in it; move the checkout$", output, re.M
    )
    assert checkout.processes() == []


def test_down_succeeds_where_nothing_runs(checkout: Checkout) -> None:
    assert checkout.run("down")[0] == 0
    assert checkout.run("down")[0] == 0


def test_interrupted_start_leaves_no_process(checkout: Checkout) -> None:
    process = checkout.start("up")
    assert process.stdout is not None
    while "airflow db migrate" not in process.stdout.readline():  # the cloud and the database are up
        assert process.poll() is None
    assert checkout.run("down") == (
        1,
        "make down: another `make up` or `make down` is at work here; wait for it to end\n",
    )

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=LONGEST)

    assert process.returncode == 130
    assert output.endswith("make up: interrupted\n")
    assert checkout.processes() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_up_starts_all_and_down_stops_all(checkout: Checkout) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "600"], cwd=checkout.folder, start_new_session=True)
    try:
        status, output = checkout.run("up")
        assert status == 0, output
        assert f"\n  {checkout.url}/sluice/login/#" in output
        assert _health(checkout) == dict.fromkeys(
            ("metadatabase", "scheduler", "dag_processor", "triggerer"), "healthy"
        )
        assert _pools(checkout)["sluice_ingest"] == 10
        _wait_for_dags(checkout)
        assert _listening(checkout.processes()) == {("127.0.0.1", port) for port in checkout.ports}
        # Both logs have whole seconds, and the API server takes several to listen.
        assert _start_of(checkout, "scheduler", "dag-processor", "triggerer") >= _listens_since(checkout)

        components = _wait_for_supervisor(checkout).children()
        _service(checkout, "localcloud.sagemaker").kill()
        assert checkout.run("up")[0] == 0
        assert _service(checkout, "localcloud.sagemaker").is_running()
        assert _wait_for_supervisor(checkout).children() == components

        status, output = checkout.run("down")
        assert status == 0, output
        assert [process.pid for process in checkout.processes()] == [bystander.pid]
        for port in checkout.ports:
            socket.create_server(("127.0.0.1", port)).close()
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_records_survive_a_kill_of_their_database(checkout: Checkout) -> None:
    assert checkout.run("up")[0] == 0
    assert checkout.airflow("pools", "set", "kept", "3", "by a test").returncode == 0
    killed = _database(checkout)
    killed.kill()
    wait_for(lambda: (found := _database(checkout)) and found != killed, seconds=60, what="another database server")

    assert wait_for(lambda: _pools_if_answered(checkout), seconds=60, what="Airflow's answer")["kept"] == 3

    assert checkout.run("down")[0] == 0
    assert checkout.run("up")[0] == 0
    assert _pools(checkout)["kept"] == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_down_stops_what_is_left_after_a_kill(checkout: Checkout) -> None:
    starting = checkout.start("up")
    supervisor = _wait_for_supervisor(checkout)
    for process in (starting, supervisor):
        process.kill()
        process.wait(timeout=10)
    assert len(checkout.processes()) >= _PROGRAMS + 2  # and the two of the cloud

    assert checkout.run("down")[0] == 0

    assert checkout.processes() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_work_of_a_killed_scheduler_is_taken_over_and_down_stops_its_workers(tmp_path: Path) -> None:
    """The workers survive it and have no parent: the next scheduler has workers of its own."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "of_the_test.py").write_text(_NOTES_ITS_TRIES)
    with _checkout(tmp_path / "dags") as checkout:
        tries = checkout.folder / "tries"
        assert checkout.run("up", TRIES=str(tries))[0] == 0
        wait_for(tries.exists, seconds=120, what="the task")
        supervisor = _wait_for_supervisor(checkout)
        (scheduler,) = [child for child in supervisor.children() if "scheduler" in child.cmdline()]
        workers = scheduler.children()
        scheduler.kill()
        wait_for(lambda: all(worker.ppid() == 1 for worker in workers), what="the workers to be left alone")

        # What a late event changes is rebuilt within two minutes.
        wait_for(lambda: len(tries.read_text().split()) == 2, seconds=110, what="the task, tried again")

        assert checkout.run("down")[0] == 0
        assert checkout.processes() == []


def _wait_for_supervisor(checkout: Checkout) -> psutil.Process:
    """Return the supervisor, once it has started all of its programs."""
    record = checkout.folder / ".sluice" / "supervisord.pid"

    def supervisor() -> psutil.Process | None:
        if not record.exists() or not record.read_text():
            return None
        process = psutil.Process(int(record.read_text()))
        return process if len(process.children()) == _PROGRAMS else None

    return wait_for(supervisor, seconds=LONGEST, what="the supervisor and its programs")


def _service(checkout: Checkout, module: str) -> psutil.Process:
    """Return the process of the embedded cloud that runs the module."""
    return next(process for process in checkout.processes() if module in process.cmdline())


def _database(checkout: Checkout) -> psutil.Process | None:
    """Return the database server that supervisord runs, once it has become PostgreSQL."""
    children = _wait_for_supervisor(checkout).children()
    return next((child for child in children if child.name() == "postgres"), None)


def _start_of(checkout: Checkout, *names: str) -> datetime:
    """Return when the supervisor started the first of the programs."""
    log = (checkout.folder / ".sluice" / "airflow" / "logs" / "supervisord.log").read_text()
    spawned = {
        name: when for when, name in re.findall(r"^(\S+ \S+),\d+ INFO spawned: '(\S+)'", log, flags=re.MULTILINE)
    }
    return min(datetime.strptime(spawned[name], "%Y-%m-%d %H:%M:%S").astimezone(UTC) for name in names)


def _listens_since(checkout: Checkout) -> datetime:
    """Return when the API server had started."""
    log = (checkout.folder / ".sluice" / "airflow" / "logs" / "api-server.log").read_text()
    (when,) = re.findall(r"^(\S+Z) .*Application startup complete", log, flags=re.MULTILINE)
    return datetime.fromisoformat(when).replace(microsecond=0)


def _health(checkout: Checkout) -> dict[str, str]:
    return {name: part["status"] for name, part in checkout.call("monitor/health").items()}


def _pools(checkout: Checkout) -> dict[str, int]:
    return {pool["name"]: pool["slots"] for pool in checkout.call("pools")["pools"]}


def _pools_if_answered(checkout: Checkout) -> dict[str, int] | None:
    try:
        return _pools(checkout)
    except OSError:
        return None


def _wait_for_dags(checkout: Checkout) -> None:
    names = ("ingest_queue", "redrive", "replay", "train", "transform")
    expected = {f"flights_{name}" for name in names}

    def are_there() -> bool:
        return expected <= {dag["dag_id"] for dag in checkout.call("dags?paused=false")["dags"]}

    wait_for(are_there, seconds=60, what="the DAGs, without import errors")


def _listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Return the addresses on which one of the processes listens; a process may end meanwhile."""
    connections = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            connections += process.net_connections(kind="inet")
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}

"""``make up`` starts all of it, ``make down`` stops all of it and nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest
from tests.deployment.files import ROOT, read_settings
from tests.waiting import wait_for

_LONGEST = 300


def _heed_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Checkout:
    """A copy of this project with ports of its own, so that a test never meets what its user runs."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def web_port(self) -> int:
        return int(self.settings["AIRFLOW__API__PORT"])

    @property
    def ports(self) -> list[int]:
        names = ("AIRFLOW__API__PORT", "LOCALCLOUD_PORT", "LOCALCLOUD_SAGEMAKER_PORT")
        return [int(self.settings[name]) for name in names]

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [".venv/bin/python", "-m", "deploy.laptop", command],
            cwd=self.folder,
            env=dict(self.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Whoever runs the tests in the background has SIGINT ignored, and would hand that down.
            preexec_fn=_heed_sigint,
        )

    def run(self, command: str) -> tuple[int, str]:
        """The exit status and the output of ``up`` or ``down``."""
        process = self.start(command)
        output, _ = process.communicate(timeout=_LONGEST)
        return process.returncode, output

    def processes(self) -> list[psutil.Process]:
        """Whatever runs in the folder or from it."""
        found = []
        for process in psutil.process_iter():
            try:
                told = [process.cwd(), *process.cmdline()]
            except psutil.Error:
                continue
            if any(str(self.folder) in each for each in told):
                found.append(process)
        return found


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for shared in (".venv", ".venv-cloud", "include", "plugins", "dags"):
        (folder / shared).symlink_to(ROOT / shared)
    text = (ROOT / ".env.example").read_text()
    for name, port in zip(("8080", "4566", "4567"), _free_ports(3), strict=True):
        text = text.replace(f"PORT={name}\n", f"PORT={port}\n")
    (folder / ".env").write_text(text)
    settings = {**read_settings(folder / ".env", folder), "PATH": "/usr/bin:/bin"}
    made = Checkout(folder, settings)
    yield made
    made.run("down")


def test_taken_port_is_told_before_anything_is_started(checkout: Checkout) -> None:
    with socket.create_server(("127.0.0.1", checkout.web_port)):
        status, output = checkout.run("up")

    assert status == 1
    assert output.startswith(f"make up: port {checkout.web_port} of 127.0.0.1 is not free")
    assert output.count("\n") == 1
    assert not (checkout.folder / ".sluice" / "cloud").exists()


def test_down_where_nothing_runs_is_content(checkout: Checkout) -> None:
    assert checkout.run("down")[0] == 0
    assert checkout.run("down")[0] == 0


def test_interrupted_start_leaves_nothing(checkout: Checkout) -> None:
    process = checkout.start("up")
    assert process.stdout is not None
    assert "127.0.0.1" in process.stdout.readline()  # the cloud is up, and the database on its way
    assert checkout.run("down") == (
        1,
        "make down: another `make up` or `make down` is at work here; wait for it to end\n",
    )

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=_LONGEST)

    assert process.returncode == 130
    assert output.endswith("make up: interrupted\n")
    assert checkout.processes() == []


@pytest.mark.slow
def test_up_and_down(checkout: Checkout) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "600"], cwd=checkout.folder, start_new_session=True)
    try:
        status, output = checkout.run("up")
        assert status == 0, output
        assert f"Airflow is at http://127.0.0.1:{checkout.web_port}" in output
        assert _health(checkout) == dict.fromkeys(
            ("metadatabase", "scheduler", "dag_processor", "triggerer"), "healthy"
        )
        assert _pools(checkout)["sluice_ingest"] == 10
        _wait_for_dags(checkout)
        assert _listening(checkout.processes()) == {("127.0.0.1", port) for port in checkout.ports}

        components = _wait_for_supervisor(checkout).children()
        assert checkout.run("up")[0] == 0
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
def test_down_ends_what_is_left_where_all_was_killed(checkout: Checkout) -> None:
    starting = checkout.start("up")
    supervisor = _wait_for_supervisor(checkout)
    for process in (starting, supervisor):
        process.kill()
        process.wait(timeout=10)
    assert len(checkout.processes()) >= 6  # Airflow's four components, and the two of the cloud

    assert checkout.run("down")[0] == 0

    assert checkout.processes() == []


def _wait_for_supervisor(checkout: Checkout) -> psutil.Process:
    """The supervisor, once it has started Airflow's four components."""
    record = checkout.folder / ".sluice" / "supervisord.pid"

    def supervisor() -> psutil.Process | None:
        if not record.exists() or not record.read_text():
            return None
        process = psutil.Process(int(record.read_text()))
        return process if len(process.children()) == 4 else None

    return wait_for(supervisor, seconds=_LONGEST, what="the supervisor and its components")


def _ask(checkout: Checkout, path: str) -> Any:
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{checkout.web_port}/api/v2/{path}", timeout=30) as got:
        return json.load(got)


def _health(checkout: Checkout) -> dict[str, str]:
    return {name: part["status"] for name, part in _ask(checkout, "monitor/health").items()}


def _pools(checkout: Checkout) -> dict[str, int]:
    return {pool["name"]: pool["slots"] for pool in _ask(checkout, "pools")["pools"]}


def _wait_for_dags(checkout: Checkout) -> None:
    names = ("ingest_queue", "redrive", "replay", "train", "transform")
    expected = {f"flights_{name}" for name in names}

    def are_there() -> bool:
        return expected <= {dag["dag_id"] for dag in _ask(checkout, "dags?paused=false")["dags"]}

    wait_for(are_there, seconds=60, what="the DAGs, without import errors")


def _listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    connections = [connection for process in processes for connection in process.net_connections(kind="inet")]
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

"""Bringing the embedded cloud up and down as a user does, also when something goes wrong."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from localcloud import processes
from localcloud.services import emulator
from localcloud.settings import Settings
from localcloud.testing.clouds import SERVICES, LocalCloud, free_ports
from localcloud.testing.processes import is_running
from localcloud.testing.waiting import wait_for


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_up_status_and_down_report_and_change_the_cloud(localcloud: LocalCloud) -> None:
    assert localcloud.command("status").returncode == 3
    localcloud.up()
    first = {name: process.pid for name, process in localcloud.processes().items()}
    assert set(first) == set(SERVICES)
    localcloud.up()
    assert {name: process.pid for name, process in localcloud.processes().items()} == first, "up again changes nothing"
    status = localcloud.command("status")
    assert status.returncode == 0
    assert status.stdout.splitlines() == [
        f"emulator   http://127.0.0.1:{localcloud.port}  pid {first['emulator']}  healthy",
        f"sagemaker  http://127.0.0.1:{localcloud.sagemaker_port}  pid {first['sagemaker']}  healthy",
    ]
    assert one_line(localcloud.command("down").stdout) == "stopped: sagemaker, emulator"
    assert localcloud.processes() == {}
    assert one_line(localcloud.command("down").stdout) == "stopped: nothing ran"


def test_everything_listens_on_loopback_only(shared: LocalCloud) -> None:
    shared.up()
    for process in shared.processes().values():
        listening = [each.laddr for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
        assert [address.ip for address in listening] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("service", "option"),
    [("emulator", "--port or LOCALCLOUD_PORT"), ("sagemaker", "--sagemaker-port or LOCALCLOUD_SAGEMAKER_PORT")],
)
def test_a_taken_port_is_named_with_the_option_that_changes_it(
    localcloud: LocalCloud, service: str, option: str
) -> None:
    port = localcloud.port if service == "emulator" else localcloud.sagemaker_port
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        done = localcloud.command("up")
    assert done.returncode == 1
    message = one_line(done.stderr)
    assert f"{service}: port {port} on 127.0.0.1 is taken" in message
    assert option in message
    assert not any(localcloud.record(each).exists() for each in SERVICES)


def test_an_error_names_the_log_of_a_service_that_dies_and_nothing_is_left(localcloud: LocalCloud) -> None:
    localcloud.state.mkdir()
    (localcloud.state / "sagemaker").write_text("a file where the stand-in wants its folder")
    done = localcloud.command("up")
    assert done.returncode == 1
    log = localcloud.state / "logs" / "sagemaker.log"
    assert one_line(done.stderr) == f"localcloud: sagemaker died while starting; see {log}"
    assert "FileExistsError" in log.read_text() or "NotADirectoryError" in log.read_text()
    assert localcloud.processes() == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_during_up_leaves_nothing(localcloud: LocalCloud, number: signal.Signals) -> None:
    up = localcloud.start("up")
    pids = []
    for service in SERVICES:
        wait_for(localcloud.record(service).exists, what=f"the record of {service}")
        pids.append(json.loads(localcloud.record(service).read_text())["pid"])
    up.send_signal(number)
    _, error = up.communicate(timeout=60)
    assert up.returncode == 130
    assert one_line(error).startswith("localcloud: interrupted")
    assert not any(is_running(pid) for pid in pids)
    assert not any(localcloud.record(each).exists() for each in SERVICES)


def test_a_process_with_a_recycled_pid_is_not_stopped(localcloud: LocalCloud, shared: LocalCloud) -> None:
    shared.up()
    record = json.loads(shared.record("emulator").read_text())
    localcloud.state.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        localcloud.record("emulator").write_text(json.dumps(record | {"pid": stranger.pid}))
        assert one_line(localcloud.command("down").stdout) == "stopped: nothing ran"
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_without_a_command_line_yet_is_running(shared: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a process may be seen in the moment after its start."""
    shared.up()
    service = emulator(Settings(shared.state, shared.port, shared.sagemaker_port))
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: [])
    assert processes.running(service) == shared.processes()["emulator"]
    monkeypatch.setattr(psutil.Process, "status", lambda _: psutil.STATUS_ZOMBIE)
    assert processes.running(service) is None


@pytest.mark.timeout(20)
def test_a_zombie_has_ended(tmp_path: Path) -> None:
    """In a container without an init process, a zombie remains for ever."""
    service = emulator(Settings(tmp_path, *free_ports(2)))
    service.record.touch()
    parent = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        child = psutil.Process(int(left.stdout.readline()))
        processes.stop(service, child)
        assert child.status() == psutil.STATUS_ZOMBIE
        left.kill()
    assert not service.record.exists()


def test_the_emulator_does_not_start_if_its_state_can_not_be_loaded(localcloud: LocalCloud) -> None:
    localcloud.up()
    localcloud.command("down")
    with contextlib.closing(sqlite3.connect(localcloud.state / "emulator/state/state.sqlite")) as state, state:
        state.execute("UPDATE documents SET document = '{' WHERE service = 'sqs'")
    assert "emulator died while starting; see" in one_line(localcloud.command("up").stderr)
    assert "JSONDecodeError" in (localcloud.state / "logs/emulator.log").read_text()


def test_another_port_than_the_running_one_is_refused(shared: LocalCloud) -> None:
    shared.up()
    other = replace(shared, port=shared.port + 1)
    done = other.command("up")
    assert done.returncode == 1
    assert f"on port {shared.port}, not {shared.port + 1}" in one_line(done.stderr)


def test_up_starts_again_what_was_killed(shared: LocalCloud) -> None:
    shared.up()
    before = shared.processes()
    shared.kill("sagemaker")
    assert shared.command("status").returncode == 3
    shared.up()
    after = shared.processes()
    assert after["emulator"].pid == before["emulator"].pid
    assert after["sagemaker"].pid != before["sagemaker"].pid


def test_run_stops_both_services_on_a_signal(localcloud: LocalCloud) -> None:
    run = localcloud.start("run")
    wait_for(lambda: localcloud.command("status").returncode == 0, what="health")
    assert "already runs" in one_line(localcloud.command("run").stderr)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert localcloud.processes() == {}


def test_run_ends_with_an_error_if_a_service_dies(localcloud: LocalCloud) -> None:
    run = localcloud.start("run")
    wait_for(lambda: localcloud.command("status").returncode == 0, what="health")
    localcloud.processes()["emulator"].kill()
    _, error = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "emulator ended by itself; see" in one_line(error)
    assert localcloud.processes() == {}


def test_a_bad_port_is_refused(localcloud: LocalCloud) -> None:
    done = replace(localcloud, port=70_000).command("status")
    assert done.returncode == 2
    assert "70000 is not between 1 and 65535" in done.stderr

"""A launched command: what it may touch, how it ends, and that nothing of it is left."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localcloud.launcher import SIGNALLED, Order, launch
from localcloud.testing.waiting import wait_for

_SECONDS = 30


def _order(folder: Path, script: str) -> Order:
    return Order(
        command=(sys.executable, "-c", script),
        environment={"GREETING": "hello"},
        folder=str(folder),
        working_folder=str(folder),
        readable=(sys.prefix, sys.base_prefix),
        largest_file=1_000_000,
    )


def _run(folder: Path, script: str) -> tuple[int, str]:
    process = launch(_order(folder, script), subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    return process.wait(_SECONDS), output


def test_has_its_environment_only_and_writes_its_folder_only(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    (other / "secret").write_text("secret")
    script = f"""
import os, pathlib
print(sorted(os.environ.keys() - {{"LC_CTYPE"}}))
pathlib.Path("written").write_text("text")
for attempt in (lambda: open("{other}/secret").read(), lambda: open("{other}/new", "w")):
    try: attempt()
    except PermissionError: print("denied")
"""
    assert _run(own, script) == (0, "['GREETING']\ndenied\ndenied\n")
    assert (own / "written").read_text() == "text"
    assert not (other / "new").exists()


def test_uses_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = (
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]})); print('connected')"
        )
        assert _run(tmp_path, script) == (0, "connected\n")


def test_no_file_grows_beyond_the_limit(tmp_path: Path) -> None:
    code, output = _run(tmp_path, "with open('large', 'wb') as file: file.write(bytes(1_000_001))")
    assert code == 1
    assert "File too large" in output


@pytest.mark.parametrize(
    ("script", "code"),
    [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", SIGNALLED + signal.SIGKILL)],
)
def test_exits_as_the_command_did(tmp_path: Path, script: str, code: int) -> None:
    assert _run(tmp_path, script)[0] == code


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    order = Order(("/no/such",), {}, str(tmp_path), str(tmp_path), (), 1)
    process = launch(order, subprocess.PIPE)
    assert process.stdout is not None
    assert b"/no/such can't be run" in process.stdout.read()
    assert process.wait(_SECONDS) == 127


def test_all_of_it_ends_when_its_starter_is_gone(tmp_path: Path) -> None:
    """Also a process that leads a group of its own."""
    child = "[sys.executable, '-c', 'import time; time.sleep(600)'], process_group=0"
    script = f"import subprocess, sys; subprocess.run({child})"
    process = launch(_order(tmp_path, script), subprocess.DEVNULL)
    descendants = wait_for(lambda: _descendants(process.pid, 2), what="command with a child")
    assert process.stdin is not None
    process.stdin.close()
    process.wait(_SECONDS)
    wait_for(lambda: not any(map(_runs, descendants)), what="end of the command and its child")


def _descendants(pid: int, count: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    return found if len(found) == count else []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

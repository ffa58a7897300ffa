"""A call runs in a child process within its limits, and its caller learns how it has ended."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import sluice
from localcloud.testing.processes import is_running
from localcloud.testing.waiting import wait_for
from sluice.compute.memory import Peak
from sluice.compute.supervising import supervise

_MB = 1024 * 1024
_ROOMY, _LONG = 100_000, 60.0


def test_child_returns_its_value() -> None:
    ended = supervise(lambda: {"rows": 3}, _ROOMY, _LONG)

    assert (ended.reason, ended.value) == ("returned", {"rows": 3})
    assert 0 < ended.seconds < _LONG
    assert ended.peak_mb > 10


def test_child_is_another_process() -> None:
    assert supervise(os.getpid, _ROOMY, _LONG).value != os.getpid()


def test_large_value_arrives_whole() -> None:
    assert supervise(lambda: b"x" * 10 * _MB, _ROOMY, _LONG).value == b"x" * 10 * _MB


def test_error_of_the_child_is_returned() -> None:
    def fail() -> None:
        raise ValueError("no such column")

    ended = supervise(fail, _ROOMY, _LONG)

    assert ended.reason == "raised"
    assert isinstance(ended.value, ValueError)


def test_child_that_takes_too_long_is_killed() -> None:
    ended = supervise(lambda: time.sleep(_LONG), _ROOMY, 0.2)

    assert ended.reason == "time"
    assert 0.2 <= ended.seconds < 10


def test_child_that_holds_too_much_is_killed() -> None:
    def grow() -> None:
        held = bytearray(400 * _MB)
        time.sleep(_LONG)
        del held

    here = supervise(lambda: None, _ROOMY, _LONG).peak_mb

    ended = supervise(grow, here + 250, _LONG)

    assert ended.reason == "memory"
    assert ended.peak_mb > here + 150
    assert ended.seconds < 30


def hold_in_two(mb: int, until: Callable[[], bool]) -> None:
    """Hold so much in each of two processes of this one."""
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=hold, args=(mb, until)) for _ in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()


def hold(mb: int, until: Callable[[], bool]) -> None:
    held, deadline = bytearray(mb * _MB), time.monotonic() + 30
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)
    del held


def test_processes_that_hold_too_much_together_are_killed() -> None:
    alone = supervise(lambda: None, _ROOMY, _LONG).peak_mb

    ended = supervise(lambda: hold_in_two(200, lambda: False), alone + 300, _LONG)

    assert ended.reason == "memory"
    assert ended.peak_mb > alone + 250
    assert ended.seconds < 30


def test_peak_has_what_the_processes_of_the_child_hold_and_the_child_can_read_it() -> None:
    alone, peak = supervise(lambda: None, _ROOMY, _LONG).peak_mb, Peak()

    def note() -> float:
        hold_in_two(200, lambda: peak.mb > alone + 380)
        return peak.mb

    ended = supervise(note, _ROOMY, _LONG, peak)

    assert ended.value > alone + 380
    assert ended.peak_mb >= round(ended.value)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), -signal.SIGUSR1),
        (lambda: os._exit(3), 3),
    ],
)
def test_child_that_ends_without_an_answer_has_died_of_its_exit_code(end: Callable[[], None], code: int) -> None:
    ended = supervise(end, _ROOMY, _LONG)

    assert (ended.reason, ended.value) == ("died", code)


def test_child_that_dies_is_seen_while_a_process_of_its_own_lives() -> None:
    def leave_another() -> None:
        if os.fork() == 0:
            time.sleep(_LONG)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    ended = supervise(leave_another, _ROOMY, _LONG)

    assert (ended.reason, ended.value) == ("died", -signal.SIGKILL)
    assert ended.seconds < _LONG / 2


def test_child_may_have_processes_of_its_own() -> None:
    def in_a_pool() -> list[int]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, [-1, 2])

    ended = supervise(in_a_pool, _ROOMY, _LONG)

    assert (ended.reason, ended.value) == ("returned", [1, 2])


def test_child_is_ended_when_this_process_is_asked_to_stop() -> None:
    def ask() -> None:
        # A signal that comes earlier would end this process.
        wait_for(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, what="a process that minds the signal")
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=ask).start()

    assert supervise(lambda: time.sleep(_LONG), _ROOMY, _LONG).reason == "stopped"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def printed() -> None:
    for n in range(30):
        sys.stdout.write(f"line {n}\n")
    os.write(2, b"from below\n")


def test_what_the_child_prints_is_printed_and_its_end_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    ended = supervise(printed, _ROOMY, _LONG)

    assert len(ended.log) == 20
    assert {"line 29", "from below"} <= set(ended.log)
    assert [line for line in capfd.readouterr().out.splitlines() if line.startswith("line")] == [
        f"line {n}" for n in range(30)
    ]


def unpicklable() -> Callable[[], Any]:
    return lambda: None


def test_answer_that_cannot_be_sent_is_an_end_without_one() -> None:
    assert supervise(unpicklable, _ROOMY, _LONG).reason == "died"


def test_processes_of_the_child_are_killed_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def start_another() -> None:
        other = subprocess.Popen(["sleep", "60"])
        note.write_text(str(other.pid))
        time.sleep(_LONG)

    ended = supervise(start_another, _ROOMY, 1)

    assert ended.reason == "time"
    other = int(note.read_text())
    wait_for(lambda: not is_running(other), what="its end")


def test_line_is_in_the_log_before_anything_can_kill_the_process() -> None:
    script = """
import time
from sluice.compute.supervising import supervise

def call():
    print("begun")
    time.sleep(60)

supervise(call, 4096, 60)
"""
    path = str(Path(sluice.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={"PATH": os.defpath, "PYTHONPATH": path}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 30)[0], "nothing was printed while the call runs"
        assert process.stdout.readline() == b"begun\n"
    finally:
        process.terminate()
        process.wait(30)

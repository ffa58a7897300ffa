"""A page that processes share counts once, as it does for the limit of a container."""

from __future__ import annotations

import multiprocessing
import time

import psutil

from localcloud.memory import held
from localcloud.testing.waiting import wait_for

_MB = 1024 * 1024
_SHARED_MB = 200


def _run(resident: int) -> None:
    own = bytearray(50 * _MB)
    time.sleep(60)
    del own, resident


def test_pages_of_a_forked_process_count_once() -> None:
    shared = bytearray(_SHARED_MB * _MB)
    child = multiprocessing.get_context("fork").Process(target=_run, args=(len(shared),), daemon=True)
    child.start()
    try:
        processes = [psutil.Process(), psutil.Process(child.pid)]
        wait_for(lambda: processes[1].memory_info().rss > (_SHARED_MB + 50) * _MB, what="the memory of the child")
        twice = sum(process.memory_info().rss for process in processes)

        once = held(processes, limit=0)

        assert once < twice - 0.9 * _SHARED_MB * _MB
        assert once > (_SHARED_MB + 50) * _MB
        assert held(processes, limit=2 * twice) >= twice - 10 * _MB
    finally:
        child.kill()
        child.join()


def _spike() -> None:
    spike = bytearray(300 * _MB)
    del spike
    time.sleep(60)


def test_peak_between_two_looks_counts() -> None:
    child = multiprocessing.get_context("spawn").Process(target=_spike, daemon=True)
    child.start()
    try:
        process = psutil.Process(child.pid)

        # A part of the interpreter's own pages is shared with others.
        wait_for(lambda: held([process], limit=0) > 270 * _MB, what="the peak")

        wait_for(lambda: process.memory_info().rss < 150 * _MB, what="the end of the spike")
        assert held([process], limit=0) > 270 * _MB
    finally:
        child.kill()
        child.join()


def test_process_that_has_ended_holds_nothing() -> None:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,))
    child.start()
    process = psutil.Process(child.pid)
    child.join()

    assert held([process], limit=0) == 0

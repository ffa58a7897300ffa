"""What a process and its own processes hold is counted as a limit counts it: each page once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BrokenBarrierError

import pytest

from sluice.compute.memory import Held, Peak, held_by_group

_MB = 1024 * 1024
_FORK = multiprocessing.get_context("fork")
_SECONDS = 30


@contextmanager
def group(processes: int, own: Callable[[], object], shared: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Yield the leader of a group of so many processes beside it, each of which holds something of its own."""
    ready, over = _FORK.Barrier(processes + 2), _FORK.Event()

    def hold(what: Callable[[], object]) -> None:
        held = what()
        ready.wait(_SECONDS)
        over.wait(_SECONDS)
        del held

    def lead() -> None:
        os.setpgid(0, 0)
        held = shared()
        others = [_FORK.Process(target=hold, args=(own,)) for _ in range(processes)]
        for each in others:
            each.start()
        ready.wait(_SECONDS)
        over.wait(_SECONDS)
        for each in others:
            each.join(_SECONDS)
        del held

    leader = _FORK.Process(target=lead)
    leader.start()
    try:
        ready.wait(_SECONDS)
        yield leader.pid or 0
    except BrokenBarrierError:
        pytest.fail("the processes did not begin")
    finally:
        over.set()
        leader.join(_SECONDS)


def held_alone() -> Held:
    with group(0, lambda: None) as leader:
        return held_by_group(leader)


def test_each_process_counts_with_what_it_holds_itself() -> None:
    alone = held_alone()

    with group(2, lambda: bytearray(150 * _MB)) as leader:
        held = held_by_group(leader)

    assert alone.now > 10
    assert held.now == pytest.approx(alone.now + 300, abs=60)
    assert held.peak >= held.now


def test_what_forked_processes_share_counts_once() -> None:
    alone = held_alone()

    with group(3, lambda: None, shared=lambda: bytearray(200 * _MB)) as leader:
        held = held_by_group(leader)

    assert held.now == pytest.approx(alone.now + 200, abs=60)


def test_peak_has_what_was_given_back() -> None:
    alone = held_alone()

    with group(1, lambda: len(bytearray(200 * _MB))) as leader:
        held = held_by_group(leader)

    assert held.now == pytest.approx(alone.now, abs=60)
    assert held.peak > alone.now + 180


def test_leader_that_has_ended_holds_nothing() -> None:
    with group(0, lambda: None) as leader:
        pass

    assert held_by_group(leader) == Held()


def test_peak_stays_and_is_read_by_a_child() -> None:
    peak = Peak()
    for mb in (10.0, 30.0, 20.0):
        peak.note(mb)
    answers, answer = _FORK.Pipe(duplex=False)

    child = _FORK.Process(target=lambda: answer.send(peak.mb))
    child.start()

    assert answers.recv() == 30.0
    child.join(_SECONDS)

"""The queue for the cores."""

from __future__ import annotations

import threading

from localcloud.sagemaker.jobs.cores import Cores
from localcloud.testing.waiting import wait_for


class Holder:
    """A thread that takes cores and holds them until it is released."""

    def __init__(self, cores: Cores, wanted: int) -> None:
        self.cancelled = threading.Event()
        self.granted: bool | None = None
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(cores, wanted), daemon=True)
        self._thread.start()

    def _hold(self, cores: Cores, wanted: int) -> None:
        with cores.taken(wanted, self.cancelled) as granted:
            self.granted = granted
            self._leave.wait(10)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(10)


def test_cores_are_shared_until_they_are_all_taken() -> None:
    cores = Cores(2)
    first, second = Holder(cores, 1), Holder(cores, 1)
    wait_for(lambda: first.granted and second.granted)
    third = Holder(cores, 1)
    assert third.granted is None
    first.leave()
    wait_for(lambda: third.granted)
    second.leave()
    third.leave()


def test_a_small_job_does_not_overtake_a_large_one() -> None:
    cores = Cores(2)
    running = Holder(cores, 1)
    wait_for(lambda: running.granted)
    large = Holder(cores, 2)
    wait_for(lambda: cores.waiting == 1, what="the large one in the queue")
    small = Holder(cores, 1)
    wait_for(lambda: cores.waiting == 2, what="the small one in the queue")
    assert (large.granted, small.granted) == (None, None)
    running.leave()
    wait_for(lambda: large.granted)
    assert small.granted is None
    large.leave()
    wait_for(lambda: small.granted)
    small.leave()


def test_more_cores_than_there_are_means_all() -> None:
    holder = Holder(Cores(2), 64)
    wait_for(lambda: holder.granted)
    holder.leave()


def test_a_cancelled_job_leaves_the_queue_without_cores() -> None:
    cores = Cores(1)
    running = Holder(cores, 1)
    wait_for(lambda: running.granted)
    waiting = Holder(cores, 1)
    waiting.cancelled.set()
    cores.wake()
    wait_for(lambda: waiting.granted is False)
    waiting.leave()
    running.leave()
    last = Holder(cores, 1)
    wait_for(lambda: last.granted, what="the core that was given back")
    last.leave()

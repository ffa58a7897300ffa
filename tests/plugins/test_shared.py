"""The waits of a process open a pipeline's workspace once, and again when it is too old or has failed (P9)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from localcloud.testing.waiting import wait_for
from sluice_airflow.shared import SharedWorkspaces


class Opened:
    """Counts what is opened, by a clock that the test sets; ``errors`` are raised one by one instead."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self.errors: list[Exception] = []
        self.shared = SharedWorkspaces(self.open, lambda: self.now)

    def open(self, pipeline: str) -> Any:
        self.count += 1
        if self.errors:
            raise self.errors.pop()
        return pipeline, self.count


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setattr(SharedWorkspaces, "YOUNGEST_SECONDS", 10)
    return Opened()


def test_threads_that_need_a_workspace_at_once_get_the_same_one() -> None:
    opened, everyone = Opened(), Barrier(8)

    def get(number: int) -> Any:
        everyone.wait(10)
        return opened.shared.get(f"pipeline-{number % 2}")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(get, range(8)))

    assert opened.count == 2
    assert [len(set(found[kind::2])) for kind in (0, 1)] == [1, 1]


def test_workspace_is_opened_again_after_five_minutes(opened: Opened) -> None:
    assert opened.shared.get("a") == ("a", 1)
    opened.now = 299
    assert opened.shared.get("a") == ("a", 1)
    opened.now = 300
    assert opened.shared.get("a") == ("a", 2)


def test_failed_probe_makes_the_next_one_open_it_again(opened: Opened) -> None:
    opened.shared.get("a")
    opened.shared.get("b")
    opened.now = 10
    opened.shared.failed("a")

    assert opened.shared.get("b") == ("b", 2)
    assert opened.shared.get("a") == ("a", 3)


def test_many_probes_that_fail_at_once_open_it_once(opened: Opened) -> None:
    """Otherwise 200 waits would take all of the processor's time while a service is down."""
    opened.shared.get("a")
    opened.now = 10
    for _ in range(200):
        opened.shared.failed("a")
        opened.shared.get("a")

    assert opened.count == 2


def test_workspace_that_can_not_be_opened_is_tried_again_by_the_next_probe(opened: Opened) -> None:
    opened.errors = [ValueError("no credentials")]
    with pytest.raises(ValueError, match="no credentials"):
        opened.shared.get("a")

    assert opened.shared.get("a") == ("a", 2)


def test_all_that_wait_for_a_workspace_get_its_error() -> None:
    """GIVEN a service that does not answer THEN the probes that need it do not try one after another."""
    looked_at_the_clock, answers, tries = list[float](), Event(), list[str]()

    def clock() -> float:
        looked_at_the_clock.append(0)
        return 0

    def no_answer(pipeline: str) -> Any:
        tries.append(pipeline)
        answers.wait(10)
        raise ValueError("no answer")

    shared = SharedWorkspaces(no_answer, clock)
    with ThreadPoolExecutor(5) as pool:
        probes = [pool.submit(shared.get, "a") for _ in range(5)]
        wait_for(lambda: len(looked_at_the_clock) == 5, what="five probes that need the workspace")
        answers.set()
        errors = [each.exception(10) for each in probes]

    assert [str(error) for error in errors] == ["no answer"] * 5
    assert tries == ["a"]

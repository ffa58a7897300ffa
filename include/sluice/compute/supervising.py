"""Runs a call in a child process, and ends it before the service would end both.

A service that kills a function or a task for its time or its memory leaves no result. So a child process does the work;
this process survives, and can say what has happened.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Event, Thread
from typing import Any, Literal

from sluice.compute.memory import Peak, held_by_group
from sluice.steps.measuring import peak_mb

_FORK = multiprocessing.get_context("fork")  # the child has all imports already
_LOOK_SECONDS, _LOOK_SHARE = 0.05, 0.1  # between two looks at least, and the most of the time that they may take
_PATIENCE_SECONDS = 5.0  # for a child that has answered, or was killed
_LOG_LINES, _LONGEST_LINE = 20, 400  # lines, characters
# What this process itself needs beside the child, with which it shares most of its memory.
_OWN_MB = 48

Reason = Literal["returned", "raised", "memory", "time", "stopped", "died"]


@dataclass(frozen=True)
class Ended:
    """How a call in a child process has ended.

    Attributes:
        reason: ``returned`` or ``raised``; ``memory`` or ``time`` if it was killed for that; ``stopped`` if this
            process was asked to stop; ``died`` if something else has killed it, such as the system for want of memory.
        value: What it returned or raised; None otherwise.
        seconds: How long it took.
        peak_mb: The most memory that the child held with its own processes, in MiB, each page once; of these, and of a
            child that was killed, as far as it was seen.
        log: The last lines that it has printed.
    """

    reason: Reason
    value: Any
    seconds: float
    peak_mb: int
    log: tuple[str, ...]


def supervise(call: Callable[[], Any], memory_mb: int, seconds: float, peak: Peak | None = None) -> Ended:
    """Run a call in a child process within limits. What it prints is printed here as well.

    Args:
        call: The call. What it returns or raises must be picklable.
        memory_mb: The memory that this process and the child have together, in MiB.
        seconds: The longest time.
        peak: What notes the peak of memory, so that the call can read it; None if it does not.

    Raises:
        OSError: there is no memory for a child process, or there are too many processes.
    """
    peak = peak or Peak()
    answers, answer = _FORK.Pipe(duplex=False)
    output, printed = os.pipe()
    child = _FORK.Process(target=_run, args=(call, answer, printed))  # a daemon could have no processes of its own
    tail: deque[str] = deque(maxlen=_LOG_LINES)
    printing = Thread(target=_print_on, args=(output, tail), daemon=True)
    begun = time.monotonic()
    sys.stdout.flush()
    try:
        child.start()
    except OSError:
        os.close(output)
        answers.close()
        raise
    finally:
        answer.close()
        os.close(printed)
    try:
        printing.start()
        with _asked_to_stop() as asked:
            reason, value = _watch(child, answers, memory_mb - _OWN_MB, begun + seconds, asked, peak)
        ended = time.monotonic()
        child.join(_PATIENCE_SECONDS)
    finally:
        _kill(child)
        child.join(_PATIENCE_SECONDS)
    printing.join(_PATIENCE_SECONDS)
    value = child.exitcode if reason == "died" else value
    return Ended(reason, value, round(ended - begun, 3), round(peak.mb), tuple(tail))


def _kill(child: BaseProcess) -> None:
    """Kill the child with the processes that it has started; in a function they would live on."""
    child.kill()
    if child.pid is not None:
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(child.pid, signal.SIGKILL)


def _run(call: Callable[[], Any], answer: Connection, printed: int) -> None:
    os.setpgid(0, 0)  # so that its own processes can be killed with it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(printed, 1)  # for what is not Python
    os.dup2(printed, 2)
    sys.stdout = sys.stderr = os.fdopen(printed, "w", buffering=1, encoding="utf-8", errors="replace")
    try:
        returned, value = True, call()
    except BaseException as error:
        returned, value = False, error
    sys.stdout.flush()
    answer.send((returned, value, peak_mb()))


def _print_on(output: int, tail: deque[str]) -> None:
    """Print what the child prints, and keep its end."""
    with os.fdopen(output, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            tail.append(line.rstrip()[:_LONGEST_LINE])
            sys.stdout.write(line)
            sys.stdout.flush()  # whatever kills this process, the log has it


def _watch(
    child: BaseProcess, answers: Connection, memory_mb: float, deadline: float, asked: Event, peak: Peak
) -> tuple[Reason, Any]:
    """Wait for the answer, or kill the child; return why it has ended, and its answer."""
    pause = _LOOK_SECONDS
    while not answers.poll(pause):
        if not child.is_alive() and not answers.poll():  # a process of its own may still hold the pipe
            return "died", None
        begun = time.monotonic()
        held = held_by_group(child.pid or 0)
        pause = max(_LOOK_SECONDS, (time.monotonic() - begun) / _LOOK_SHARE)
        peak.note(held.peak)
        reason = _reason_to_kill(held.now > memory_mb, time.monotonic() > deadline, asked.is_set())
        if reason is not None:
            _kill(child)
            return reason, None
    try:
        returned, value, alone = answers.recv()
    except EOFError:
        return "died", None
    peak.note(alone)
    return ("returned" if returned else "raised"), value


def _reason_to_kill(too_large: bool, too_long: bool, asked: bool) -> Reason | None:
    if too_large:
        return "memory"
    if too_long:
        return "time"
    return "stopped" if asked else None


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """Yield an event that is set once this process gets SIGTERM, with which ECS stops a task."""
    asked = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)

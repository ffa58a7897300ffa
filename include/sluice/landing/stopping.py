"""Turns SIGTERM into an event, so that a process that lands finishes its flush before it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets within this context. Only the main thread can enter the context.

    A signal that has come is raised again at the end: then the handler of before ends the process.
    """
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
        if stop.is_set():
            signal.raise_signal(signal.SIGTERM)

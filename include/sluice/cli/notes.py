"""What the command line says beside its answer: notes for people, and with --verbose what the library logs.

Both go to standard error by the log, so that one level decides what is said.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from typing_extensions import override

_LIBRARY = logging.getLogger("sluice")
_NOTES = logging.getLogger("sluice.cli")


class _OnStandardError(logging.StreamHandler[TextIO]):
    """Writes to what is the standard error now."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


@contextmanager
def on_standard_error() -> Iterator[None]:
    """Print what the library logs, from warnings on unless :func:`set_level` says otherwise."""
    handler = _OnStandardError()
    handler.setFormatter(logging.Formatter("%(message)s"))
    _LIBRARY.addHandler(handler)
    try:
        yield
    finally:
        _LIBRARY.removeHandler(handler)
        _LIBRARY.setLevel(logging.NOTSET)


def set_level(*, quiet: bool, verbose: bool) -> None:
    """Say what is logged from now on.

    Args:
        quiet: Only errors.
        verbose: All that the library logs, and where an error comes from; it wins.
    """
    _LIBRARY.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.NOTSET)


def note(text: str) -> None:
    """Say something beside the answer, unless the command is quiet.

    Args:
        text: One line.
    """
    _NOTES.warning("%s", text)


def is_quiet() -> bool:
    """Return whether notes are left out."""
    return not _NOTES.isEnabledFor(logging.WARNING)


def tell_origin(error: BaseException) -> None:
    """Say where an error comes from, if the command is verbose.

    Args:
        error: The error, with its traceback.
    """
    _NOTES.debug("where it comes from:", exc_info=error)

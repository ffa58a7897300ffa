"""Reads a file of events, one JSON object a line. The whole file is checked before its first event is sent."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from sluice.declaration.sources import EventSource
from sluice.errors import SluiceError
from sluice.sending.lanes import Event, Sender, SendFailed

_LONGEST_REASON = 200  # characters
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventFile:
    """Events as JSON lines, plain or gzipped, that can be read more than once.

    Args:
        path: The file.
        name: Its name in error messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def check(self, source: EventSource, sender: Sender, on_line: Callable[[], None] = lambda: None) -> int:
        """Check that every line is an event that the source's sender can send.

        Args:
            source: The source to which the events are to be sent.
            sender: Limits the size of an event.
            on_line: Called after each event.

        Returns:
            How many events the file has.

        Raises:
            SluiceError: the file can't be read, or a line is not an event; the message names the line.
        """
        count = 0
        for _ in self._events(source, sender.size):
            count += 1
            on_line()
        return count

    def events(self, source: EventSource) -> Iterator[Event]:
        """Yield the events in the order of the lines. Blank lines are skipped.

        Raises:
            SluiceError: as for :meth:`check`.
        """
        return self._events(source, lambda _: 0)

    def _events(self, source: EventSource, size: Callable[[Event], int]) -> Iterator[Event]:
        for number, line in self._lines():
            try:
                if text := line.decode().strip():
                    event = _event(text, source)
                    size(event)
                    yield event
            except (ValueError, TypeError, RecursionError, SendFailed) as error:
                reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:_LONGEST_REASON]
                raise SluiceError(
                    f"{self._name} line {number} is not an event ({reason}); each line is an object with id, group, "
                    f"event_time (ISO 8601) and body"
                ) from error

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self._open() as lines:
                for number, line in enumerate(lines, 1):
                    yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        except (OSError, EOFError, zlib.error) as error:  # EOFError: a truncated .gz
            raise SluiceError(f"{self._name} can't be read: {error}") from error

    def _open(self) -> Any:
        with self._path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP or self._path.suffix == ".gz"
        return gzip.open(self._path) if is_gzip else self._path.open("rb")


@contextmanager
def event_file(path: Path, standard_input: BinaryIO) -> Iterator[EventFile]:
    """Open a file of events.

    Args:
        path: The file; ``-`` is standard input, which is kept in a temporary file until it is sent.
        standard_input: Standard input, in binary mode.
    """
    if path != Path("-"):
        yield EventFile(path, str(path))
        return
    with TemporaryDirectory() as folder:
        kept = Path(folder, "events")
        with kept.open("wb") as file:
            shutil.copyfileobj(standard_input, file)
        yield EventFile(kept, "standard input")


def _event(line: str, source: EventSource) -> Event:
    """Parse a line. Raise ValueError or TypeError, with the reason, if it is not an event."""
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise TypeError(f"it is {_json_kind(fields)}")
    missing = [name for name in ("id", "group", "event_time", "body") if name not in fields]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    body = fields["body"]
    if isinstance(body, dict):
        body = {source.event_id: fields["id"], source.event_time: fields["event_time"], **body}
    return Event(
        id=_name("id", fields["id"]),
        group=_name("group", fields["group"]),
        event_time=_moment(fields["event_time"]),
        body=body if isinstance(body, str) else json.dumps(body),
    )


def _name(member: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{member} is {_json_kind(value)}; it must be text or a whole number")
    text = str(value)
    if not text:
        raise ValueError(f"{member} is empty")
    text.encode()  # fails for half a surrogate pair, which JSON can name and no message can hold
    return text


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"event_time is {_json_kind(value)}; it must be text")
    return datetime.fromisoformat(value)


def _json_kind(value: object) -> str:
    """Name the kind of a JSON value, for an error message."""
    kinds: dict[type, str] = {type(None): "null", bool: "true or false", list: "a list", dict: "an object"}
    return kinds.get(type(value), "text" if isinstance(value, str) else "a number")

"""Reads a file of events. The whole file is checked before its first event is sent."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from sluice.declaration.sources import EventSource
from sluice.errors import SluiceError
from sluice.records.times import TimeFault, parse_time
from sluice.sending.event_formats import MEMBERS, Line, csv_lines, json_kind, json_lines
from sluice.sending.lanes import Event, Sender, SendFailed

_LONGEST_REASON = 200  # characters
_GZIP = b"\x1f\x8b"

OnFault = Callable[[SluiceError], None]


def _raise(fault: SluiceError) -> None:
    raise fault


class EventFile:
    """Events as JSON lines or CSV, plain or gzipped, that can be read more than once.

    Args:
        path: The file.
        name: Its name, by whose suffix it is CSV (``.csv``, ``.csv.gz``) or JSON lines (any other).
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def check(
        self,
        source: EventSource,
        sender: Sender,
        on_line: Callable[[], None] = lambda: None,
        on_fault: OnFault = _raise,
    ) -> int:
        """Check that every line is an event that the source's sender can send.

        Args:
            source: The source to which the events are to be sent.
            sender: Limits the size of an event.
            on_line: Called after each event.
            on_fault: Called with the error of a line that is no event; by default it is raised.

        Returns:
            How many events the file has.

        Raises:
            SluiceError: the file can't be read, or ``on_fault`` raises; the message names the line.
        """
        count = 0
        for _ in self.events(source, sender, on_fault):
            count += 1
            on_line()
        return count

    def events(self, source: EventSource, sender: Sender, on_fault: OnFault = _raise) -> Iterator[Event]:
        """Yield the events in the order of the lines.

        Args:
            source: The source to which the events are to be sent.
            sender: Limits the size of an event.
            on_fault: Called with the error of a line that is no event; by default it is raised.

        Raises:
            SluiceError: as for :meth:`check`.
        """
        for number, parse in self._lines():
            try:
                event = _event(parse(), source)
                sender.size(event)
            except (ValueError, TypeError, RecursionError, SendFailed) as error:
                reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:_LONGEST_REASON]
                fault = SluiceError(
                    f"{self._name} line {number} is not an event ({reason}); each line is an object with id, group, "
                    f"event_time (ISO 8601) and body"
                )
                fault.__cause__ = error
                on_fault(fault)
            else:
                yield event

    def _lines(self) -> Iterator[Line]:
        read = csv_lines if self._name.removesuffix(".gz").endswith(".csv") else json_lines
        try:
            with self._open() as file:
                yield from read(file)
        except (OSError, EOFError, zlib.error, ValueError) as error:  # EOFError: a truncated .gz
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


def _event(fields: Mapping[str, Any], source: EventSource) -> Event:
    """Return the event of a line. Raise ValueError or TypeError, with the reason, if it is none."""
    if missing := [name for name in MEMBERS if name not in fields]:
        raise ValueError(f"{', '.join(missing)} missing")
    body = fields["body"]
    if isinstance(body, dict):
        body = {source.event_id: fields["id"], source.event_time: fields["event_time"], **body}
    return Event(
        id=_name("id", fields["id"]),
        group=_name("group", fields["group"]),
        event_time=_moment(fields["event_time"], source),
        body=body if isinstance(body, str) else json.dumps(body),
    )


def _name(member: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{member} is {json_kind(value)}; it must be text or a whole number")
    text = str(value)
    if not text:
        raise ValueError(f"{member} is empty")
    text.encode()  # fails for half a surrogate pair, which JSON can name and no message can hold
    return text


def _moment(value: object, source: EventSource) -> datetime:
    try:
        return parse_time(value, source.event_time_unit, source.event_time_zone)
    except TimeFault as fault:
        raise ValueError(f"event_time {value!r}: {fault}") from fault

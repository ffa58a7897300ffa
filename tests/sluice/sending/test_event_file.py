"""A file of events is checked as a whole: it holds events, or the error is one line with the place and the reason."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sluice.toy import EVENTS

from sluice.errors import SluiceError
from sluice.sending.event_file import EventFile
from sluice.sources.queue.messages import MessageQueue
from sluice.sources.queue.send import QueueSender

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ALMOST_EVENTS = st.fixed_dictionaries(
    {
        "id": JSON | st.just("e"),
        "group": JSON | st.just("g"),
        "event_time": JSON | st.just("2013-01-01T07:00:00+00:00"),
        "body": JSON,
    }
)


def outcome(content: bytes) -> int | str:
    """Return how many events a file of that content holds, or what is wrong with it."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "events.jsonl")
        file.write_bytes(content)
        try:
            return EventFile(file, "events.jsonl").check(EVENTS, QueueSender(MessageQueue(Mock(), "q.fifo")))
        except SluiceError as error:
            return str(error)


@settings(max_examples=300)
@given(st.lists(st.binary() | st.one_of(JSON, ALMOST_EVENTS).map(lambda value: json.dumps(value).encode()), max_size=3))
def test_any_file_is_events_or_one_clear_line(lines: list[bytes]) -> None:
    content = b"\n".join(lines)

    found = outcome(content)

    if isinstance(found, str):
        assert found.startswith("events.jsonl ")
        assert len(found.splitlines()) == 1
    else:
        assert found <= content.count(b"\n") + 1


def test_reason_is_cut_to_a_useful_length() -> None:
    event = {"id": "e", "group": "g", "event_time": "x" * 10_000, "body": "b"}

    found = outcome(json.dumps(event).encode())

    assert isinstance(found, str)
    assert found.startswith("events.jsonl line 1 is not an event (event_time 'xxx")
    assert len(found) < 400

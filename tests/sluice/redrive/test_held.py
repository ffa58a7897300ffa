"""What is held back, and what became of it, is a line of a log that a person reads."""

from __future__ import annotations

from datetime import UTC, datetime

from sluice.redrive.held import Held
from sluice.redrive.sending import SentBack


def test_held_events_are_described_in_one_line_without_control_characters() -> None:
    moment = datetime(2013, 1, 1, 7, tzinfo=UTC)
    held = Held("events", "dead_letters", "received too often", 3, moment, "e\x1b[2J", 1, 0)

    assert held.describe() == (
        "events, dead_letters: 3 held back, because 'received too often'; 1 sent back before, and perhaps 0 more; "
        r"the oldest is of 2013-01-01 07:00:00 UTC; one is 'e\x1b[2J'"
    )


def test_what_a_redrive_did_is_described_with_its_faults() -> None:
    assert SentBack("events", "quarantine", sent=2, failed=1, behind=4, faults=("too large",)).describe() == (
        "events, quarantine: 2 sent back, 0 sent before, perhaps 0 more, 4 behind these, 0 not deleted, 1 failed; "
        "too large"
    )

"""What proves that everything sent to a queue before a moment has landed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from sluice.sources.queue.progress import Look, QueueProgress

START = datetime(2021, 5, 4, tzinfo=UTC)
VISIBILITY = timedelta(minutes=5)
SETTLING = timedelta(minutes=2)
NEW = QueueProgress()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def look(seconds: float, waiting: int = 0, in_flight: int = 0, delayed: int = 0) -> Look:
    return Look(at(seconds), waiting, in_flight, delayed, VISIBILITY)


def drained(
    progress: QueueProgress, began: float, ended: float, *, received: int = 0, is_dry: bool = True
) -> QueueProgress:
    marked = progress.begun("lane", at(began) + timedelta(minutes=20))
    return marked.ended("lane", look(ended), is_dry=is_dry, received=received, times=())


dry = partial(drained, is_dry=True)


def settled(progress: QueueProgress, seconds: float) -> QueueProgress:
    return progress.settled(look(seconds), SETTLING)


# A quiet queue


def test_zeros_over_the_settling_time_prove_what_was_sent_before_it() -> None:
    quiet = NEW.looked(look(0))

    assert settled(quiet, 119).landed_until is None
    assert settled(quiet, 120).landed_until == at(0)
    assert settled(settled(quiet, 120), 300).landed_until == at(180)


@pytest.mark.parametrize("counter", ["waiting", "in_flight", "delayed"])
def test_one_message_in_any_counter_begins_the_quiet_time_anew(counter: str) -> None:
    shown = NEW.looked(look(0)).looked(look(60, **{counter: 1}))

    assert settled(shown, 130).landed_until is None
    assert settled(shown.looked(look(130)), 250).landed_until == at(130)


def test_drain_that_received_something_begins_the_quiet_time_anew() -> None:
    quiet = NEW.looked(look(0))

    assert settled(dry(quiet, 50, 60), 120).landed_until == at(0)
    assert settled(dry(quiet, 50, 60, received=1), 120).landed_until is None


def test_drain_that_ended_at_a_limit_begins_the_quiet_time_anew() -> None:
    quiet = drained(NEW.looked(look(0)), 50, 60, is_dry=False)

    assert settled(quiet, 120).landed_until is None


def test_nothing_is_proved_while_a_drain_may_hide_a_message() -> None:
    """It runs, or it was killed: nobody can tell."""
    killed = NEW.looked(look(0)).begun("lane", at(600))

    for seconds in (130, 300, 599, 600):
        killed = settled(killed, seconds)
        assert killed.landed_until is None
    assert settled(killed, 720).landed_until == at(600)


def test_exact_counters_count_what_a_drain_that_died_hides() -> None:
    """So one look at zero proves all, though the mark of the drain is there."""
    killed, exact = NEW.looked(look(0)).begun("lane", at(600)), timedelta(0)

    assert killed.settled(look(30, in_flight=1), exact).landed_until is None
    assert killed.settled(look(30), exact).landed_until == at(30)


def test_quiet_time_does_not_outlast_a_drain_that_died_in_it() -> None:
    """Its messages became visible just before the next look, so the counters may not show them yet."""
    died = NEW.looked(look(0)).begun("lane", at(600))

    assert settled(died, 601).landed_until is None
    assert settled(settled(died, 601), 721).landed_until == at(601)


def test_look_that_is_noted_late_begins_no_quiet_time() -> None:
    ended = dry(NEW, 0, 60, received=1)

    assert settled(ended.looked(look(30)), 155).landed_until is None


def test_what_is_proved_stays_proved() -> None:
    proved = settled(NEW.looked(look(0)), 120)

    assert proved.looked(look(130, waiting=9)).landed_until == at(0)
    assert settled(proved, 110).landed_until == at(0)


# A queue that is never quiet


def test_two_dry_ends_far_enough_apart_prove_what_was_sent_before_the_first() -> None:
    first = dry(NEW, 0, 10, received=1)
    near = dry(first, 400, 430, received=1)
    far = dry(near, 431, 431, received=1)

    assert (first.landed_until, near.landed_until, far.landed_until) == (None, None, at(10))
    assert dry(far, 860, 860, received=1).landed_until == at(431)


def test_message_every_thirty_seconds_does_not_keep_partitions_open() -> None:
    progress = NEW
    for seconds in range(0, 3600, 30):
        progress = dry(progress.looked(look(seconds, waiting=1)), seconds, seconds + 3, received=1)

    assert progress.landed_until is not None
    assert at(3600) - progress.landed_until <= 2 * (VISIBILITY + SETTLING) + timedelta(minutes=1)


def test_drain_that_did_not_run_dry_in_between_begins_the_proof_anew() -> None:
    interrupted = drained(dry(NEW, 0, 10, received=1), 20, 30, received=1, is_dry=False)

    assert dry(interrupted, 500, 510, received=1).landed_until is None


def test_drain_that_died_in_between_begins_the_proof_anew() -> None:
    died = dry(NEW, 0, 10, received=1).begun("died", at(700))

    assert dry(died, 600, 610, received=1).landed_until is None
    after = dry(died, 720, 730, received=1)
    assert after.landed_until is None
    assert dry(after, 1200, 1210, received=1).landed_until == at(730)


def test_delayed_messages_prove_nothing() -> None:
    first = dry(NEW, 0, 10, received=1).begun("lane", at(2000))

    assert first.ended("lane", look(900, delayed=1), is_dry=True, received=1, times=()).landed_until is None


# How much a drain may hold


def test_drain_is_told_how_often_messages_of_dead_drains_were_received() -> None:
    died = NEW.begun("died", at(600)).begun("lane", at(600))
    assert died.receives("lane") == 1  # two healthy lanes don't slow each other down

    died = died.redelivered("died", 3)
    assert died.receives("lane") == 4
    assert died.receives("died") == 1

    assert dry(died, 0, 500).receives("lane") == 4  # its messages may still be hidden
    assert dry(died, 0, 601).receives("lane") == 1


def test_progress_survives_as_json() -> None:
    progress = settled(NEW.looked(look(0)), 120).begun("lane", at(600)).redelivered("lane", 2)

    assert QueueProgress.model_validate_json(progress.model_dump_json()) == progress

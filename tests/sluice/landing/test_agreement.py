"""Event times count only as far as most events of several flushes agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.draining import record_from_sqs
from tests.sluice.toy import EVENTS, message, reading

from sluice.landing.agreement import FLUSHES, agreed, last_times, middle_time
from sluice.records.record import Record

START = datetime(2021, 5, 1, tzinfo=UTC)
AHEAD = START + timedelta(days=10_000)
_RECORD = record_from_sqs(message(reading("r", "2021-05-01T00:00:00+00:00")), EVENTS)
TIMES = st.integers(0, 1000).map(lambda minutes: START + timedelta(minutes=minutes))
FLUSH = st.lists(TIMES, min_size=1, max_size=6)


def record(moment: datetime, given_by: str = "body") -> Record:
    return _RECORD._replace(event_time=moment, event_time_from=given_by)


def reached(flushes: Sequence[Sequence[datetime]]) -> datetime | None:
    times: tuple[datetime, ...] = ()
    for flush in flushes:
        times = last_times(times, [middle_time(map(record, flush))])
    return agreed(times)


@given(st.lists(FLUSH, min_size=FLUSHES, max_size=12), st.data())
def test_one_event_from_the_future_never_moves_it_past_all_others(
    flushes: list[list[datetime]], data: st.DataObject
) -> None:
    """Wherever the event is, even alone in a flush: it moves the agreement at most as far as the other events are."""
    seen = [moment for flush in flushes for moment in flush]
    where = data.draw(st.integers(0, len(flushes) - 1))
    alone = data.draw(st.booleans())
    wrong = [*flushes[:where], [AHEAD] if alone else [*flushes[where], AHEAD], *flushes[where + alone :]]

    moved = reached(wrong)

    assert moved is None or moved <= max(seen)


@given(st.lists(FLUSH, max_size=12))
def test_half_of_each_of_the_last_flushes_is_as_far(flushes: list[list[datetime]]) -> None:
    moment = reached(flushes)

    if len(flushes) < FLUSHES:
        assert moment is None
    else:
        assert moment is not None
        for flush in flushes[-FLUSHES:]:
            assert 2 * sum(each >= moment for each in flush) >= len(flush)


def test_event_without_a_time_of_its_own_does_not_count() -> None:
    assert middle_time([record(AHEAD, "sent"), record(START)]) == START
    assert middle_time([record(AHEAD, "sent")]) is None
    assert last_times((START,), [None]) == (START,)

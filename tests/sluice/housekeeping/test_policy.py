"""What may go is a pure function: a table of single cases, and what holds for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SluiceError
from sluice.housekeeping.policy import Contents, Keep, Kind, Needed, Object, Thing, leftovers, unnamed

NOW = datetime(2014, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MODEL = (Kind.MODEL, "m")


def model(age: timedelta, kind: Kind = Kind.MODEL, name: str = "m") -> Thing:
    return Thing(kind, name, NOW - age)


def needed(*refs: tuple[Kind, str], judged: datetime | None = NOW, **deployments: int) -> Needed:
    return Needed(frozenset(refs), {(Kind.MODEL, name): number for name, number in deployments.items()}, judged)


@pytest.mark.parametrize(
    ("thing", "need", "keep", "reason"),
    [
        (model(31 * DAY), needed(), Keep(), "nothing that is kept names it"),
        (model(30 * DAY), needed(), Keep(), "nothing that is kept names it"),
        (model(30 * DAY - HOUR), needed(), Keep(), None),
        (model(HOUR), needed(), Keep(days=0), "nothing that is kept names it"),
        (model(31 * DAY), needed(MODEL), Keep(), None),
        (model(31 * DAY), needed((Kind.CONFIG, "m")), Keep(), "nothing that is kept names it"),
        (model(31 * DAY), needed(m=4), Keep(), "of deployment 4, which is not among the newest 3"),
        (model(31 * DAY), needed(judged=None), Keep(), None),
        (model(31 * DAY), needed(judged=NOW - 31 * DAY), Keep(), None),
        (model(31 * DAY), needed(judged=NOW - 30 * DAY), Keep(), "nothing that is kept names it"),
        (model(5 * HOUR, Kind.TRAINING_JOB), needed(), Keep(), None),
        (model(5.1 * HOUR, Kind.TRAINING_JOB), needed(), Keep(), "in progress for more than 5 h"),
        (model(5.1 * HOUR, Kind.TUNING_JOB), needed(), Keep(), "in progress for more than 5 h"),
        (model(5.1 * HOUR, Kind.TRANSFORM_JOB), needed(judged=None), Keep(days=900), "in progress for more than 5 h"),
    ],
)
def test_thing_may_go_or_stays(thing: Thing, need: Needed, keep: Keep, reason: str | None) -> None:
    found = leftovers([thing], need, keep, NOW, 5 * HOUR)

    assert [(each.thing, each.reason) for each in found] == ([(thing, reason)] if reason else [])


def test_newest_snapshot_stays() -> None:
    snapshots = [model(days * DAY, Kind.SNAPSHOT, f"s{days}") for days in (50, 40, 60)]

    found = leftovers(snapshots, needed(), Keep(), NOW, HOUR)

    assert [each.thing.name for each in found] == ["s60", "s50"]


def test_things_go_in_the_order_of_kinds_and_the_oldest_first() -> None:
    kinds = (Kind.SNAPSHOT, Kind.SCORES, Kind.ARTEFACT, Kind.MODEL, Kind.CONFIG, Kind.TRANSFORM_JOB, Kind.TRAINING_JOB)
    things = [model(age * DAY, kind, f"{age}") for kind in kinds for age in (40, 50, 35)]

    found = leftovers(things, needed(), Keep(), NOW, HOUR)

    assert [(each.thing.kind, each.thing.name) for each in found] == [
        *((kind, name) for kind in reversed(kinds[1:]) for name in ("50", "40", "35")),
        *((Kind.SNAPSHOT, name) for name in ("50", "40")),
    ]


_THINGS = st.lists(
    st.builds(
        Thing,
        kind=st.sampled_from(Kind),
        name=st.sampled_from("abcd"),
        changed=st.integers(0, 2000).map(lambda hours: NOW - hours * HOUR),
    ),
    max_size=20,
)
_REFS = st.frozensets(st.tuples(st.sampled_from(Kind), st.sampled_from("abcd")))


@given(_THINGS, _REFS, st.integers(0, 90), st.one_of(st.none(), st.integers(0, 2000)))
def test_no_policy_lists_what_is_needed_young_or_not_judged(
    things: list[Thing], refs: frozenset[tuple[Kind, str]], days: int, judged: int | None
) -> None:
    need = Needed(refs, {}, None if judged is None else NOW - judged * HOUR)

    found = leftovers(things, need, Keep(0, days), NOW, 5 * HOUR)

    for each in (leftover.thing for leftover in found):
        age = NOW - each.changed
        if each.kind.is_job:
            assert age > 5 * HOUR
        else:
            assert each.ref not in refs
            assert age >= days * DAY
            assert need.judged is not None
            assert each.changed < need.judged
    assert {each.thing.ref for each in leftovers(things, need, Keep(0, days + 1), NOW, 5 * HOUR)} <= {
        each.thing.ref for each in found
    }


_OBJECTS = st.lists(
    st.builds(
        Object,
        kind=st.sampled_from([Kind.REVISION, Kind.STATE, Kind.REJECTED, Kind.PART, Kind.MARKER, Kind.IDS]),
        key=st.sampled_from("abcd"),
        changed=st.integers(0, 2000).map(lambda hours: NOW - hours * HOUR),
        size=st.just(1),
    ),
    max_size=10,
)


@given(
    _OBJECTS,
    st.frozensets(st.sampled_from("abcd")),
    st.one_of(st.none(), st.integers(0, 2000).map(lambda hours: NOW - hours * HOUR)),
    st.integers(0, 90),
    st.one_of(st.none(), st.integers(0, 90)),
)
def test_no_policy_takes_of_a_partition_what_is_named_or_young(
    objects: list[Object], named: frozenset[str], committed: datetime | None, days: int, quarantine_days: int | None
) -> None:
    contents = Contents("conform/dt=2013-01-01", committed, tuple(objects), named)

    found = unnamed(contents, Keep(0, days, quarantine_days), NOW)

    assert committed is not None or not found
    for kind, gone in found.items():
        assert gone
        for each in gone:
            assert each in objects
            assert (kind is Kind.EXPIRED) == (each.key in named)
            least = quarantine_days if kind is Kind.EXPIRED else days
            assert committed is not None
            assert least is not None
            assert NOW - max(each.changed, committed) >= max(least * DAY, DAY)
    left = {each.key for each in objects if each.kind is Kind.MARKER} - {
        each.key for each in found.get(Kind.MARKER, ())
    }
    assert left or not any(each.kind is Kind.MARKER for each in objects)


@pytest.mark.parametrize("keep", [(-1, 30, None), (3, -1, None), (3, 30, -1)])
def test_negative_policy_is_refused(keep: tuple[int, int, int | None]) -> None:
    with pytest.raises(SluiceError, match="must be 0 or more"):
        Keep(*keep)

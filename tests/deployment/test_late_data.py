"""Under ``make up``, late data repairs itself: two minutes from the send to all that depends on it (P13)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from deploy.checkout import Checkout, make_checkout
from tests.pipelines.flights.flight_days import days_from, events_from, weather

from localcloud.testing.waiting import wait_for
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.weather import drop_weather
from sluice.aws.clients import Aws
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.sending.lanes import Event
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FIRST = date(2013, 1, 1)
DAYS = days_from(FIRST, 2)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Checkout, Workspace]]:
    made = make_checkout(tmp_path / "checkout")
    for name, value in made.settings.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    try:
        status, output = made.run("up")
        assert status == 0, output
        yield made, Workspace.open(Aws(), PIPELINE.name)
    finally:
        made.run("down")


def test_late_event_is_in_all_that_depends_on_it_within_two_minutes(running: tuple[Checkout, Workspace]) -> None:
    """GIVEN two days that are closed and transformed, WHEN an event of the first comes, THEN nobody clears anything."""
    checkout, workspace = running
    late = next(event for event in events_from(FIRST, 2) if '"type":"arrived"' in event.body)
    known = [event for event in events_from(FIRST, 2) if event.id != late.id]
    lake = workspace.lake
    drop_weather(lake.s3, lake.bucket, weather(), DAYS)
    _send(checkout, known)
    before = wait_for(lambda: _features(workspace), seconds=420, what="the features of both days")

    _send(checkout, [late])

    def rebuilt() -> bool:
        now = _features(workspace)
        return now is not None and all(one.inputs != other.inputs for one, other in zip(before, now, strict=True))

    wait_for(rebuilt, seconds=120, what="the features of the day and of the next, which looks back on it")
    after = _features(workspace)
    assert after is not None
    assert [other.rows_out - one.rows_out for one, other in zip(before, after, strict=True)] == [1, 0]


def _features(workspace: Workspace) -> list[Manifest] | None:
    """Return the manifests of the features of both days, once each is there."""
    calendar = workspace.pipeline.calendar
    found = [workspace.lake.manifest("features", Partition.parse(f"dt={day}", calendar)) for day in DAYS]
    return None if None in found else [each for each in found if each is not None]


def _send(checkout: Checkout, events: list[Event]) -> None:
    lines = (
        json.dumps({"id": each.id, "group": each.group, "event_time": each.event_time.isoformat(), "body": each.body})
        for each in events
    )
    file = checkout.folder / "events.jsonl"
    file.write_text("\n".join(lines))
    done = checkout.program("sluice", "send", "--pipeline", PIPELINE.name, str(file))
    assert done.returncode == 0, done.stderr

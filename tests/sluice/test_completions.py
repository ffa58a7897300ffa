"""A completion event carries what a subscriber needs of a manifest, once per content."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from tests.sluice.announcements import subscribed, with_topic
from tests.sluice.dataset.test_snapshot import put_days
from tests.sluice.lake_contents import keys_below, manifest_json, partition, put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.completions import announce_landed, announce_partitions
from sluice.dataset.snapshot import make_snapshot
from sluice.lake.pending import expect, read_pending
from sluice.lake.store import Lake
from sluice.training.announce import announce_training
from sluice.workspace import Workspace

DAY = "2013-01-01"


@pytest.fixture
def workspace(workspace: Workspace, own_name: str) -> Workspace:
    """The workspace with a topic of the test's own."""
    return with_topic(workspace, own_name)


@pytest.fixture
def subscriber(sqs: Any, queue: str, workspace: Workspace) -> Any:
    """Returns what a subscriber of the topic has received so far: the events, and their message attributes."""
    return subscribed(workspace, sqs, queue)


def put_event(lake: Lake, *places: int) -> None:
    """Put a closed day with these events; it replaces an existing one."""
    put_raw(lake, EVENTS, DAY, [message(reading("r", f"{DAY}T07:00:00+00:00"), place) for place in places])


def test_event_carries_the_content_of_the_manifest(workspace: Workspace, subscriber: Any) -> None:
    put_event(workspace.lake, 1, 2)

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}", "run-1") == 1

    manifest = workspace.lake.manifest("raw/events", partition(DAY))
    assert manifest is not None
    ((event, attributes),) = subscriber()
    assert event == {
        "schema_version": 1,
        "pipeline": "toy",
        "stage": "raw/events",
        "subject": f"dt={DAY}",
        "revision": 1,
        "late": False,
        "manifest_uri": f"s3://{workspace.lake.bucket}/toy/raw/events/dt={DAY}/_manifest.json",
        "checksum": manifest.digest,
        "rows_in": 2,
        "rows_out": 2,
        "rejected": {},
        "run_id": "run-1",
        "findings": [],
    }
    assert attributes == {"pipeline": "toy", "stage": "raw/events", "late": "false"}


def test_announced_content_is_not_announced_again_by_any_run(workspace: Workspace, subscriber: Any) -> None:
    put_event(workspace.lake, 1)

    counts = [announce_partitions(workspace, "raw/events", f"dt={DAY}", run) for run in ("run-1", "run-2")]

    assert counts == [1, 0]
    assert len(subscriber()) == 1


def test_crash_between_publishing_and_marking_reaches_the_subscriber_once(
    workspace: Workspace, subscriber: Any
) -> None:
    """The same deduplication id: the topic drops the second, even of another run."""
    put_event(workspace.lake, 1)
    announce_partitions(workspace, "raw/events", f"dt={DAY}", "run-1")
    for key in keys_below(workspace.lake, "toy/announced/"):
        workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}", "run-2") == 1

    assert [event["run_id"] for event, _ in subscriber()] == ["run-1"]


def test_late_data_is_announced_as_late(workspace: Workspace, subscriber: Any) -> None:
    put_event(workspace.lake, 1)
    announce_partitions(workspace, "raw/events", f"dt={DAY}", "run-1")
    put_event(workspace.lake, 1, 2)

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}", "run-2") == 1

    event, attributes = subscriber()[-1]
    assert (event["revision"], event["late"], attributes["late"]) == (2, True, "true")
    assert len(subscriber()) == 2


def test_first_event_of_a_partition_is_not_late_whatever_its_revision(workspace: Workspace, subscriber: Any) -> None:
    """A subscriber that takes no late events gets each partition once, also one that changed meanwhile."""
    put_event(workspace.lake, 1)
    put_event(workspace.lake, 1, 2)

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}", "run") == 1

    ((event, attributes),) = subscriber()
    assert (event["revision"], event["late"], attributes["late"]) == (2, False, "false")


def test_restored_content_is_a_revision_of_its_own(workspace: Workspace, subscriber: Any) -> None:
    for places in ([1], [1, 2], [1]):
        put_event(workspace.lake, *places)
        announce_partitions(workspace, "raw/events", f"dt={DAY}", "run")

    assert [event["revision"] for event, _ in subscriber()] == [1, 2, 3]


def test_open_or_absent_partition_is_not_announced(workspace: Workspace, subscriber: Any) -> None:
    put_raw(workspace.lake, EVENTS, DAY, [message("{}")], state="open")

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}..dt=2013-01-03", "run") == 0
    assert announce_partitions(workspace, "raw/events", "", "run") == 0
    assert subscriber() == []


def test_datasets_whose_names_begin_the_same_have_markers_of_their_own(workspace: Workspace) -> None:
    put_event(workspace.lake, 1)
    put_raw(workspace.lake, replace(EVENTS, name="events_2"), DAY, [message("{}")])
    announce_partitions(workspace, "raw/events", f"dt={DAY}", "run")

    assert announce_partitions(workspace, "raw/events_2", f"dt={DAY}", "run") == 1


def test_landed_partitions_are_announced_from_the_list_and_leave_it(workspace: Workspace, subscriber: Any) -> None:
    put_event(workspace.lake, 1)
    put_raw(workspace.lake, EVENTS, "2013-01-03", [message("{}")], state="open")

    assert [announce_landed(workspace, "events", f"run-{n}") for n in (1, 2)] == [1, 0]
    assert read_pending(workspace.lake, "events").revisions == {"dt=2013-01-03": 1}

    put_event(workspace.lake, 1, 2)
    assert announce_landed(workspace, "events", "run-3") == 1
    assert [(event["revision"], event["late"]) for event, _ in subscriber()] == [(1, False), (2, True)]


def test_crash_before_a_partition_leaves_the_list_announces_nothing_again(workspace: Workspace) -> None:
    put_event(workspace.lake, 1)
    announce_landed(workspace, "events", "run-1")
    expect(workspace.lake, "events", {partition(DAY): 1})

    assert announce_landed(workspace, "events", "run-2") == 0
    assert read_pending(workspace.lake, "events").revisions == {}


def test_events_are_published_in_the_order_of_their_partitions(workspace: Workspace, subscriber: Any) -> None:
    days = [f"2013-01-{day:02d}" for day in range(1, 26)]
    for day in reversed(days):
        put_raw(workspace.lake, EVENTS, day, [message("{}")])

    assert announce_landed(workspace, "events", "run") == 25

    assert [event["subject"] for event, _ in subscriber()] == [f"dt={day}" for day in days]


def test_training_is_announced_once_with_its_snapshot(workspace: Workspace, subscriber: Any) -> None:
    put_days(workspace.lake, range(1, 5))
    fingerprint = make_snapshot(workspace).fingerprint
    job = f"job-of-{workspace.lake.bucket}"

    assert announce_training(workspace, job, fingerprint, "run-1") is True
    assert announce_training(workspace, job, fingerprint, "run-2") is False

    ((event, attributes),) = subscriber()
    assert (event["stage"], event["subject"], event["checksum"]) == ("training", job, fingerprint)
    assert (event["rows_in"], event["rows_out"]) == (12, 6)
    assert event["manifest_uri"].endswith(f"/toy/snapshots/{fingerprint}/snapshot.json")
    assert attributes["stage"] == "training"


def test_missing_topic_fails_and_leaves_no_marker(workspace: Workspace) -> None:
    put_event(workspace.lake, 1)
    gone = replace(workspace.resources, topic_arn=f"{workspace.resources.topic_arn[:-5]}-gone.fifo")

    with pytest.raises(Exception, match="NotFound"):
        announce_partitions(replace(workspace, resources=gone), "raw/events", f"dt={DAY}", "run")
    assert keys_below(workspace.lake, "toy/announced/") == []
    assert manifest_json(workspace.lake, "raw/events", f"dt={DAY}")["state"] == "closed"


def test_manifests_are_read_side_by_side(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read waits until eight of them are under way."""
    together = Barrier(8, timeout=20)

    def read(*_: object) -> None:
        together.wait()

    monkeypatch.setattr(Lake, "manifest", read)

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}..dt=2013-01-08", "run") == 0


def test_manifest_that_can_not_be_read_is_no_event_and_stops_no_other(
    workspace: Workspace, subscriber: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put_event(workspace.lake, 1)
    key = workspace.lake.layout.manifest("raw/events", partition("2013-01-02"))
    workspace.lake.put(key, b"{")

    assert announce_partitions(workspace, "raw/events", f"dt={DAY}..dt=2013-01-02", "run") == 1

    assert [event["subject"] for event, _ in subscriber()] == [f"dt={DAY}"]
    assert f"{key} is no JSON" in caplog.text

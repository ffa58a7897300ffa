"""A replay of existing data changes no byte; what was lost, or can be read only now, lands in its partition."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draining import ALL_LANDED, drain, record_from_sqs, workspace_of
from tests.sluice.lake_contents import manifest_json, read_parts, rows_of
from tests.sluice.sources.stream.streams import CLICKS, FIRST_DAY, PIPELINE, Trial, parts
from tests.sluice.toy import EVENTS, TOY, message, reading, toy

from sluice.aws.resources import Resources
from sluice.declaration import Ndjson, Sns, StandardQueue
from sluice.errors import MissingResource, SluiceError
from sluice.lake.store import Lake
from sluice.landing import missing
from sluice.landing.closing import close_source
from sluice.records.record import Record, part_bytes
from sluice.sources import replay as replaying
from sluice.sources.connecting import connect_events
from sluice.sources.ingest import close_partitions
from sluice.sources.replay import ReplayRequest, plan, replay
from sluice.sources.stream.checkpoints import read_checkpoints
from sluice.sources.stream.connector import RangeTrimmed
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

DAYS = ("dt=2013-01-01", "dt=2013-01-02")


@pytest.fixture
def on_stream(workspace: Workspace, trial: Trial) -> Workspace:
    """The workspace of a pipeline whose source is the trial's stream."""
    resources = replace(workspace.resources, of_sources={"streams/clicks": trial.stream})
    return replace(workspace, pipeline=PIPELINE, resources=resources)


def arrived(since: datetime, until: datetime) -> ReplayRequest:
    return ReplayRequest(CLICKS, "stream", since, until)


def today() -> ReplayRequest:
    now = datetime.now(UTC)
    return arrived(now - timedelta(hours=1), now + timedelta(hours=1))


def raw(since: datetime, until: datetime, source: Any = CLICKS) -> ReplayRequest:
    return ReplayRequest(source, "raw", since, until)


def replay_all(workspace: Workspace, request: ReplayRequest) -> tuple[int, int]:
    """Replay all units; return (read, landed)."""
    done = [replay(workspace, request, unit) for unit in plan(workspace, request)]
    return sum(each.read for each in done), sum(each.landed for each in done)


# From the stream


def test_replay_of_existing_data_changes_no_byte(trial: Trial, on_stream: Workspace) -> None:
    """Through a reshard, and with records that landed twice."""
    trial.send(200)
    trial.read_all()
    trial.reshard_by_split("shardId-000000000000", 2**126)
    trial.send(100)
    trial.read_all()
    trial.conform()
    before, checkpoints = trial.content(""), read_checkpoints(trial.lake, "clicks")

    assert replay_all(on_stream, today()) == (300, 0)
    assert replay_all(on_stream, raw(FIRST_DAY, FIRST_DAY + timedelta(days=9))) == (300, 0)
    ranges = close_partitions(on_stream, CLICKS)
    run_step(workspace_of(trial.lake, PIPELINE), "conform", ranges)

    assert trial.content("") == before
    assert read_checkpoints(trial.lake, "clicks") == checkpoints


def test_deleted_partition_is_restored_unchanged(trial: Trial, on_stream: Workspace) -> None:
    trial.send(300, days=3)
    trial.read_all()
    trial.conform()
    landed, conformed = trial.content("raw/"), trial.content("conform/")
    for key in landed:
        if DAYS[1] in key:
            trial.lake.s3.delete_object(Bucket=trial.lake.bucket, Key=key)

    assert replay_all(on_stream, today()) == (300, 100)
    ranges = close_partitions(on_stream, CLICKS)
    run_step(workspace_of(trial.lake, PIPELINE), "conform", ranges)

    assert {key for key in landed if DAYS[1] not in key} <= trial.content("raw/").keys()
    assert manifest_json(trial.lake, "raw/clicks", DAYS[1])["revision"] == 1
    assert parts(trial.content("conform/")) == parts(conformed)
    assert trial.audit().conformed == 300
    assert replay_all(on_stream, today()) == (300, 0)


def test_only_records_that_arrived_in_the_range_are_landed(trial: Trial, on_stream: Workspace) -> None:
    trial.send(40)
    wait_a_millisecond = max(arrivals(trial)) + timedelta(milliseconds=1)
    while datetime.now(UTC) <= wait_a_millisecond:
        pass
    trial.send(60)
    late = sorted(arrivals(trial))[40:]

    assert replay_all(on_stream, arrived(late[0], late[-1])) == (60, 60)
    landed = [row for day in DAYS for row in rows_of(trial.lake, "raw/clicks", day)]
    assert sorted(row["event_id"] for row in landed) == [event.id for event in trial.sent[40:]]
    assert replay_all(on_stream, arrived(late[0] - timedelta(hours=1), wait_a_millisecond)) == (40, 40)


def arrivals(trial: Trial) -> list[datetime]:
    found: list[datetime] = []
    for shard in trial.kinesis.list_shards(StreamName=trial.stream)["Shards"]:
        place = {"StreamName": trial.stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = trial.kinesis.get_shard_iterator(**place)["ShardIterator"]
        records = trial.kinesis.get_records(ShardIterator=iterator)["Records"]
        found += [record["ApproximateArrivalTimestamp"] for record in records]
    return found


def test_range_that_the_stream_has_trimmed_is_refused_before_anything_is_read(
    trial: Trial, on_stream: Workspace
) -> None:
    trial.send(10)
    workspace = replace(on_stream, lake=replace(trial.lake, now=lambda: datetime.now(UTC) + timedelta(days=2)))

    with pytest.raises(RangeTrimmed, match=rf"^stream {trial.stream}: records that arrived before .*origin 'raw'$"):
        plan(workspace, today())
    assert trial.content("") == {}


def test_stream_younger_than_the_range_has_trimmed_nothing(trial: Trial, on_stream: Workspace) -> None:
    trial.send(10)
    month = arrived(datetime.now(UTC) - timedelta(days=30), datetime.now(UTC) + timedelta(hours=1))

    assert replay_all(on_stream, month) == (10, 10)


def test_many_partitions_are_looked_up_within_bounds(
    trial: Trial, on_stream: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "_CACHED_RECORDS", 10)
    monkeypatch.setattr(missing, "_BUFFERED_RECORDS", 7)
    trial.send(120, days=6)
    trial.read_all()
    trial.send(30, days=6)

    assert replay_all(on_stream, today()) == (150, 30)
    assert replay_all(on_stream, today()) == (150, 0)


def test_missing_part_of_an_existing_manifest_is_named(trial: Trial, on_stream: Workspace) -> None:
    trial.send(120, days=1)
    trial.read_all()
    (gone, *_) = [file["key"] for file in manifest_json(trial.lake, "raw/clicks", DAYS[0])["files"]]
    trial.lake.s3.delete_object(Bucket=trial.lake.bucket, Key=gone)

    with pytest.raises(MissingResource, match=rf"{gone} is gone, but its manifest names it; .*_manifest.json as well"):
        replay_all(on_stream, today())


# From raw


def test_records_of_a_corrected_declaration_move_to_their_partition(
    workspace: Workspace, sqs: Any, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The declaration named the wrong member: the records are quarantined in the partition of their sent time."""
    wrong = replace(EVENTS, event_time="when")
    lake, pipeline = workspace.lake, workspace.pipeline
    for number in range(20):
        body = reading(f"r-{number:02d}", FIRST_DAY + timedelta(days=number % 2, minutes=number), number)
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=f"{number}")
    drain(sqs, queue, lake, wrong)
    (sent_on,) = {partition.key for partition in lake.partitions("raw/events")}
    everything = raw(FIRST_DAY, datetime.now(UTC), EVENTS)

    assert replay_all(workspace, everything) == (20, 20)
    assert replay_all(workspace, everything) == (40, 0)

    close_source(replace(lake, now=lambda: datetime.now(UTC) + timedelta(days=2)), TOY, EVENTS, ALL_LANDED)
    for day in (*DAYS, sent_on):
        run_step(workspace_of(lake, pipeline), "conform", day)
    assert [row["value"] for row in rows_of(lake, "conform", DAYS[0])] == list(range(0, 20, 2))
    assert [row["value"] for row in rows_of(lake, "conform", DAYS[1])] == list(range(1, 20, 2))
    assert rows_of(lake, "conform", sent_on) == []
    assert manifest_json(lake, "conform", sent_on)["rejected"] == {"event_time: missing": 20}


def test_message_that_was_not_taken_apart_gives_its_events_once_the_envelopes_are_declared(
    workspace: Workspace, sqs: Any, queue: str
) -> None:
    """An event that was conformed meanwhile, and a message that holds none, land no second time."""
    lake, lines = workspace.lake, [reading(f"r-{n}", FIRST_DAY + timedelta(days=n % 2, minutes=n), n) for n in range(6)]
    wrapped = [json.dumps({"Type": "Notification", "Message": "\n".join(lines[n : n + 3])}) for n in (0, 3)]
    for number, body in enumerate([*wrapped, reading("plain", FIRST_DAY, 7)]):
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=f"{number}")
    drain(sqs, queue, lake, EVENTS)
    (sent_on,) = {partition.key for partition in lake.partitions("raw/events")} - set(DAYS)
    corrected = replace(EVENTS, unwrap=(Sns(), Ndjson()))
    everything = raw(FIRST_DAY, datetime.now(UTC), corrected)
    pipeline = replace(workspace.pipeline, sources=(corrected, *workspace.pipeline.sources[1:]))

    assert replay_all(workspace, everything) == (3, 6)
    assert replay_all(workspace, everything) == (9, 0)

    close_source(replace(lake, now=lambda: datetime.now(UTC) + timedelta(days=2)), TOY, corrected, ALL_LANDED)
    for day in (*DAYS, sent_on):
        run_step(workspace_of(lake, pipeline), "conform", day)
    assert [row["event_id"] for row in rows_of(lake, "conform", DAYS[0])] == ["r-0", "r-2", "r-4", "plain"]
    assert [row["event_id"] for row in rows_of(lake, "conform", DAYS[1])] == ["r-1", "r-3", "r-5"]
    assert rows_of(lake, "conform", sent_on) == []


def test_records_that_already_count_stay_under_any_new_declaration(
    workspace: Workspace, sqs: Any, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A second copy in another partition, or under another id, would count beside the first."""
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=reading("r-1", FIRST_DAY, 1, other="2013-03-01T00:00:00+00:00"),
        MessageGroupId="g",
        MessageDeduplicationId="1",
    )
    drain(sqs, queue, workspace.lake, EVENTS)

    with caplog.at_level(logging.WARNING):
        landed = replay_all(workspace, raw(FIRST_DAY, FIRST_DAY, replace(EVENTS, event_time="other")))

    assert landed == (1, 0)
    assert "1 records of events were conformed under an earlier declaration and stay in their partitions" in caplog.text


def test_raw_is_replayed_by_the_partitions_of_the_range(trial: Trial, on_stream: Workspace) -> None:
    trial.send(60, days=6)
    trial.read_all()
    request = raw(FIRST_DAY + timedelta(days=1, hours=5), FIRST_DAY + timedelta(days=3))

    units = plan(on_stream, request)

    assert units == ["dt=2013-01-02", "dt=2013-01-03", "dt=2013-01-04"]
    assert replay_all(on_stream, request) == (30, 0)


def test_long_range_is_planned_in_few_units(
    on_stream: Workspace, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "_MOST_UNITS", 4)
    trial.send(10, days=10)
    trial.read_all()

    units = plan(on_stream, raw(FIRST_DAY, FIRST_DAY + timedelta(days=30)))

    assert [unit.count("..") for unit in units] == [1, 1, 1, 0]


# Records and ranges


NOWHERE = Workspace(TOY, Resources("toy", "", "", "", "", {}), Lake(None, "", "toy"), None)  # type: ignore[arg-type]


def derive_again(record: Record, source: Any) -> Record:
    """Derive the record of a message with one event again, as the connector of such a queue does."""
    (derived,) = connect_events(NOWHERE, source).unpacker.derive_again(record)
    return derived


JSON = st.none() | st.integers(0, 9) | st.text(max_size=5) | st.datetimes().map(lambda moment: f"{moment}+00:00")


# A busy machine makes examples slowly; that is no fault of the code.
@given(
    st.lists(
        st.fixed_dictionaries({}, optional={name: JSON for name in ("id", "at", "g", "n")}), min_size=1, max_size=5
    ),
    st.sampled_from([EVENTS, StandardQueue("events", "id", "at", group="g", sequence="n")]),
)
def test_stored_record_is_derived_as_at_landing(bodies: list[dict[str, Any]], source: Any) -> None:
    records = [record_from_sqs(message(json.dumps(body), place), source) for place, body in enumerate(bodies, 1)]
    stored = [Record(**row) for row in read_parts([part_bytes(records)[1]]).to_pylist()]

    assert sorted(derive_again(record, source) for record in stored) == sorted(records)
    assert sorted(stored) == sorted(records)


def test_record_of_a_standard_queue_gets_the_group_and_sequence_of_the_corrected_declaration() -> None:
    body = json.dumps({"id": "a", "key": 7, "at": "2013-01-01T00:00:00+00:00", "who": "w", "n": 12})
    wrong = StandardQueue("events", event_id="no", event_time="no", group="no")
    right = StandardQueue("events", event_id="id", event_time="at", group="who", sequence="n")

    assert derive_again(record_from_sqs(message(body), wrong), right) == record_from_sqs(message(body), right)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"from": None}, "'from' is None, which is not a date and time; write"),
        ({"to": "yesterday"}, "'to' is 'yesterday', which is not a date and time; write"),
        ({"from": "2013-01-03"}, "the range from 2013-01-03 to 2013-01-02 ends before it begins; swap"),
        ({"source": "weather"}, "pipeline toy has no source of events 'weather'; it has events"),
        ({"origin": "stream"}, "source events is a queue, which does not keep landed events; replay it with origin"),
    ],
)
def test_invalid_request_is_named(changed: dict[str, Any], reason: str) -> None:
    params = {"source": "events", "origin": "raw", "from": "2013-01-01", "to": "2013-01-02", **changed}
    with pytest.raises(SluiceError, match=f"^{reason}"):
        ReplayRequest.from_params(toy(), params)


def test_range_is_in_utc_unless_it_has_an_offset() -> None:
    params = {"source": "events", "origin": "raw", "from": "2013-01-01T02:00+02:00", "to": "2013-01-01T00:30"}

    assert ReplayRequest.from_params(toy(), params) == raw(FIRST_DAY, FIRST_DAY + timedelta(minutes=30), EVENTS)

"""A stream is read as its declaration says, and tells how old the oldest event that waits can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from tests.draining import workspace_of
from tests.sluice.provisioning.calls import RecordingAws
from tests.sluice.sources.stream.streams import CLICKS, FIRST, PIPELINE, Trial

from sluice.aws.clients import Aws
from sluice.errors import MissingResource
from sluice.landing.parts import Limits
from sluice.sources.stream.checkpoints import Checkpoint, advance, read_checkpoints
from sluice.sources.stream.connector import StreamConnector


@pytest.mark.parametrize(("fan_out", "call"), [(False, "GetRecords"), (True, "SubscribeToShard")])
def test_declaration_decides_how_shards_are_read(trial: Trial, aws: Aws, fan_out: bool, call: str) -> None:
    trial.send(50)
    made = {"streams/clicks": trial.stream, "consumers/clicks": str(trial.by_fan_out().consumer)}
    recording = RecordingAws(aws.session, aws.endpoint)
    connector = StreamConnector(
        replace(workspace_of(trial.lake, PIPELINE, **made), aws=recording), replace(CLICKS, fan_out=fan_out)
    )

    landed = [connector.drain(unit, Limits(), lambda _: None, Event()) for unit in connector.units(10)]

    assert sum(each.messages for each in landed) == 50
    operations = {each.operation for each in recording.calls} & {"GetRecords", "SubscribeToShard"}
    assert operations == {call}


def test_source_with_fan_out_that_is_not_provisioned_is_named(trial: Trial, aws: Aws) -> None:
    workspace = replace(workspace_of(trial.lake, PIPELINE, **{"streams/clicks": trial.stream}), aws=aws)
    connector = StreamConnector(workspace, replace(CLICKS, fan_out=True))

    with pytest.raises(MissingResource, match=r"no consumers for the source 'clicks', .*; run `sluice provision toy`$"):
        connector.drain(FIRST, Limits(), lambda _: None, Event())


def test_oldest_event_is_no_older_than_what_is_durable(trial: Trial, aws: Aws) -> None:
    now = datetime.now(UTC)
    lake = replace(trial.lake, now=lambda: now + timedelta(hours=5))
    workspace = replace(workspace_of(lake, PIPELINE, **{"streams/clicks": trial.stream}), aws=aws)
    connector = StreamConnector(workspace, CLICKS)

    assert connector.oldest() is None  # nothing waits
    trial.send(50)
    assert connector.oldest() is None  # nothing was read yet, so nothing is known
    trial.read_all()
    for shard in read_checkpoints(lake, "clicks"):
        advance(lake, "clicks", Checkpoint(shard=shard, read_until=now))
    assert connector.oldest() is None
    trial.send(50)
    age = connector.oldest()
    assert age is not None
    assert abs(age - timedelta(hours=5)) < timedelta(minutes=1)

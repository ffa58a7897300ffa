"""A stream tells how old the oldest event that waits can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.draining import workspace_of
from tests.sluice.sources.stream.streams import CLICKS, PIPELINE, Trial

from sluice.aws.clients import Aws
from sluice.sources.stream.checkpoints import Checkpoint, advance, read_checkpoints
from sluice.sources.stream.connector import StreamConnector


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

"""A stream is polled as often as declared, and goes on after throttles and expired iterators."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from threading import Event as Flag
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.sluice.sources.stream.streams import FIRST, SECOND, Trial, refusing, stream_waits

from sluice.landing.parts import Limits
from sluice.sources.stream import read as landing
from sluice.sources.stream.polling import Polling
from sluice.sources.stream.shards import Place


def test_busy_shard_is_retried_up_to_a_limit(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    trial.send(100)
    seen = refusing(trial.kinesis, "GetRecords", "ProvisionedThroughputExceededException", 7)
    assert sum(trial.read(shard).messages for shard in (FIRST, SECOND)) == 100
    assert len(seen) == 7

    seen = refusing(trial.kinesis, "GetRecords", "ProvisionedThroughputExceededException", 100)
    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        trial.read(FIRST)
    assert len(seen) == 8


@pytest.mark.parametrize("per_second", [1, 4])
def test_shard_is_read_as_often_as_declared(trial: Trial, per_second: int) -> None:
    """All readers of a shard share five reads a second."""
    trial.send(30)
    waits: list[float] = []

    class Recording(Flag):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    reader = Polling(trial.at_aws, per_second)
    batches = reader.batches(trial.readable()[0], Place(), lambda: datetime.now(UTC), Recording(), lambda: 1)
    for _ in islice(batches, 4):
        pass

    assert len(waits) == 3
    assert all(0 < wait <= 1 / per_second for wait in waits)
    assert max(waits) > 0.5 / per_second


def test_iterator_that_expires_is_replaced_by_one_behind_the_last_record(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "MOST_RECORDS", 30)
    trial.send(100, groups=1)
    (shard,) = [name for name in trial.readable() if stream_waits(trial, name)]
    calls = 0

    def expire_every_other(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise ClientError({"Error": {"Code": "ExpiredIteratorException", "Message": "old"}}, "GetRecords")

    trial.kinesis.meta.events.register("before-call.kinesis.GetRecords", expire_every_other)

    assert trial.read(shard, Limits(messages=500)).messages == 100
    assert calls > 6
    trial.read_all()
    trial.conform()
    assert trial.audit().raw == 100

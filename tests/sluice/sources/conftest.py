"""A stream of a test's own, in the embedded cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.sources.stream.streams import Trial

from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake


@pytest.fixture
def kinesis(cloud: Cloud) -> Any:
    return cloud.client("kinesis")


@pytest.fixture
def trial(kinesis: Any, own_name: str, lake: Lake, toy_pipeline: Pipeline) -> Iterator[Trial]:
    """An empty stream of two shards."""
    kinesis.create_stream(StreamName=own_name, ShardCount=2)
    yield Trial(kinesis, own_name, lake)
    kinesis.delete_stream(StreamName=own_name)

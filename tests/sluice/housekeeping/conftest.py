"""A pipeline with a past of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conftest import Cloud
from tests.sluice.housekeeping.past import Past, make_past
from tests.sluice.serving.live import Live


@pytest.fixture
def past(cloud: Cloud, live: Live, own_name: str) -> Iterator[Past]:
    """Three deployments, none of which is live yet."""
    cloud.client("s3").create_bucket(Bucket=own_name)
    yield from make_past(live, own_name)

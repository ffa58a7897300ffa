"""What the tests of Linear Learner share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Multiply matrices on one thread, as in a training job."""
    with threadpool_limits(limits=1):
        yield

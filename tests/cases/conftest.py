"""The fixtures of the library's tests."""

from __future__ import annotations

import pytest

from tests.plugins.conftest import at_aws, parcels  # noqa: F401
from tests.plugins.test_operators import first, second  # noqa: F401
from tests.sluice.cli.running import proven, sluice  # noqa: F401
from tests.sluice.conftest import (  # noqa: F401
    aws,
    declare,
    lake,
    live,
    queue,
    short_poll,
    sqs,
    toy_pipeline,
    toy_resources,
    workspace,
)

pytest.register_assert_rewrite("tests.cases.delivered")

"""The fixtures of the library's tests."""

from __future__ import annotations

import pytest

from tests.sluice.conftest import (  # noqa: F401
    aws,
    declare,
    lake,
    queue,
    short_poll,
    sqs,
    toy_pipeline,
    toy_resources,
    workspace,
)

pytest.register_assert_rewrite("tests.cases.delivered")

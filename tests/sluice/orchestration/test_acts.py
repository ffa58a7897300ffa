"""An act that changes an endpoint does not wait without a bound."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.draining import workspace_of
from tests.sluice.toy import TOY

from sluice.errors import DeploymentFailed
from sluice.lake.store import Lake
from sluice.orchestration.acts import ACTS
from sluice.serving.rollout import longest_change


@pytest.mark.parametrize(
    ("act", "since", "message"),
    [
        ("deploy", "changing_since", r"^the endpoint did not settle within \d:\d\d:\d\d$"),
        (
            "undo",
            "undoing_since",
            r"^no proof; endpoint toy-late may serve an unproven model: check it\. It did not settle",
        ),
    ],
)
def test_endpoint_that_never_settles_ends_the_act(lake: Lake, act: str, since: str, message: str) -> None:
    long_ago = lake.now() - longest_change(TOY) - timedelta(seconds=1)

    with pytest.raises(DeploymentFailed, match=message):
        ACTS[act](workspace_of(lake, TOY), {"verdict": 1, "reason": "no proof", since: long_ago.isoformat()})

"""The commands that change an endpoint end, whatever the endpoint does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.sluice.serving.live import Live, at_endpoint, settled

from sluice.cli import deploying
from sluice.errors import DeploymentFailed
from sluice.serving import deployment
from sluice.serving.endpoint import Endpoint, delete


@pytest.mark.slow
def test_endpoint_that_never_settles_ends_the_command(
    live: Live, own_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an endpoint that is Creating for ever THEN the command also stops to wait for its roll-back."""
    own = at_endpoint(live.workspace, f"e-{own_name}"[:46].strip("-"))
    name = own.pipeline.require_deployment().endpoint
    found = iter([None, None])
    monkeypatch.setattr(
        deployment, "find_endpoint", lambda *_: next(found, Endpoint(name, "Creating", "its-configuration", ""))
    )
    monkeypatch.setattr(deploying, "longest_change", lambda _: timedelta(seconds=0.5))
    monkeypatch.setattr(deploying, "_LOOK_SECONDS", 0.01)

    with pytest.raises(
        DeploymentFailed, match=r"^the wait for endpoint .* took longer than .*; so did the roll-back, .*: check its"
    ):
        deploying._drive(own, live.target(own, live.model))

    settled(own, name)
    delete(own, name)

"""A deployment is recorded once it was read back, passed the gate and answered as it was trained (P8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.serving.live import Live

from sluice.declaration.training import Gate
from sluice.errors import DeploymentFailed, TrainingFailed
from sluice.serving.deployment import prove
from sluice.serving.endpoint import Change, find_endpoint
from sluice.serving.records import deployment_records


def change_of(live: Live, endpoint: str) -> Change:
    """Return the change that was requested of ``endpoint``."""
    found = find_endpoint(live.workspace, endpoint)
    assert found is not None
    return Change(endpoint, found.config, None)


def test_proven_deployment_is_recorded_with_what_it_reaches(live: Live) -> None:
    change = change_of(live, live.endpoint)

    record = prove(live.workspace, change, live.job.name, live.fingerprint)

    assert deployment_records(live.workspace.lake)[-1] == record
    assert (record.endpoint, record.config, record.job) == (live.endpoint, change.config, live.job.name)
    assert record.snapshot == live.fingerprint
    assert record.test_auc == pytest.approx(live.auc_of("test"), abs=1e-9)
    assert record.validation_auc == pytest.approx(live.auc_of("validation"), abs=1e-9)


def test_live_model_that_was_not_requested_is_not_recorded(live: Live) -> None:
    before = deployment_records(live.workspace.lake)
    change = replace(change_of(live, live.endpoint), config="another-config")

    with pytest.raises(DeploymentFailed, match="does not serve another-config"):
        prove(live.workspace, change, live.job.name, live.fingerprint)
    assert deployment_records(live.workspace.lake) == before


def test_endpoint_that_answers_as_another_model_is_not_recorded(live: Live) -> None:
    """Its configuration is the requested one, but the job's model does not answer."""
    before = deployment_records(live.workspace.lake)

    with pytest.raises(DeploymentFailed, match="another model answers"):
        prove(live.workspace, change_of(live, live.wrong_endpoint), live.job.name, live.fingerprint)
    assert deployment_records(live.workspace.lake) == before


def test_model_below_the_gate_is_not_recorded(live: Live) -> None:
    strict = replace(live.workspace.pipeline.training, gate=Gate("auc", at_least=0.9999))
    workspace = replace(live.workspace, pipeline=replace(live.workspace.pipeline, training=strict))

    with pytest.raises(TrainingFailed, match=r"and the gate is at 0\.9999"):
        prove(workspace, change_of(live, live.endpoint), live.job.name, live.fingerprint)

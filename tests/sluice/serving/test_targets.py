"""What can be made live, and what is refused before the endpoint is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.serving.live import Live, at_endpoint

from sluice.errors import MissingResource
from sluice.evaluation.verdict import read_verdict, record_verdict
from sluice.lake.store import Lake
from sluice.serving.records import last_proven, record_deployment
from sluice.serving.targets import deployment_to_restore, target_of_record, target_of_verdict


def test_deployment_of_another_endpoint_is_no_way_back(live: Live, lake: Lake) -> None:
    """GIVEN a pipeline whose endpoint was renamed: the workers may not use the old name of the configuration."""
    record = last_proven(live.workspace.lake, live.endpoint)
    assert record is not None
    number = record_deployment(lake, record)
    renamed = replace(at_endpoint(live.workspace, "renamed"), lake=lake)

    with pytest.raises(MissingResource, match=r"^deployment 1 is of endpoint toy-live, and toy declares renamed; "):
        deployment_to_restore(renamed, number)
    assert deployment_to_restore(replace(live.workspace, lake=lake), number) == number


def test_model_that_was_removed_is_refused(live: Live, lake: Lake) -> None:
    gone = live.model.model_copy(update={"artefact": lake.uri("toy/models/gone/output/model.tar.gz")})
    verdict = read_verdict(live.workspace.lake, live.verdict)
    judgements = tuple(
        each.model_copy(update={"model": gone}) if each.model == live.model else each for each in verdict.judgements
    )
    own = replace(live.workspace, lake=lake)
    number = record_verdict(lake, verdict.model_copy(update={"judgements": judgements}))
    record = last_proven(live.workspace.lake, live.endpoint)
    assert record is not None
    deployment = record_deployment(lake, record.model_copy(update={"model": gone}))

    with pytest.raises(
        MissingResource, match=r"^the winner of verdict 1 is gone: s3://.* was removed; roll back to a newer"
    ):
        target_of_verdict(own, number)
    with pytest.raises(MissingResource, match=r"^the model of deployment 1 is gone: s3://"):
        target_of_record(own, deployment)

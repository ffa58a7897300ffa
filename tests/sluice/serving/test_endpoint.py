"""Every call of a deployment can be repeated; what is live is read back, and put back if it is wrong (P8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.sluice.serving.live import Live, settled
from tests.sluice.toy import TOY

from sluice.errors import DeploymentFailed
from sluice.pipeline import Deployment, Pipeline
from sluice.serving.endpoint import Change, check_live, find_endpoint, roll_back, start_change
from sluice.training.jobs import Job


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def pipeline(own_name: str, sagemaker: Any) -> Iterator[Pipeline]:
    """The toy with an endpoint of the test's own, gone in the end."""
    endpoint = f"e-{own_name}"[:46].strip("-")
    yield replace(TOY, deployment=Deployment(endpoint))
    if find_endpoint(sagemaker, endpoint) is not None:
        sagemaker.delete_endpoint(EndpointName=endpoint)


def start(live: Live, sagemaker: Any, pipeline: Pipeline, job: Job, proven: str | None = None) -> Change:
    change = start_change(sagemaker, pipeline, job, live.workspace.resources.role_arn, proven)
    settled(live.workspace, change.endpoint)
    return change


def count(sagemaker: Any, contains: str) -> tuple[int, int]:
    """How many endpoint configurations and endpoints have that in their names."""
    configs = sagemaker.list_endpoint_configs(NameContains=contains)["EndpointConfigs"]
    return len(configs), len(sagemaker.list_endpoints(NameContains=contains)["Endpoints"])


def test_a_first_deployment_makes_what_is_absent_and_a_second_nothing(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    first = start(live, sagemaker, pipeline, live.job)
    made = sagemaker.describe_endpoint(EndpointName=first.endpoint)

    second = start(live, sagemaker, pipeline, live.job)

    check_live(sagemaker, first)
    assert (first.previous, second) == (None, first)
    again = sagemaker.describe_endpoint(EndpointName=first.endpoint)
    assert again["LastModifiedTime"] == made["LastModifiedTime"]
    assert count(sagemaker, pipeline.deployment.endpoint) == (1, 1)


def test_names_follow_from_the_content(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    change = start(live, sagemaker, pipeline, live.job)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=change.config)
    (variant,) = config["ProductionVariants"]
    larger = replace(pipeline, deployment=replace(pipeline.deployment, instances=2))

    assert change.config.startswith(f"{pipeline.deployment.endpoint}-")
    assert len(change.config) <= 63
    assert variant["ModelName"] == live.job.name
    assert sagemaker.describe_model(ModelName=live.job.name)["PrimaryContainer"]["ModelDataUrl"] == live.job.model_uri
    assert start(live, sagemaker, larger, live.job).config != change.config


@pytest.mark.parametrize("lost", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_a_deployment_that_fails_after_any_call_can_be_repeated(
    cloud: Cloud, live: Live, sagemaker: Any, pipeline: Pipeline, lost: str
) -> None:
    """The call happened, the answer did not come: one endpoint in the end, and no orphans."""
    broken = cloud.client("sagemaker")

    def lose(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "Injected", "Message": "here"}}, lost)

    broken.meta.events.register(f"after-call.sagemaker.{lost}", lose)
    with pytest.raises(ClientError, match=r"Injected|already existing"):
        start(live, broken, pipeline, live.job)
    settled(live.workspace, pipeline.deployment.endpoint)

    change = start(live, sagemaker, pipeline, live.job)

    check_live(sagemaker, change)
    assert count(sagemaker, pipeline.deployment.endpoint) == (1, 1)


def test_a_second_model_takes_the_place_of_the_first_and_can_be_put_back(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    first = start(live, sagemaker, pipeline, live.job)
    second = start(live, sagemaker, pipeline, live.other_job, proven=first.config)

    check_live(sagemaker, second)
    with pytest.raises(DeploymentFailed, match=rf"does not serve {first.config}: it is InService on {second.config}"):
        check_live(sagemaker, first)
    assert second.previous == first.config

    roll_back(sagemaker, second)
    settled(live.workspace, second.endpoint)

    check_live(sagemaker, first)
    with pytest.raises(DeploymentFailed, match=f"does not serve {second.config}"):
        check_live(sagemaker, second)


def test_a_failure_goes_back_to_what_was_proven_and_not_to_what_happened_to_be_live(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    """GIVEN a proven first and an unproven second, WHEN a third is deployed, THEN the first is what it goes back to."""
    first = start(live, sagemaker, pipeline, live.job)
    start(live, sagemaker, pipeline, live.other_job)
    larger = replace(pipeline, deployment=replace(pipeline.deployment, instances=2))

    third = start(live, sagemaker, larger, live.other_job, proven=first.config)

    assert third.previous == first.config
    assert start(live, sagemaker, pipeline, live.job).previous == third.config  # where nothing is proven


def test_a_first_deployment_is_put_back_to_nothing(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    change = start(live, sagemaker, pipeline, live.job)

    roll_back(sagemaker, change)
    settled(live.workspace, change.endpoint)

    assert find_endpoint(sagemaker, change.endpoint) is None
    with pytest.raises(DeploymentFailed, match=r"does not serve .*: it is gone"):
        check_live(sagemaker, change)
    roll_back(sagemaker, change)  # nothing is left to put back


def test_an_endpoint_that_failed_is_not_updated(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    """SageMaker updates only what is in service; the message says what to do."""
    change = start(live, sagemaker, pipeline, live.job)
    broken = replace(live.job, name=f"{live.job.name}-broken", model_uri=live.job.model_uri)
    key = "broken/model.tar.gz"
    live.workspace.lake.put(key, b"no archive")
    broken = replace(broken, model_uri=live.workspace.lake.uri(key))
    sagemaker.delete_endpoint(EndpointName=change.endpoint)
    settled(live.workspace, change.endpoint)
    start(live, sagemaker, pipeline, broken)
    found = find_endpoint(sagemaker, change.endpoint)
    assert found is not None
    assert (found.status, found.settled) == ("Failed", True)

    with pytest.raises(DeploymentFailed, match=r"is Failed \(.+\) and can't be updated; delete it, then clear"):
        start(live, sagemaker, pipeline, live.job)
    with pytest.raises(DeploymentFailed, match="it is Failed on"):
        check_live(sagemaker, change)

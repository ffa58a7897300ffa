"""Every call of a deployment can be repeated; what is live is read back, and put back if it is wrong (P8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from tests.clients import OneClient
from tests.conftest import Cloud
from tests.sluice.serving.live import Live, settled
from tests.sluice.toy import TOY

from localcloud.testing.waiting import wait_for
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.training import Deployment
from sluice.errors import DeploymentFailed
from sluice.serving.endpoint import Change, Endpoint, check_live, find_endpoint, roll_back, start_change
from sluice.serving.recipe import Recipe, recipe_of_job
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.algorithms.xgboost import XGBoostAlgorithm
from sluice.training.jobs import Job
from sluice.workspace import Workspace


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def pipeline(own_name: str, live: Live, sagemaker: Any) -> Iterator[Pipeline]:
    """The toy with an endpoint of the test's own, which is deleted in the end."""
    endpoint = f"e-{own_name}"[:46].strip("-")
    yield replace(TOY, deployment=Deployment(endpoint))
    if find_endpoint(live.workspace, endpoint) is not None:
        sagemaker.delete_endpoint(EndpointName=endpoint)


def at(live: Live, sagemaker: Any, pipeline: Pipeline) -> Workspace:
    return replace(live.workspace, pipeline=pipeline, aws=OneClient(only=sagemaker))


def start(live: Live, sagemaker: Any, pipeline: Pipeline, job: Job) -> Change:
    change = start_change(at(live, sagemaker, pipeline), job)
    settled(live.workspace, change.endpoint)
    return change


def put_back(live: Live, sagemaker: Any, pipeline: Pipeline, change: Change) -> None:
    """Roll back, step by step, until nothing is left to do."""

    def is_back() -> bool:
        settled(live.workspace, change.endpoint)
        return roll_back(at(live, sagemaker, pipeline), change)

    wait_for(is_back, what="what served before")


def prove(live: Live, change: Change, recipe: Recipe | None = None) -> None:
    """Record the change as one that was proven."""
    record_deployment(
        live.workspace.lake,
        DeploymentRecord(
            endpoint=change.endpoint,
            config=change.config,
            job="job",
            snapshot="snapshot",
            validation_auc=0.7,
            test_auc=0.7,
            recipe=recipe,
        ),
    )


def count(sagemaker: Any, contains: str) -> tuple[int, int]:
    """Return how many endpoint configurations and how many endpoints have that in their names."""
    configs = sagemaker.list_endpoint_configs(NameContains=contains)["EndpointConfigs"]
    return len(configs), len(sagemaker.list_endpoints(NameContains=contains)["Endpoints"])


def test_first_deployment_creates_what_is_absent_and_the_second_nothing(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    first = start(live, sagemaker, pipeline, live.job)
    made = sagemaker.describe_endpoint(EndpointName=first.endpoint)

    second = start(live, sagemaker, pipeline, live.job)

    check_live(live.workspace, first)
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
def test_deployment_that_fails_after_any_call_can_be_repeated(
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

    check_live(live.workspace, change)
    assert count(sagemaker, pipeline.deployment.endpoint) == (1, 1)


def test_second_model_replaces_the_first_and_can_be_rolled_back(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    first = start(live, sagemaker, pipeline, live.job)
    prove(live, first)
    second = start(live, sagemaker, pipeline, live.other_job)

    check_live(live.workspace, second)
    with pytest.raises(DeploymentFailed, match=rf"does not serve {first.config}: it is InService on {second.config}"):
        check_live(live.workspace, first)
    assert second.previous == first.config

    put_back(live, sagemaker, pipeline, second)

    check_live(live.workspace, first)
    with pytest.raises(DeploymentFailed, match=f"does not serve {second.config}"):
        check_live(live.workspace, second)


def test_failure_restores_the_proven_model_and_not_an_unproven_live_one(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    """GIVEN a proven first and an unproven second, WHEN a third is deployed, THEN a failure restores the first."""
    first = start(live, sagemaker, pipeline, live.job)
    prove(live, first)
    start(live, sagemaker, pipeline, live.other_job)
    larger = replace(pipeline, deployment=replace(pipeline.deployment, instances=2))

    third = start(live, sagemaker, larger, live.other_job)

    assert third.previous == first.config


def test_failure_without_a_proven_model_restores_what_served_before_sluice(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    """GIVEN a foreign configuration, and an unproven change over it WHEN the next fails THEN the first is restored,
    though it was deleted meanwhile, with its model."""
    theirs = f"{pipeline.deployment.endpoint}-theirs"
    sagemaker.create_model(
        ModelName=theirs,
        PrimaryContainer={"Image": XGBoostAlgorithm().image("us-east-1"), "ModelDataUrl": live.other_job.model_uri},
        ExecutionRoleArn=live.workspace.resources.role_arn,
    )
    variant = {"VariantName": "v", "ModelName": theirs, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=pipeline.deployment.endpoint, EndpointConfigName=theirs)
    settled(live.workspace, pipeline.deployment.endpoint)
    start(live, sagemaker, pipeline, live.job)
    larger = replace(pipeline, deployment=replace(pipeline.deployment, instances=2))
    second = start(live, sagemaker, larger, live.job)
    sagemaker.delete_endpoint_config(EndpointConfigName=theirs)
    sagemaker.delete_model(ModelName=theirs)

    put_back(live, sagemaker, larger, second)

    check_live(live.workspace, replace(second, config=theirs))
    assert sagemaker.describe_model(ModelName=theirs)["PrimaryContainer"]["ModelDataUrl"] == live.other_job.model_uri


def test_deleted_proven_configuration_is_created_again_from_its_record(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    first = start(live, sagemaker, pipeline, live.job)
    prove(live, first, recipe_of_job(at(live, sagemaker, pipeline), live.job))
    made = sagemaker.describe_endpoint_config(EndpointConfigName=first.config)["ProductionVariants"]
    second = start(live, sagemaker, pipeline, live.other_job)
    sagemaker.delete_endpoint_config(EndpointConfigName=first.config)

    put_back(live, sagemaker, pipeline, second)

    check_live(live.workspace, first)
    assert sagemaker.describe_endpoint_config(EndpointConfigName=first.config)["ProductionVariants"] == made


def test_failed_endpoint_is_created_again_with_what_served_before(
    live: Live, sagemaker: Any, pipeline: Pipeline
) -> None:
    """SageMaker only deletes an endpoint that failed."""
    first = start(live, sagemaker, pipeline, live.job)
    sagemaker.delete_endpoint(EndpointName=first.endpoint)
    settled(live.workspace, first.endpoint)
    failed = start(live, sagemaker, pipeline, broken(live))
    assert find_endpoint(live.workspace, first.endpoint) == Endpoint(first.endpoint, "Failed", failed.config, ANY)

    put_back(live, sagemaker, pipeline, replace(failed, previous=first.config))

    check_live(live.workspace, first)


def test_request_without_an_answer_is_left_to_the_proof(
    live: Live, sagemaker: Any, pipeline: Pipeline, cloud: Cloud
) -> None:
    lossy = cloud.client("sagemaker")

    def lose(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="http://sagemaker")

    lossy.meta.events.register("after-call.sagemaker.CreateEndpoint", lose)

    change = start(live, lossy, pipeline, live.job)

    assert change.unanswered.startswith('Connect timeout on endpoint URL: "http://sagemaker"')
    check_live(live.workspace, change)


def test_first_deployment_is_rolled_back_to_no_endpoint(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    change = start(live, sagemaker, pipeline, live.job)

    put_back(live, sagemaker, pipeline, change)

    assert find_endpoint(live.workspace, change.endpoint) is None
    with pytest.raises(DeploymentFailed, match=r"does not serve .*: it is gone"):
        check_live(live.workspace, change)
    assert roll_back(at(live, sagemaker, pipeline), change)  # nothing is left to roll back


def broken(live: Live) -> Job:
    """Return a job whose artefact no container can load."""
    key = "broken/model.tar.gz"
    live.workspace.lake.put(key, b"no archive")
    return replace(live.job, name=f"{live.job.name}-broken", model_uri=live.workspace.lake.uri(key))


def test_failed_endpoint_is_not_updated(live: Live, sagemaker: Any, pipeline: Pipeline) -> None:
    """SageMaker updates only an endpoint in service; the message names the next action."""
    change = start(live, sagemaker, pipeline, live.job)
    sagemaker.delete_endpoint(EndpointName=change.endpoint)
    settled(live.workspace, change.endpoint)
    start(live, sagemaker, pipeline, broken(live))
    found = find_endpoint(live.workspace, change.endpoint)
    assert found is not None
    assert (found.status, found.settled) == ("Failed", True)

    with pytest.raises(DeploymentFailed, match=r"is Failed on .+ \(.+\) and can't be updated; delete it, then clear"):
        start(live, sagemaker, pipeline, live.job)
    with pytest.raises(DeploymentFailed, match="it is Failed on"):
        check_live(live.workspace, change)

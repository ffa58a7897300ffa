"""Every step of a deployment can be repeated; what is live is read back, and restored if it is wrong (P8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from tests.conftest import Cloud
from tests.sluice.serving.live import Live, at_endpoint, deploy, follow, settled

from sluice.aws.clients import Aws
from sluice.declaration import Serverless
from sluice.errors import DeploymentFailed
from sluice.serving.deployment import Done, Failed, Wait, advance, give_up, start
from sluice.serving.endpoint import check_live, find_endpoint
from sluice.serving.plan import Target, read_plan
from sluice.serving.recipe import deleted_part, make
from sluice.serving.records import deployment_records
from sluice.serving.targets import target_of_record, target_of_verdict
from sluice.training.models import Model
from sluice.workspace import Workspace


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def own(own_name: str, live: Live, sagemaker: Any) -> Iterator[Workspace]:
    """The toy with an endpoint of the test's own, which is deleted in the end."""
    endpoint = f"e-{own_name}"[:46].strip("-")
    workspace = at_endpoint(live.workspace, endpoint)
    yield workspace
    settled(workspace, endpoint)
    if find_endpoint(workspace, endpoint) is not None:
        sagemaker.delete_endpoint(EndpointName=endpoint)


def name_of(workspace: Workspace) -> str:
    return str(workspace.pipeline.deployment.endpoint)


def larger(workspace: Workspace) -> Workspace:
    """Return the workspace whose endpoint has an instance more."""
    deployment = replace(workspace.pipeline.deployment, instances=2)
    return replace(workspace, pipeline=replace(workspace.pipeline, deployment=deployment))


def with_client(workspace: Workspace, client: Any) -> Workspace:
    """Return the workspace with the test's own client of SageMaker, for what changes an endpoint."""

    class Hooked(Aws):
        def client(self, service: str) -> Any:
            return client if service == "sagemaker" else workspace.aws.client(service)

    return replace(workspace, aws=Hooked())


def serves(workspace: Workspace, config: str) -> bool:
    found = find_endpoint(workspace, name_of(workspace))
    return found is not None and found.serves(config)


def mine(workspace: Workspace) -> list[str]:
    """Return the jobs of the deployments that were recorded for the test's endpoint."""
    records = deployment_records(workspace.lake).values()
    return [record.model.job for record in records if record.endpoint == name_of(workspace)]


def count(sagemaker: Any, contains: str) -> tuple[int, int]:
    """Return how many endpoint configurations and how many endpoints have that in their names."""
    configs = sagemaker.list_endpoint_configs(NameContains=contains)["EndpointConfigs"]
    return len(configs), len(sagemaker.list_endpoints(NameContains=contains)["Endpoints"])


def wrong(live: Live, workspace: Workspace) -> Target:
    """Return a target whose configuration serves the other model under this model's name of the verdict."""
    target = live.target(workspace, live.other)
    return target.model_copy(update={"model": live.model})


def broken(live: Live) -> Model:
    """Return a model whose artefact no container can load."""
    live.workspace.lake.put("broken/model.tar.gz", b"no archive")
    uri = live.workspace.lake.uri("broken/model.tar.gz")
    return live.model.model_copy(update={"job": f"{live.model.job}-broken", "artefact": uri})


def test_first_deployment_creates_what_is_absent_and_the_second_nothing(
    live: Live, sagemaker: Any, own: Workspace
) -> None:
    target = live.target(own, live.model)

    first = deploy(own, target)
    made = sagemaker.describe_endpoint(EndpointName=name_of(own))
    second = deploy(own, target)

    assert isinstance(first, Done)
    assert (first.record.model, first.record.config, first.record.verdict) == (live.model, target.config, live.verdict)
    assert first.record.metrics["auc"] == pytest.approx(live.auc_of("test"), abs=1e-9)
    assert deployment_records(own.lake)[first.number] == first.record
    assert second == first
    again = sagemaker.describe_endpoint(EndpointName=name_of(own))
    assert again["LastModifiedTime"] == made["LastModifiedTime"]
    assert count(sagemaker, name_of(own)) == (1, 1)
    assert mine(own) == [live.model.job]


def test_deployment_that_changes_nothing_makes_no_call_that_changes_anything(live: Live, own: Workspace) -> None:
    target, calls = live.target(own, live.model), list[str]()
    deploy(own, target)
    counting = replace(own, aws=Aws(own.aws.session, own.aws.endpoint))
    for service in ("sagemaker", "s3", "sagemaker-runtime"):
        counting.aws.client(service).meta.events.register("before-call", lambda model, **_: calls.append(model.name))

    assert isinstance(deploy(counting, target), Done)

    assert "InvokeEndpoint" in calls
    assert not [call for call in calls if call.startswith(("Create", "Update", "Put", "Delete"))]


def test_serverless_endpoint_is_deployed_and_proven(live: Live, sagemaker: Any, own: Workspace) -> None:
    deployment = replace(own.pipeline.deployment, serverless=Serverless(memory_mb=1024, concurrency=2))
    serverless = replace(own, pipeline=replace(own.pipeline, deployment=deployment))

    assert isinstance(deploy(serverless, live.target(serverless, live.model)), Done)

    (variant,) = sagemaker.describe_endpoint(EndpointName=name_of(own))["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 2}


def test_names_follow_from_the_content(live: Live, sagemaker: Any, own: Workspace) -> None:
    target = live.target(own, live.model)
    deploy(own, target)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=target.config)
    (variant,) = config["ProductionVariants"]

    assert target.config.startswith(f"{name_of(own)}-")
    assert len(target.config) <= 63
    assert variant["ModelName"] == live.model.job
    container = sagemaker.describe_model(ModelName=live.model.job)["PrimaryContainer"]
    assert container["ModelDataUrl"] == live.job.model_uri
    assert container["Image"] == live.job.image
    assert live.target(larger(own), live.model).config != target.config


@pytest.mark.parametrize("lost", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_deployment_that_dies_after_any_call_can_be_repeated(
    cloud: Cloud, live: Live, sagemaker: Any, own: Workspace, lost: str
) -> None:
    """The call happened, and the process ended: one endpoint in the end, and no orphans."""
    dying = cloud.client("sagemaker")

    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    if lost == "CreateModel":
        sagemaker.delete_model(ModelName=live.model.job)
    dying.meta.events.register(f"after-call.sagemaker.{lost}", die)
    target = live.target(own, live.model)
    with pytest.raises(KeyboardInterrupt):
        deploy(with_client(own, dying), target)
    settled(own, name_of(own))

    assert isinstance(deploy(own, target), Done)

    assert serves(own, target.config)
    assert count(sagemaker, name_of(own)) == (1, 1)


def test_second_model_replaces_the_first(live: Live, own: Workspace) -> None:
    first, second = live.target(own, live.model), live.target(own, live.other)

    assert isinstance(deploy(own, first), Done)
    assert isinstance(deploy(own, second), Done)

    assert serves(own, second.config)
    with pytest.raises(DeploymentFailed, match=rf"does not serve {first.config}: it is InService on {second.config}"):
        check_live(name_of(own), find_endpoint(own, name_of(own)), first.config)
    assert mine(own) == [live.model.job, live.other.job]


def test_endpoint_that_answers_as_another_model_is_rolled_back(live: Live, own: Workspace) -> None:
    """Its configuration is the requested one, but the model of the verdict does not answer."""
    first = live.target(own, live.model)
    deploy(own, first)

    failed = deploy(own, wrong(live, own))

    assert isinstance(failed, Failed)
    assert "another model serves" in failed.reason
    assert failed.reason.endswith(f"(rolled back: {first.config} is live)")
    assert not failed.passes
    assert serves(own, first.config)
    assert mine(own) == [live.model.job]


def test_first_deployment_that_fails_leaves_no_endpoint(live: Live, own: Workspace) -> None:
    failed = deploy(own, wrong(live, own))

    assert isinstance(failed, Failed)
    assert failed.reason.endswith("(rolled back: no endpoint is live)")
    assert find_endpoint(own, name_of(own)) is None
    with pytest.raises(DeploymentFailed, match=r"does not serve .*: it is gone"):
        check_live(name_of(own), None, "any")


def test_failure_restores_the_proven_model_and_not_an_unproven_live_one(live: Live, own: Workspace) -> None:
    """GIVEN a proven first and an unproven second, WHEN a third fails, THEN the first is restored."""
    first, second = live.target(own, live.model), live.target(own, live.other)
    deploy(own, first)
    assert isinstance(start(own, second), Wait)
    settled(own, name_of(own))
    assert serves(own, second.config)

    failed = deploy(own, wrong(live, larger(own)))

    assert isinstance(failed, Failed)
    assert serves(own, first.config)


def test_failure_without_a_proven_model_restores_what_served_before_sluice(
    live: Live, sagemaker: Any, own: Workspace
) -> None:
    """GIVEN a foreign configuration, and an unproven change over it WHEN the next fails THEN the first is restored,
    though it was deleted meanwhile, with its model."""
    name = name_of(own)
    theirs = f"{name}-theirs"
    sagemaker.create_model(
        ModelName=theirs,
        PrimaryContainer={"Image": live.job.image, "ModelDataUrl": live.other.artefact},
        ExecutionRoleArn=own.resources.role_arn,
    )
    variant = {"VariantName": "v", "ModelName": theirs, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=theirs)
    settled(own, name)
    start(own, live.target(own, live.model))
    settled(own, name)
    second = wrong(live, larger(own))
    step = start(own, second)
    sagemaker.delete_endpoint_config(EndpointConfigName=theirs)
    sagemaker.delete_model(ModelName=theirs)

    assert isinstance(follow(own, second, step), Failed)

    assert serves(own, theirs)
    assert sagemaker.describe_model(ModelName=theirs)["PrimaryContainer"]["ModelDataUrl"] == live.other.artefact


def test_deleted_proven_configuration_is_created_again_from_its_record(
    live: Live, sagemaker: Any, own: Workspace
) -> None:
    first = live.target(own, live.model)
    deploy(own, first)
    made = sagemaker.describe_endpoint_config(EndpointConfigName=first.config)["ProductionVariants"]
    second = wrong(live, own)
    step = start(own, second)
    sagemaker.delete_endpoint_config(EndpointConfigName=first.config)

    assert isinstance(follow(own, second, step), Failed)

    assert serves(own, first.config)
    assert sagemaker.describe_endpoint_config(EndpointConfigName=first.config)["ProductionVariants"] == made


@pytest.mark.parametrize("deleted", ["endpoint configuration", "model"])
def test_deleted_part_of_what_serves_is_named_and_made_again_by_the_roll_back_that_is_named(
    live: Live, sagemaker: Any, own: Workspace, deleted: str
) -> None:
    """GIVEN that what serves was deleted WHEN the next deployment is refused THEN what serves is live, and is whole
    again once it was deployed again."""
    first = live.target(own, live.model)
    done = deploy(own, first)
    assert isinstance(done, Done)
    name = {"endpoint configuration": first.config, "model": live.model.job}[deleted]
    if deleted == "model":
        sagemaker.delete_model(ModelName=name)
    else:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    model = broken(live)

    failed = deploy(own, Target(model=model, recipe=live.target(own, model).recipe, verdict=live.verdict))

    assert isinstance(failed, Failed)
    assert failed.reason.endswith(
        f"(rolled back: {first.config} is live, but {deleted} {name} is gone: run `sluice rollback toy --to "
        f"{done.number}`, which creates it again, then deploy again)"
    )
    assert serves(own, first.config)
    assert deploy(own, target_of_record(own, done.number)) == done
    assert deleted_part(own, first.config) == ""


def test_deleted_configuration_of_others_that_serves_is_named(live: Live, sagemaker: Any, own: Workspace) -> None:
    """No deployment has made it, so no roll-back makes it again."""
    theirs = live.target(own, live.other)
    make(own, theirs.recipe)
    sagemaker.create_endpoint(EndpointName=name_of(own), EndpointConfigName=theirs.config)
    settled(own, name_of(own))
    sagemaker.delete_endpoint_config(EndpointConfigName=theirs.config)
    model = broken(live)

    failed = deploy(own, Target(model=model, recipe=live.target(own, model).recipe, verdict=live.verdict))

    assert isinstance(failed, Failed)
    assert failed.reason.endswith(
        f"(rolled back: {theirs.config} is live, but endpoint configuration {theirs.config} is gone: create it again "
        f"as it was, then deploy again)"
    )
    assert serves(own, theirs.config)


def test_endpoint_that_failed_is_deleted_and_made_again_with_what_served_before(
    live: Live, sagemaker: Any, own: Workspace
) -> None:
    """SageMaker takes no update of an endpoint that failed."""
    first = live.target(own, live.model)
    deploy(own, first)
    sagemaker.delete_endpoint(EndpointName=name_of(own))
    settled(own, name_of(own))
    model = broken(live)
    target = Target(model=model, recipe=live.target(own, model).recipe, verdict=live.verdict)
    step = start(own, target)
    settled(own, name_of(own))
    plan = read_plan(own.lake, name_of(own))
    assert plan is not None
    own.lake.update(
        own.lake.layout.endpoint(name_of(own)),
        type(plan),
        lambda each: each.model_copy(update={"former": first.config}),  # type: ignore[union-attr]
    )

    failed = follow(own, target, step)

    assert isinstance(failed, Failed)
    assert "does not serve" in failed.reason
    assert serves(own, first.config)


def test_endpoint_that_failed_before_is_not_updated(live: Live, own: Workspace) -> None:
    model = broken(live)
    start(own, Target(model=model, recipe=live.target(own, model).recipe, verdict=live.verdict))
    settled(own, name_of(own))

    failed = start(own, live.target(own, live.model))

    assert isinstance(failed, Failed)
    assert failed.reason.startswith(f"endpoint {name_of(own)} is Failed on ")
    assert failed.reason.endswith("and can't be updated; delete it, then deploy again")


def test_request_without_a_response_is_left_to_the_next_step(live: Live, own: Workspace, cloud: Cloud) -> None:
    lossy = cloud.client("sagemaker")

    def lose(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="http://sagemaker")

    lossy.meta.events.register("after-call.sagemaker.CreateEndpoint", lose)
    target = live.target(own, live.model)

    step = start(with_client(own, lossy), target)

    assert isinstance(step, Wait)
    assert "Connect timeout on endpoint URL" in step.what
    assert isinstance(follow(own, target, step), Done)


def test_throttled_request_is_made_again_and_not_without_end(live: Live, own: Workspace, cloud: Cloud) -> None:
    deploy(own, live.target(own, live.model))
    busy, calls = cloud.client("sagemaker"), list[str]()
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "UpdateEndpoint")

    def refuse(**_: Any) -> None:
        calls.append("UpdateEndpoint")
        if len(calls) <= refused:
            raise throttled

    busy.meta.events.register("before-call.sagemaker.UpdateEndpoint", refuse)
    refused, second = 1, live.target(own, live.other)

    assert isinstance(deploy(with_client(own, busy), second), Done)
    assert len(calls) == 2

    calls.clear()
    refused = 100
    failed = deploy(with_client(own, busy), live.target(larger(own), live.other))
    assert isinstance(failed, Failed)
    assert failed.passes
    assert len(calls) == 3
    assert serves(own, second.config)


def test_another_deployment_takes_over_and_the_first_changes_nothing(live: Live, own: Workspace) -> None:
    """Two deploy at once: the one that began last decides what serves, and the other one says so."""
    first, second = live.target(own, live.model), live.target(own, live.other)
    assert isinstance(start(own, first), Wait)
    waiting = start(own, second)
    assert waiting == Wait(f"endpoint {name_of(own)}, which is Creating", begun=False)
    settled(own, name_of(own))
    assert isinstance(start(own, second), Wait)
    settled(own, name_of(own))

    lost = advance(own, first)

    assert isinstance(lost, Failed)
    assert lost.passes
    assert f"another deployment of endpoint {name_of(own)} has begun, that of {live.other.job}" in lost.reason
    assert give_up(own, first, "it took too long", passes=True) == Failed("it took too long", passes=True)
    assert isinstance(advance(own, second), Done)
    assert serves(own, second.config)
    assert mine(own) == [live.other.job]


def test_deployment_that_is_given_up_restores_what_served_before(live: Live, own: Workspace) -> None:
    first, second = live.target(own, live.model), live.target(own, live.other)
    deploy(own, first)
    start(own, second)

    failed = follow(own, second, give_up(own, second, "it took too long", passes=True))

    assert failed == Failed(f"it took too long (rolled back: {first.config} is live)", passes=True)
    assert serves(own, first.config)


def test_roll_back_without_an_effect_ends(live: Live, own: Workspace, cloud: Cloud) -> None:
    """Something else restores its own configuration each time."""
    first, second = live.target(own, live.model), live.target(own, live.other)
    deploy(own, first)
    start(own, second)
    settled(own, name_of(own))
    deaf, calls = cloud.client("sagemaker"), list[str]()

    deaf.meta.events.register("before-call.sagemaker.UpdateEndpoint", lambda **_: _answered(calls))

    failed = follow(with_client(own, deaf), second, give_up(with_client(own, deaf), second, "it failed", passes=False))

    assert isinstance(failed, Failed)
    assert failed.passes
    assert failed.reason == (
        f"it failed; the roll-back to {first.config} had no effect after 3 requests, so endpoint {name_of(own)} may "
        f"serve an unproven model: check it, then deploy again"
    )
    assert len(calls) == 3


def _answered(calls: list[str]) -> tuple[Any, dict[str, Any]]:
    """Return a response in place of the request."""

    class Response:
        status_code = 200

    calls.append("UpdateEndpoint")
    return Response(), {}


def test_refused_roll_back_reports_the_unproven_model(live: Live, own: Workspace, cloud: Cloud) -> None:
    first, second = live.target(own, live.model), live.target(own, live.other)
    deploy(own, first)
    start(own, second)
    settled(own, name_of(own))
    denied = cloud.client("sagemaker")

    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "UpdateEndpoint")

    denied.meta.events.register("before-call.sagemaker.UpdateEndpoint", deny)

    failed = give_up(with_client(own, denied), second, "it failed", passes=False)

    assert isinstance(failed, Failed)
    assert failed.passes
    assert (
        rf"the roll-back to {first.config} failed: AWS refused UpdateEndpoint (AccessDeniedException" in failed.reason
    )
    assert "may serve an unproven model" in failed.reason
    assert isinstance(deploy(own, second), Done)


def test_quota_error_names_the_setting(live: Live, own: Workspace, cloud: Cloud) -> None:
    first = live.target(own, live.model)
    deploy(own, first)
    full = cloud.client("sagemaker")

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ResourceLimitExceeded", "Message": "the limit is 0"}}, "UpdateEndpoint")

    full.meta.events.register("before-call.sagemaker.UpdateEndpoint", refuse)

    failed = deploy(with_client(own, full), live.target(own, live.other))

    assert failed == Failed(
        "AWS refused UpdateEndpoint (ResourceLimitExceeded: the limit is 0); set another instance_type of Deployment "
        f"in the pipeline's declaration, or request a higher quota in AWS Service Quotas (rolled back: {first.config} "
        "is live)",
        passes=False,
    )


def test_declared_deployment_makes_the_target(live: Live, own: Workspace) -> None:
    target = target_of_verdict(own, live.verdict)
    done = deploy(own, target)
    assert isinstance(done, Done)

    assert target == live.target(own, live.model)
    assert target_of_record(own, done.number) == target

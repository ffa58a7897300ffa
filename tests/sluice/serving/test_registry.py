"""Each winner is one version of the pipeline's model, and only an approved one goes live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.serving.live import Live

from sluice.errors import DeploymentFailed, MissingResource
from sluice.evaluation.verdict import read_verdict
from sluice.serving.plan import Plan, begin_plan
from sluice.serving.registry import (
    Version,
    approval,
    decide,
    find_version,
    group_name,
    register,
    require_approved,
    version_numbered,
    versions,
)
from sluice.serving.targets import target_of_verdict, verdict_to_deploy
from sluice.workspace import Workspace


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def own(live: Live, sagemaker: Any, own_name: str) -> Iterator[Workspace]:
    """A pipeline of the test's own name that asks a person, on the lake of ``live``; its versions are deleted."""
    name = f"r{own_name.replace('-', '_')}"[:24]
    deployment = replace(live.workspace.pipeline.deployment, approval=timedelta(days=1))
    yield replace(live.workspace, pipeline=replace(live.workspace.pipeline, name=name, deployment=deployment))
    for each in versions(live.workspace):
        live.workspace.lake.s3.delete_object(
            Bucket=live.workspace.lake.bucket, Key=live.workspace.lake.layout.version(each.job)
        )


def test_winner_is_registered_with_what_it_reaches_and_where_it_comes_from(
    live: Live, sagemaker: Any, own: Workspace
) -> None:
    version = register(own, live.verdict)

    assert (version.number, version.job, version.verdict) == (1, live.model.job, live.verdict)
    package = sagemaker.describe_model_package(ModelPackageName=version.arn)
    (container,) = package["InferenceSpecification"]["Containers"]
    assert (container["Image"], container["ModelDataUrl"]) == (live.job.image, live.job.model_uri)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    known = package["CustomerMetadataProperties"]
    assert float(known["auc"]) == pytest.approx(live.auc_of("test"), abs=1e-5)
    assert known["training-job"] == live.job.name
    assert known["snapshot"] == live.fingerprint
    assert known["train"] == "dt=2013-01-01..dt=2013-01-06"
    bucket, _, key = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].removeprefix("s3://").partition("/")
    assert bucket == own.lake.bucket
    assert live.job.name in own.lake.get(key).decode()


def test_winner_is_registered_once_also_after_a_crash(live: Live, sagemaker: Any, own: Workspace) -> None:
    first = register(own, live.verdict)
    assert register(own, live.verdict) == first
    own.lake.s3.delete_object(Bucket=own.lake.bucket, Key=own.lake.layout.version(first.job))  # it was not written yet

    assert register(own, live.verdict) == first

    listed = sagemaker.list_model_packages(ModelPackageGroupName=group_name(own.pipeline))
    assert len(listed["ModelPackageSummaryList"]) == 1


def test_only_an_approved_version_is_deployed(live: Live, own: Workspace) -> None:
    version = register(own, live.verdict)

    with pytest.raises(DeploymentFailed, match=r"^version 1 of .* is PendingManualApproval in the model registry, so"):
        target_of_verdict(own, live.verdict)
    decide(own, version, "Rejected", "It is too old.")
    with pytest.raises(DeploymentFailed, match="is Rejected in the model registry"):
        target_of_verdict(own, live.verdict)
    decide(own, version, "Approved", "It is good.")

    assert approval(own, version) == "Approved"
    assert target_of_verdict(own, live.verdict).model == live.model


def test_deployment_that_has_begun_ends_although_its_version_was_rejected_since(live: Live, own: Workspace) -> None:
    """Otherwise the unproven model that it has requested would stay live (P8)."""
    version = register(own, live.verdict)
    decide(own, version, "Approved", "It is good.")
    deployment = replace(own.pipeline.require_deployment(), endpoint="e-b")
    there = replace(own, pipeline=replace(own.pipeline, deployment=deployment))
    target = target_of_verdict(there, live.verdict)
    begin_plan(there.lake, Plan(endpoint="e-b", target=target, phase="proving"))

    decide(own, version, "Rejected", "It is too old.")

    assert target_of_verdict(there, live.verdict) == target
    begin_plan(there.lake, Plan(endpoint="e-b", target=target, phase="ended"))
    with pytest.raises(DeploymentFailed, match="is Rejected in the model registry"):
        target_of_verdict(there, live.verdict)


def test_model_that_was_not_registered_can_not_have_been_approved(live: Live, own: Workspace) -> None:
    """GIVEN a training that failed between its verdict and the registry."""
    with pytest.raises(DeploymentFailed, match=r"is not in the model registry, .*; clear the task `verdict` of r"):
        target_of_verdict(own, live.verdict)


def test_model_that_nobody_has_to_approve_is_approved(live: Live, own: Workspace) -> None:
    free = replace(own, pipeline=replace(own.pipeline, deployment=replace(own.pipeline.deployment, approval=None)))

    assert approval(free, register(free, live.verdict)) == "Approved"
    require_approved(free, live.model.job)
    require_approved(free, "a-job-that-was-never-registered")


def test_version_is_chosen_by_its_number(live: Live, own: Workspace) -> None:
    version = register(own, live.verdict)

    assert version_numbered(own, 1) == version == find_version(own, live.model.job)
    assert versions(own) == [version]
    assert verdict_to_deploy(own, 1) == live.verdict == verdict_to_deploy(own)
    with pytest.raises(MissingResource, match=r"has no version 7; it has 1$"):
        verdict_to_deploy(own, 7)
    assert isinstance(version, Version)
    assert read_verdict(own.lake, version.verdict).winner == version.job

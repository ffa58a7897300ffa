"""A deployment record says what its model and its endpoint cost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.clients import MODEL, offline
from tests.conftest import Cloud
from tests.sluice.lake_contents import body_of
from tests.sluice.serving.live import Live
from tests.sluice.toy import TOY

from sluice.declaration.deployment import Deployment
from sluice.lake.store import Lake
from sluice.serving.cost import Cost, endpoint_price
from sluice.serving.proof import record_of
from sluice.serving.recipe import Recipe, recipe_of_model
from sluice.serving.records import DeploymentRecord, deployment_records, record_deployment


def test_endpoint_costs_all_its_instances() -> None:
    pair = offline(replace(TOY, deployment=Deployment("toy-late", instance_type="ml.m5.xlarge", instances=2)))
    unknown = offline(replace(TOY, deployment=Deployment("toy-late", instance_type="ml.m9.large")))

    assert endpoint_price(pair, recipe_of_model(pair, MODEL)) == 0.46
    assert endpoint_price(unknown, recipe_of_model(unknown, MODEL)) is None


def test_endpoint_with_a_variant_of_unknown_price_has_none() -> None:
    def recipe(*variants: dict[str, object]) -> Recipe:
        return Recipe(models=(), config={"EndpointConfigName": "c", "ProductionVariants": variants})

    large = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 3}

    assert endpoint_price(offline(TOY), recipe(large)) == pytest.approx(0.345)
    assert endpoint_price(offline(TOY), recipe(large, {"ServerlessConfig": {"MemorySizeInMB": 1024}})) is None


def test_record_has_the_cost_of_the_job_the_scoring_and_the_endpoint(live: Live, cloud: Cloud) -> None:
    """The seconds are read from SageMaker here; a price of 3600 $ an hour makes them dollars."""
    sagemaker = cloud.client("sagemaker")
    record = next(iter(deployment_records(live.workspace.lake).values()))
    dear = replace(live.workspace, pipeline=replace(live.workspace.pipeline, prices={"ml.m5.large": 3600}))
    judgements = json.loads(body_of(live.workspace.lake, "toy/evaluations/verdicts/000001.json"))["judgements"]
    (folder,) = [each["scores"] for each in judgements if each["model"]["job"] == live.model.job]
    attempts = sagemaker.list_transform_jobs(NameContains=folder.split("/")[-2])["TransformJobSummaries"]
    jobs = [sagemaker.describe_transform_job(TransformJobName=each["TransformJobName"]) for each in attempts]
    scoring = sum((job["TransformEndTime"] - job["TransformStartTime"]).total_seconds() for job in jobs)
    billed = sagemaker.describe_training_job(TrainingJobName=live.model.job)["BillableTimeInSeconds"]

    cost = record_of(dear, live.target(live.workspace, live.model)).cost

    assert cost is not None
    assert cost.training == billed
    assert cost.scoring == pytest.approx(scoring)
    assert scoring > 0
    assert cost.endpoint_per_hour == 3600
    assert record.cost is not None
    assert record.cost.training == pytest.approx(billed * 0.115 / 3600)
    assert record.cost.endpoint_per_hour == 0.115


def test_record_that_was_written_before_costs_were_has_none(lake: Lake) -> None:
    recipe = Recipe(models=(), config={"EndpointConfigName": "a"})
    record = DeploymentRecord(
        endpoint="toy-late",
        model=MODEL,
        verdict=3,
        metrics={"auc": 0.65},
        recipe=recipe,
        cost=Cost(training=0.002, scoring=None, endpoint_per_hour=0.115),
    )
    record_deployment(lake, record)
    document = json.loads(body_of(lake, "toy/deployments/000001.json"))
    assert document.pop("cost") == {"training": 0.002, "scoring": None, "endpoint_per_hour": 0.115}
    lake.create("toy/deployments/000002.json", json.dumps(document).encode())

    assert list(deployment_records(lake).values()) == [record, record.model_copy(update={"cost": None})]

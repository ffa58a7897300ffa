"""SIGKILL, throttling and lost responses at every call of a model's life: one job, one endpoint, no orphan (P7, P8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.chaos import model_life
from tests.chaos.forking import Ask, forking
from tests.conftest import Cloud
from tests.sluice.lake_contents import rows_of
from tests.sluice.serving.live import put_learnable
from tests.sluice.toy import TOY

from sluice.aws.resources import Resources, find
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.serving.records import deployment_records

MOST_CALLS = 400


@pytest.fixture
def toy_stack(cloud: Cloud) -> Resources:
    provision(cloud, TOY)
    return find(cloud, "toy")


@pytest.fixture
def lake(cloud: Cloud, own_name: str) -> Lake:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=own_name)
    lake = Lake(s3, own_name, "toy")
    put_learnable(lake, 8)
    return lake


@pytest.fixture
def endpoint(own_name: str) -> str:
    return f"k-{own_name}"[-40:].strip("-")


@pytest.fixture
def ask(cloud: Cloud, toy_stack: Resources, lake: Lake, endpoint: str) -> Iterator[Ask]:
    """Runs a model's life with a fault at its nth call, and returns how it ended."""
    with forking(model_life, lake.bucket, endpoint, **cloud.environment) as ask:
        yield ask


def names(listed: Any, member: str) -> list[str]:
    return sorted(each[member] for each in listed)


def _tunings(sagemaker: Any) -> list[str]:
    listed = sagemaker.list_hyper_parameter_tuning_jobs(MaxResults=100)["HyperParameterTuningJobSummaries"]
    return names(listed, "HyperParameterTuningJobName")


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fault", ["before", "after", "throttle", "lose"])
def test_fault_at_every_call_leaves_one_of_each_and_no_orphan(
    cloud: Cloud, ask: Ask, lake: Lake, endpoint: str, fault: str
) -> None:
    """Each attempt goes one call further than the one before, until one meets no fault any more."""
    sagemaker = cloud.client("sagemaker")
    before = names(sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"], "TrainingJobName")
    tuned_before, ended = _tunings(sagemaker), list[str]()
    for nth in range(1, MOST_CALLS):
        ended.append(ask(fault, nth))
        assert ended[-1].startswith(("killed", "transient", "done")), ended[-1]
        if ended[-1].startswith("done") and int(ended[-1].split()[1]) < nth:
            break
    else:
        pytest.fail(f"no attempt was free of the fault: {ended[-5:]}")

    assert len(ended) > 40
    jobs = set(names(sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"], "TrainingJobName"))
    made = jobs - set(before)
    (tuning,) = set(_tunings(sagemaker)) - set(tuned_before)
    [linear] = [name for name in made if name.startswith("toy-linear-")]
    assert len(made) == 3, made
    assert all(name.startswith(f"{tuning}-00") for name in made - {linear}), made
    best = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)["BestTrainingJob"]
    config = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert config["EndpointStatus"] == "InService"
    configs = names(sagemaker.list_endpoint_configs(NameContains=endpoint)["EndpointConfigs"], "EndpointConfigName")
    assert configs == [config["EndpointConfigName"]]
    models = names(sagemaker.list_models(NameContains="toy-", MaxResults=100)["Models"], "ModelName")
    assert {linear, best["TrainingJobName"]} <= set(models)
    (record,) = deployment_records(lake).values()
    assert record.config == config["EndpointConfigName"]
    scores = {key.split("/")[3] for key, _, _ in lake.objects("toy/evaluations/scores/")}
    assert len(scores) == 2, "each model has scored once"
    transforms = names(sagemaker.list_transform_jobs(MaxResults=100)["TransformJobSummaries"], "TransformJobName")
    assert sorted(name for name in transforms if name.startswith(tuple(scores))) == sorted(scores)
    described = [sagemaker.describe_transform_job(TransformJobName=name) for name in transforms]
    outputs = [job["TransformOutput"]["S3OutputPath"] for job in described]
    assert len([uri for uri in outputs if uri.startswith(lake.uri("toy/batches/"))]) == 1, "each day was scored once"
    for day in ("2013-01-07", "2013-01-08"):
        assert [list(row) for row in rows_of(lake, "scores", f"dt={day}")] == [["value", "score"]] * 60
    sagemaker.delete_endpoint(EndpointName=endpoint)

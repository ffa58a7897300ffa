"""A task that waits for a training job links to it in SageMaker's console, and only there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from airflow.plugins_manager import get_operator_extra_links
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from sluice.training.names import tuning_name_stem
from sluice.workspace import Workspace
from sluice_airflow.job_sensors import TrainingJobSensor
from sluice_airflow.links import TrainingJobLink, console_url


def sensor(job_name: str = "parcels-xgboost-1") -> TrainingJobSensor:
    return TrainingJobSensor(task_id="wait", pipeline="parcels", job_name=job_name, max_runtime=timedelta(hours=1))


def sagemaker(region: str, endpoint_url: str | None = None) -> Any:
    session = boto3.Session("test", "test", region_name=region)
    return session.client("sagemaker", endpoint_url=endpoint_url)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/jobs/a"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/sagemaker/home?region=cn-north-1#/jobs/a"),
        (
            "us-gov-west-1",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/sagemaker/home?region=us-gov-west-1#/jobs/a",
        ),
    ],
)
def test_console_is_that_of_the_region(region: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"):
        monkeypatch.delenv(name, raising=False)

    assert console_url(sagemaker(region).meta, "jobs/a") == url


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4567", "http://aws.example", "https://amazonaws.com.example"])
def test_service_that_is_not_aws_has_no_console(endpoint: str) -> None:
    assert console_url(sagemaker("eu-west-1", endpoint).meta, "jobs/a") == ""


def test_endpoint_in_a_network_of_ones_own_has_the_console() -> None:
    private = "https://vpce-1a2b.api.sagemaker.eu-west-1.vpce.amazonaws.com"
    assert console_url(sagemaker("eu-west-1", private).meta, "jobs/a").startswith("https://eu-west-1.console.")


def test_embedded_cloud_has_no_console(parcels: Workspace) -> None:
    assert TrainingJobLink().get_link(sensor(), ti_key=Any) == ""


@pytest.mark.parametrize(("kind", "page"), [("training", "jobs"), ("tuning", "hyper-tuning-jobs")])
def test_task_links_to_its_job(parcels: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str, page: str) -> None:
    """Through the environment's connection, without an endpoint of its own."""
    tuned = tuning_name_stem(parcels.pipeline, parcels.pipeline.require_training().candidate("tuned")) + "0" * 12
    job = {"training": "parcels-xgboost-1", "tuning": tuned}[kind]
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"):
        monkeypatch.delenv(name, raising=False)
    meta = sagemaker("eu-west-1").meta
    monkeypatch.setattr(parcels.aws.client("sagemaker"), "meta", meta)
    monkeypatch.setattr("sluice_airflow.shared.WORKSPACES.get", lambda _: parcels)

    assert TrainingJobLink().get_link(sensor(job), ti_key=Any) == (
        f"https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/{page}/{job}"
    )


def test_web_ui_knows_the_link() -> None:
    """The API server reads a serialized DAG, and the link from the XCom that the task has pushed."""
    with DAG("links", schedule=None) as dag:
        sensor()

    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("wait")

    assert {link.name: link.xcom_key for link in task.operator_extra_links} == {"Training job": "_link_TrainingJobLink"}
    assert "TrainingJobLink" in {type(link).__name__ for link in get_operator_extra_links()}

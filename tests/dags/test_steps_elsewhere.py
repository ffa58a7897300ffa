"""Steps on Lambda and Fargate, and a training by Step Functions, in an Airflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome
from tests.dags.own_pipelines import World, world_of
from tests.sluice.lake_contents import manifest_json, rows_of

from sluice.sending.lanes import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
READINGS = Path(__file__).parent / "pipelines" / "readings"


@pytest.fixture(scope="module")
def world(
    cloud: Cloud, image_pipelines: Path, tmp_path_factory: pytest.TempPathFactory, airflow_home: AirflowHome
) -> Iterator[World]:
    shutil.copytree(READINGS, image_pipelines / "readings")
    with world_of(airflow_home, cloud, tmp_path_factory.mktemp("elsewhere"), ["readings"]) as world:
        yield world


def test_steps_run_where_they_are_declared_and_step_functions_trains(world: World) -> None:
    moments = [FIRST + timedelta(days=day, minutes=n) for day in range(12) for n in range(40)]
    world.run(
        "readings",
        [
            Event(f"r-{n:03d}", "meter", at, json.dumps({"id": f"r-{n:03d}", "at": at.isoformat(), "value": n % 40}))
            for n, at in enumerate(moments)
        ],
    )
    lake = world.lake("readings")

    runs = {step: manifest_json(lake, step, "dt=2013-01-12")["run"] for step in ("conform", "doubled", "compared")}
    assert runs["conform"]["runtime"] == "the Airflow worker"
    assert (runs["doubled"]["runtime"], runs["doubled"]["reason"]) == ("Lambda with 512 MB", "declared")
    assert runs["compared"]["runtime"] == "Lambda with 2,048 MB"
    assert "within half of its limits" in runs["compared"]["reason"]
    assert [row["value"] for row in rows_of(lake, "doubled", "dt=2013-01-12")] == [2 * n for n in range(40)]
    assert {(row["before"], row["after"]) for row in rows_of(lake, "compared", "dt=2013-01-11")} == {(39.0, 40)}
    assert {(row["before"], row["after"]) for row in rows_of(lake, "compared", "dt=2013-01-12")} == {(39.0, 0)}

    trained = world.airflow.dags_test("readings_train", "2013-01-12", poll_seconds=0.5).succeeded()

    assert "waiting for execution arn:aws:states:" in trained.output
    endpoint = world.cloud.client("sagemaker").describe_endpoint(EndpointName="readings-high")
    record = world.stored("readings", "deployments/000001.json")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == (
        "InService",
        record["recipe"]["config"]["EndpointConfigName"],
    )

"""The example on a whole year: both algorithms are trained and judged, and the better one is live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome
from tests.dags.own_pipelines import World, world_of
from tests.pipelines.flights.flight_days import features_of_year
from tests.sluice.lake_contents import put_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

YEAR = "flights_year"


@pytest.fixture(scope="module")
def trained(cloud: Cloud, airflow_home: AirflowHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world after one run of the training DAG on the rows of the last step."""
    rows = features_of_year()
    with world_of(airflow_home, cloud, tmp_path_factory.mktemp("year"), [YEAR]) as world:
        for day, part in rows.groupby(rows["event_time"].dt.date):
            put_rows(world.lake(YEAR), "features", str(day), part)
        world.airflow.dags_test(f"{YEAR}_train", "2013-12-31", poll_seconds=1).succeeded()
        yield world


def reached(verdict: Any) -> dict[str, float]:
    return {each["model"]["candidate"]: each["metrics"]["auc"]["value"] for each in verdict["judgements"]}


def test_both_models_of_the_year_reach_their_auc(trained: World) -> None:
    verdict = trained.stored(YEAR, "evaluations/verdicts/000001.json")
    snapshot = trained.stored(YEAR, f"snapshots/{verdict['snapshot']}/snapshot.json")

    assert snapshot["rows"] == {"train": 244_453, "validation": 28_651, "test": 53_991}
    assert reached(verdict)["xgboost"] >= 0.755
    assert reached(verdict)["linear"] >= 0.735


def test_better_model_of_the_year_is_live(trained: World) -> None:
    verdict = trained.stored(YEAR, "evaluations/verdicts/000001.json")
    record = trained.stored(YEAR, "deployments/000001.json")

    best = max(reached(verdict), key=reached(verdict).__getitem__)
    assert record["model"]["candidate"] == best
    assert record["metrics"]["auc"] == reached(verdict)[best]
    endpoint = trained.cloud.client("sagemaker").describe_endpoint(EndpointName="flights-year-late")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == (
        "InService",
        record["recipe"]["config"]["EndpointConfigName"],
    )

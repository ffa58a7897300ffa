"""The housekeeping DAG, by ``airflow dags test``: it shows by default, and removes on request.

It has a cloud of its own: the DAG sees all that a pipeline has, and other tests train ``flights`` on the shared one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import CLOUD_PYTHON, Cloud, running_cloud
from tests.dags.airflow_home import AirflowHome
from tests.sluice.housekeeping.past import superseded_snapshot
from tests.sluice.lake_contents import keys_below

from sluice.aws.resources import find
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision

DAY = "2013-01-01"


@pytest.fixture
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), CLOUD_PYTHON) as cloud:
        provision(cloud, load_pipeline("flights"))
        yield cloud


@pytest.fixture
def lake(own_cloud: Cloud) -> Lake:
    return Lake(own_cloud.client("s3"), find(own_cloud, "flights").bucket, "flights")


@pytest.fixture
def snapshots(lake: Lake) -> Iterator[list[str]]:
    """The snapshots of the lake; the first is superseded."""
    with superseded_snapshot(lake) as snapshots:
        yield snapshots


@pytest.mark.slow
def test_leftovers_are_shown_by_default_and_removed_on_request(
    airflow_home: AirflowHome, own_cloud: Cloud, lake: Lake, snapshots: list[str]
) -> None:
    home, (old, newest) = airflow_home.on(own_cloud), snapshots

    def remaining() -> list[str]:
        return [key.split("/")[2] for key in keys_below(lake, "flights/snapshots/")]

    def returned() -> list[Any]:
        return [json.loads(value) for dag, _, value in home.xcoms() if dag == "flights_housekeeping"]

    by_default = home.dags_test("flights_housekeeping", DAY).succeeded()
    assert {"bytes": 0} in returned()
    assert old not in by_default.output

    shown = home.dags_test("flights_housekeeping", DAY, days=0).succeeded()

    assert f"snapshot {old} (17 bytes): nothing that is kept names it" in shown.output
    assert remaining() == [old, newest]

    removed = home.dags_test("flights_housekeeping", DAY, days=0, dry_run=False).succeeded()

    assert f"removed snapshot {old}" in removed.output
    assert remaining() == [newest]
    assert {"snapshot": 1, "bytes": 17} in returned()

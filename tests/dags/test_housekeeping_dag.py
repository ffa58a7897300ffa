"""The housekeeping DAG, by ``airflow dags test``: it shows by default, and removes on request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome
from tests.sluice.housekeeping.past import superseded_snapshot

from sluice.aws.resources import Resources
from sluice.lake.store import Lake

DAY = "2013-01-01"


@pytest.fixture
def snapshots(cloud: Cloud, flights: Resources) -> Iterator[list[str]]:
    """The snapshots of the lake of ``flights``; the first is superseded."""
    with superseded_snapshot(Lake(cloud.client("s3"), flights.bucket, "flights")) as snapshots:
        yield snapshots


def test_leftovers_are_shown_by_default_and_removed_on_request(
    airflow_home: AirflowHome, cloud: Cloud, flights: Resources, snapshots: list[str]
) -> None:
    old, newest = snapshots

    def remaining() -> list[str]:
        listed = cloud.client("s3").list_objects_v2(Bucket=flights.bucket, Prefix="flights/snapshots/")["Contents"]
        return [entry["Key"].split("/")[2] for entry in listed]

    def returned() -> list[Any]:
        return [json.loads(value) for dag, _, value in airflow_home.xcoms() if dag == "flights_housekeeping"]

    by_default = airflow_home.dags_test("flights_housekeeping", DAY).succeeded()
    assert {"bytes": 0} in returned()
    assert old not in by_default.output

    shown = airflow_home.dags_test("flights_housekeeping", DAY, days=0).succeeded()

    assert f"snapshot {old} (2 bytes): nothing that is kept names it" in shown.output
    assert remaining() == [old, newest]

    removed = airflow_home.dags_test("flights_housekeeping", DAY, days=0, dry_run=False).succeeded()

    assert f"removed snapshot {old}" in removed.output
    assert remaining() == [newest]
    assert {"snapshot": 1, "bytes": 2} in returned()

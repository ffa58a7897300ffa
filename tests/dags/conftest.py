"""Fixtures of the tests of the DAGs: the DAGs, an Airflow that runs them, and the pipeline ``flights`` provisioned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, AirflowHome, fresh_airflow

from sluice.aws.resources import Resources, find
from sluice.declaration.loading import load_pipeline
from sluice.provisioning.provision import provision


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    return DagBag(ROOT / "dags")


@pytest.fixture(scope="session")
def airflow_home(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowHome]:
    with fresh_airflow(cloud, tmp_path_factory.mktemp("airflow")) as home:
        yield home


@pytest.fixture(scope="session")
def flights(cloud: Cloud) -> Resources:
    provision(cloud, load_pipeline("flights"))
    return find(cloud, "flights")

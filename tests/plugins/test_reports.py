"""The task that writes a report, its link, and the page: only a user who may read the DAG reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from airflow.plugins_manager import get_operator_extra_links
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from tests.conftest import Cloud
from tests.dags.airflow_home import fresh_airflow
from tests.dags.running_airflow import running_api_server

from sluice.aws.resources import find
from sluice.declaration.loading import load_pipeline
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.workspace import Workspace
from sluice_airflow.reports import ReportLink, ReportOperator

PAGE = b"<!doctype html><title>a report</title>"


def operator(number: Any = 3) -> ReportOperator:
    return ReportOperator(task_id="report", pipeline="parcels", verdict=number)


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("", "/sluice/reports/parcels/3"),
        ("http://127.0.0.1:8080/", "/sluice/reports/parcels/3"),
        ("https://airflow.example/team", "/team/sluice/reports/parcels/3"),
    ],
)
def test_link_is_a_path_of_the_api_server(monkeypatch: pytest.MonkeyPatch, base_url: str, path: str) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    assert ReportLink().get_link(operator("3"), ti_key=cast(Any, None)) == path


def test_web_ui_knows_the_link() -> None:
    """The API server reads a serialized DAG, and the link from the XCom that the task has pushed."""
    with DAG("links", schedule=None) as dag:
        operator()

    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("report")

    assert {link.name: link.xcom_key for link in task.operator_extra_links} == {"Report": "_link_ReportLink"}
    assert "ReportLink" in {type(link).__name__ for link in get_operator_extra_links()}


def test_task_writes_the_report_and_returns_the_number(parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, int]] = []

    def make_report(workspace: Workspace, number: int) -> str:
        written.append((workspace.pipeline.name, number))
        return workspace.lake.layout.report(number)

    monkeypatch.setattr("sluice.evaluation.report.make_report", make_report)

    assert operator("3").execute(cast(Any, {})) == 3
    assert written == [("parcels", 3)]


def test_report_that_can_not_be_made_fails_the_task(parcels: Workspace) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="has no verdict 99; run parcels_train"):
        operator(99).execute(cast(Any, {}))


@dataclass(frozen=True)
class Served:
    """An API server, and the lake of the pipeline ``flights``, which has the report 1."""

    url: str
    token: str
    lake: Lake

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the answer."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def read(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Get a page as the user who has logged in."""
        return self.get(path, Cookie=f"_token={self.token}")


def log_in(url: str, password: str) -> str:
    """Return the token of the user ``reader``."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        body = json.dumps({"username": "reader", "password": password})
        connection.request("POST", "/auth/token", body, {"Content-Type": "application/json"})
        token: str = json.load(connection.getresponse())["access_token"]
        return token
    finally:
        connection.close()


@pytest.fixture(scope="module")
def served(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    provision(cloud, load_pipeline("flights"))
    lake = Lake(cloud.client("s3"), find(cloud, "flights").bucket, "flights")
    lake.put(lake.layout.report(1), PAGE)
    folder: Path = tmp_path_factory.mktemp("airflow")
    with fresh_airflow(cloud, folder) as home:
        passwords = folder / "passwords.json"
        settings = {
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.plugins.one_dag_only.OneDagOnly",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reader:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }
        with running_api_server(home, settings) as url:
            yield Served(url, log_in(url, json.loads(passwords.read_text())["reader"]), lake)


@pytest.mark.slow
def test_user_who_is_logged_in_reads_the_report(served: Served) -> None:
    status, headers, body = served.read("/sluice/reports/flights/1")

    assert (status, body) == (200, PAGE)
    assert headers["content-type"] == "text/html; charset=utf-8"
    rules = {rule.strip() for rule in headers["content-security-policy"].split(";")}
    assert rules == {"default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "sandbox"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.slow
def test_nobody_else_reads_it(served: Served) -> None:
    for headers in ({}, {"Cookie": "_token=x"}, {"Authorization": f"Basic {served.token}"}):
        status, _, body = served.get("/sluice/reports/flights/1", **headers)
        assert status in (401, 403)
        assert b"report" not in body


@pytest.mark.slow
def test_user_who_may_not_read_the_dag_does_not_read_its_reports(served: Served) -> None:
    """The user may read ``flights_train`` and no other DAG; whether there is a pipeline, the answer does not tell."""
    for pipeline in ("parcels", "no_such_pipeline"):
        status, _, body = served.read(f"/sluice/reports/{pipeline}/1")
        assert (status, json.loads(body)) == (403, {"detail": "Forbidden"})


@pytest.mark.slow
def test_report_that_does_not_exist_is_not_found(served: Served) -> None:
    status, _, body = served.read("/sluice/reports/flights/2")

    assert status == 404
    assert json.loads(body) == {"detail": "there is no report 2; clear the task report of flights_train to write it"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    ["flights/0", "flights/-1", "flights/x", "..%2Fflights/1", "flights%2F..%2Fother/1", "Flights/1", "", "docs"],
)
def test_other_paths_lead_nowhere(served: Served, path: str) -> None:
    assert served.read(f"/sluice/reports/{path}")[0] in (404, 422)

"""Which names the API server answers to, and where the login link exists (over HTTP: tests/deployment/test_web.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sluice_airflow.plugin import SluicePlugin
from sluice_airflow.web import own_hosts

_LOOPBACK = {"127.0.0.1", "localhost"}


@pytest.mark.parametrize(
    ("base_url", "execution_url", "names"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/execution/", set()),
        ("http://127.0.0.1:8080", "http://sluice:8080/execution/", {"sluice"}),  # docker compose
        ("https://Airflow.example/team", "http://airflow-api:8080/execution/", {"airflow.example", "airflow-api"}),
        ("", "", set()),
    ],
)
def test_own_hosts_are_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, base_url: str, execution_url: str, names: set[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", execution_url)

    assert set(own_hosts()) == _LOOPBACK | names


def test_without_a_password_file_there_is_no_login_link() -> None:
    assert [app["url_prefix"] for app in SluicePlugin.fastapi_apps] == ["/sluice/reports"]


def test_plugin_loads_no_web_framework() -> None:
    code = "import sys, airflow.plugins_manager as m; before = set(sys.modules); import sluice_airflow.plugin\n"
    code += "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} & {'starlette', 'fastapi'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr

""".env.example works unchanged, and holds each fact once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from airflow.configuration import conf
from deploy import prepare
from tests.deployment.files import ROOT, SETTINGS

import pipelines
from localcloud.testing.clouds import OF_STAND_IN
from pipelines.flights.pipeline import PIPELINE
from sluice.declaration.loading import load_pipelines
from sluice.pool import INGEST_POOL

_PRINT_ENDPOINTS = """
import json, boto3
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

def endpoint(client): return client.meta.endpoint_url

services = ["s3", "sqs", "sns", "kinesis", "ssm", "cloudformation", "service-quotas"]
services += ["application-autoscaling", "sagemaker", "sagemaker-runtime"]
print(json.dumps({
    name: [
        endpoint(boto3.client(name)),
        endpoint(AwsBaseHook(aws_conn_id="aws_default", client_type=name).get_conn()),
    ]
    for name in services
}))
"""


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """For each service the endpoint of a plain boto3 client and that of an Airflow hook."""
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_ENDPOINTS],
        env={**os.environ, **SETTINGS, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_library_and_airflow_reach_the_same_endpoints(endpoints: dict[str, list[str]]) -> None:
    emulator = f"http://127.0.0.1:{SETTINGS['LOCALCLOUD_PORT']}"
    stand_in = f"http://127.0.0.1:{SETTINGS['LOCALCLOUD_SAGEMAKER_PORT']}"
    for service, both in endpoints.items():
        assert both == [stand_in if service in OF_STAND_IN else emulator] * 2, service


def test_every_airflow_setting_exists_in_airflow() -> None:
    names = [name for name in SETTINGS if name.startswith("AIRFLOW__")]
    assert names
    for name in names:
        section, option = name.removeprefix("AIRFLOW__").lower().split("__")
        assert option in conf.configuration_description[section]["options"], name


def test_nothing_listens_beyond_loopback() -> None:
    assert SETTINGS["AIRFLOW__API__HOST"] == "127.0.0.1"
    supervised = (ROOT / "deploy" / "supervisord.conf").read_text()
    assert re.findall(r"airflow (scheduler|triggerer)(?! --skip-serve-logs)", supervised) == []


def test_without_its_section_no_setting_names_the_embedded_cloud() -> None:
    sections = re.split(r"^# --- ", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    cloud = [section for section in sections if section.startswith("The embedded cloud")]
    assert len(cloud) == 1
    rest = "".join(section for section in sections if section not in cloud)
    set_elsewhere = re.findall(r"^(\w+)=", rest, flags=re.MULTILINE)
    assert [name for name in set_elsewhere if "AWS" in name] == ["AWS_DEFAULT_REGION"]
    assert [name for name in re.findall(r"\$\{(\w+)\}", rest) if "CLOUD" in name or "AWS" in name] == []


def test_secrets_are_marked_to_be_replaced() -> None:
    sections = re.split(r"^# --- ", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    (secrets,) = (section for section in sections if section.startswith("Secrets"))
    assert "Anywhere else replace them all" in secrets
    assert {name for name in re.findall(r"^(\w+)=", secrets, flags=re.MULTILINE) if "SIMPLE_AUTH" not in name} == set(
        prepare.SECRETS
    )
    elsewhere = "".join(section for section in sections if section is not secrets and "LOCALCLOUD_PORT" not in section)
    assert re.findall(r"^\w*(?:SECRET|PASSWORD|FERNET)\w*=", elsewhere, flags=re.MULTILINE) == []


def test_pool_of_the_dags_is_the_pool_that_is_created() -> None:
    pools = [command[3:5] for command in prepare.airflow_commands() if command[:3] == ["airflow", "pools", "set"]]
    assert pools == [[INGEST_POOL, "10"]]


@pytest.mark.parametrize("name", sorted(prepare.SECRETS))
def test_each_shipped_secret_alone_is_refused_beyond_loopback(name: str) -> None:
    made = {**SETTINGS, **dict.fromkeys(prepare.SECRETS, "made-here"), "AIRFLOW__API__HOST": "192.0.2.1"}
    prepare.require_secrets(made)

    with pytest.raises(prepare.ShippedSecrets, match=rf"others can reach 192\.0\.2\.1 .* {name}; .* {name} with `"):
        prepare.require_secrets({**made, name: SETTINGS[name]})


@pytest.mark.parametrize(
    ("where", "reachable"),
    [
        ({"AIRFLOW__API__HOST": "127.0.0.1"}, False),
        ({"AIRFLOW__API__HOST": "127.1.2.3"}, False),
        ({"AIRFLOW__API__HOST": "localhost"}, False),
        ({"AIRFLOW__API__HOST": "::1"}, False),
        ({"AIRFLOW__API__HOST": "0.0.0.0"}, True),
        ({"AIRFLOW__API__HOST": "::"}, True),
        ({"AIRFLOW__API__HOST": "laptop.example"}, True),
        ({"AIRFLOW__API__HOST": ""}, True),
        ({}, True),
        ({"AIRFLOW__API__HOST": "sluice", "PUBLISHED_ON": "127.0.0.1"}, False),
        ({"AIRFLOW__API__HOST": "sluice", "PUBLISHED_ON": "0.0.0.0"}, True),
    ],
)
def test_shipped_secrets_are_for_loopback(where: dict[str, str], reachable: bool) -> None:
    settings = {**{name: SETTINGS[name] for name in prepare.SECRETS}, **where}
    if reachable:
        with pytest.raises(prepare.ShippedSecrets):
            prepare.require_secrets(settings)
    else:
        prepare.require_secrets(settings)


def test_prepare_refuses_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "prepare.py"],  # as the image of compose runs it
        env={**os.environ, **SETTINGS, "PUBLISHED_ON": "0.0.0.0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("prepare: others can reach 0.0.0.0")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy"])
def test_proxy_exceptions_of_a_company_are_kept(spelling: str) -> None:
    shell = f'{spelling}=intranet.example; set -a; . ./.env.example; printf "%s\\n%s" "$NO_PROXY" "$no_proxy"'
    done = subprocess.run(
        ["env", "-i", "/bin/sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    for exceptions in done.stdout.splitlines():
        assert {"intranet.example", "127.0.0.1", "localhost", "::1"} <= set(exceptions.split(","))


_FETCH = """
import sys, urllib.request, requests, httpx
url = sys.argv[1]
assert urllib.request.urlopen(url, timeout=10).status == 200
assert requests.get(url, timeout=10).status_code == 200
assert httpx.get(url, timeout=10).status_code == 200
"""


@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_a_companys_proxy(spelling: str, host: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shell = 'set -a; . ./.env.example; exec "$0" -c "$1" "$2"'
        done = subprocess.run(
            ["/bin/sh", "-c", shell, sys.executable, _FETCH, f"http://{host}:{server.server_port}/"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HTTP_PROXY": "http://127.0.0.1:9",
                "http_proxy": "http://127.0.0.1:9",
                spelling: "intranet.example",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr


def test_pipeline_that_is_broken_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pipeline.py").write_text("PIPELINE = (\n")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    loaded, errors = load_pipelines()

    commands = prepare.provision_commands(loaded)

    assert ["sluice", "provision", "flights"] in commands
    assert not [command for command in commands if "broken" in command]
    (error,) = errors
    assert str(error).startswith("pipeline broken can't be loaded: pipelines/broken/pipeline.py line 1: SyntaxError:")


@pytest.mark.parametrize(("failing", "status"), [({"sour"}, 0), ({"sour", "sweet"}, 1), (set(), 0)])
def test_pipeline_that_can_not_be_provisioned_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, failing: set[str], status: int
) -> None:
    """Unless none can be: then it is no pipeline's fault."""
    names = ("sour", "sweet")
    declared = tuple(replace(PIPELINE, name=name, deployment=None) for name in names)
    ran: list[str] = []

    def run(command: list[str]) -> int:
        ran.append(" ".join(command[:3]))
        return int(command[-1] in failing)

    monkeypatch.setattr(prepare, "_run", run)
    monkeypatch.setattr(prepare, "load_pipelines", lambda: (declared, ()))
    monkeypatch.setattr(prepare, "require_secrets", lambda _: None)

    assert prepare.main() == status
    assert ran == ["airflow db migrate", "airflow pools set", "sluice provision sour", "sluice provision sweet"]

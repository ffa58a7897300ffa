""".env.example works untouched, and holds each truth once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from airflow.configuration import conf
from deploy import prepare
from tests.deployment.files import ROOT, SETTINGS

from sluice_airflow.policy import INGEST_POOL

_ASK_FOR_ENDPOINTS = """
import json, boto3
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

def endpoint(client): return client.meta.endpoint_url

services = ["s3", "sqs", "sns", "kinesis", "ssm", "cloudformation", "sagemaker", "sagemaker-runtime"]
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
        [sys.executable, "-c", _ASK_FOR_ENDPOINTS],
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
        assert both == [stand_in if service.startswith("sagemaker") else emulator] * 2, service


def test_every_airflow_setting_is_one_that_airflow_has() -> None:
    names = [name for name in SETTINGS if name.startswith("AIRFLOW__")]
    assert names
    for name in names:
        section, option = name.removeprefix("AIRFLOW__").lower().split("__")
        assert option in conf.configuration_description[section]["options"], name


def test_nothing_listens_beyond_loopback() -> None:
    assert SETTINGS["AIRFLOW__API__HOST"] == "127.0.0.1"
    supervised = (ROOT / "deploy" / "supervisord.conf").read_text()
    assert re.findall(r"airflow (scheduler|triggerer)(?! --skip-serve-logs)", supervised) == []


def test_without_the_section_of_the_embedded_cloud_no_trace_of_it_is_left() -> None:
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
    elsewhere = "".join(section for section in sections if section is not secrets and "LOCALCLOUD_PORT" not in section)
    assert re.findall(r"^\w*(?:SECRET|PASSWORD|FERNET)\w*=", elsewhere, flags=re.MULTILINE) == []


def test_the_pool_that_the_dags_name_is_the_pool_that_is_made() -> None:
    assert set(prepare.POOLS) == {INGEST_POOL}
    slots, _ = prepare.POOLS[INGEST_POOL]
    assert slots == "10"

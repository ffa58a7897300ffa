"""The SageMaker SDK takes seconds to import: parsing, triggers and what they call never do it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import ROOT, airflow_environment

from sluice.aws.resources import Resources

_USE = """
import importlib, importlib.util, json, pkgutil, sys

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

def loaded():
    return sorted(name for name in sys.modules if name == "sagemaker" or name.startswith("sagemaker."))

steps = {}
import sluice_airflow
for module in pkgutil.iter_modules(sluice_airflow.__path__):
    importlib.import_module(f"sluice_airflow.{module.name}")
steps["plugins"] = loaded()
for number, file in enumerate(sys.argv[1:]):
    spec = importlib.util.spec_from_file_location(f"parsed_{number}", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
steps["dags"] = loaded()

from sluice_airflow import probes
from sluice_airflow.connection import open_workspace

workspace = open_workspace("flights")
probes.backlog(workspace, "events")
probes.complete_partitions(workspace, "dt=2013-01-01")
probes.due_partitions(workspace)
probes.ended_training_job(workspace, "no-such-job")
probes.settled_endpoint(workspace)
steps["probes"] = loaded()

from sluice.training.images import builtin_image

steps["image"] = [builtin_image("xgboost", "3.2-0", "us-east-1"), *loaded()]
print(json.dumps(steps))
"""


@pytest.fixture(scope="module")
def steps(cloud: Cloud, flights: Resources, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The SDK's modules that a fresh process has loaded after each step."""
    environment = airflow_environment(cloud, tmp_path_factory.mktemp("airflow"))
    done = subprocess.run(
        [sys.executable, "-c", _USE, *map(str, sorted((ROOT / "dags").glob("*.py")))],
        env={
            **environment,
            "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}",
            "PATH": str(Path(sys.executable).parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("step", ["plugins", "dags", "probes"])
def test_sdk_is_not_imported(steps: dict[str, Any], step: str) -> None:
    assert steps[step] == []


def test_only_the_image_imports_the_sdk(steps: dict[str, Any]) -> None:
    uri, *modules = steps["image"]
    assert uri.startswith("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:")
    assert "sagemaker.core.image_uris" in modules

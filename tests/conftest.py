"""Fixtures that every test may use."""

from __future__ import annotations

import functools
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, settings

from localcloud.images import Image
from localcloud.testing.clouds import Cloud, cloud_at, free_ports, running_cloud
from sluice.aws import clients

__all__ = ["CLOUD_PYTHON", "STEP_IMAGE", "Cloud", "cloud_at", "free_ports", "running_cloud"]

_ROOT = Path(__file__).resolve().parents[1]
CLOUD_PYTHON = _ROOT / ".venv-cloud/bin/python"
# What the image of steps is in the tests' clouds. Its first folder has the pipelines that tests declare for it.
STEP_IMAGE = "sluice-step"
# The runtime of functions from zip archives.
ZIP_RUNTIME = "python3.11"
STEP_PYTHON = _ROOT / ".venv-step/bin/python"
_SHARED_PACKAGE = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"

# Airflow settles on its folders when it is first imported, whichever test does that: never on the user's own home.
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="sluice-airflow-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME.name
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(_ROOT / "plugins")

# Each boto3 session parses the descriptions of its services again. A test opens as many workspaces as many processes
# would: without this, half of its time goes into that.
botocore.session.create_loader = botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)

# How long an example takes says nothing about what it shows: a machine may be slow.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A file runs on one worker from its start to its end, so those that take longest start first.
_LONGEST = (
    "test_flights_year.py",
    "test_transform_scheduling.py",
    "test_dags_run.py",
    "test_problems.py",
    "test_machine.py",
    "test_operators.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session")
def image_pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pipelines that the image of steps has beside those of the project."""
    folder = tmp_path_factory.mktemp("image") / "pipelines"
    folder.mkdir()
    (folder / "__init__.py").write_text(_SHARED_PACKAGE)
    return folder


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, image_pipelines: Path) -> Iterator[Cloud]:
    """An embedded cloud of the session's own (of the worker's own under xdist), gone when it ends."""
    image = Image(STEP_PYTHON, (image_pipelines.parent, _ROOT / "include"))
    images = {STEP_IMAGE: image, ZIP_RUNTIME: Image(STEP_PYTHON, ())}
    with running_cloud(tmp_path_factory.mktemp("cloud"), CLOUD_PYTHON, images) as cloud:
        yield cloud


@pytest.fixture
def own_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, fit for every service: at most 39 lower-case letters, digits and dashes.

    It begins as no pipeline does: what a test finds by the name of its pipeline is not of another test.
    """
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:29].strip("-")
    return f"t{zlib.crc32(request.node.nodeid.encode()):08x}-{words}"


@pytest.fixture
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 waits longer before each of five attempts; the error after the first is the same."""
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    monkeypatch.setattr(clients, "_CONFIG", clients._CONFIG.merge(once))

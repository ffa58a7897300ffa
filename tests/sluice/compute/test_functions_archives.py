"""A step on Lambda from zip archives: in a runtime that has what Lambda's own has, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from tests.calendars import utc
from tests.conftest import CLOUD_PYTHON, STEP_PYTHON, ZIP_RUNTIME, Cloud, running_cloud
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import STEP, made, records, run

import sluice
from localcloud.images import Image
from sluice.aws.clients import Aws
from sluice.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAYS = ("dt=2013-01-01", "dt=2013-01-02")
# What Lambda's runtime has (AWS Lambda developer guide, "Runtime-included SDK versions"), and its Runtime API client.
INCLUDED = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")
CLIENT = ("awslambdaric", "runtime_client.*.so", "simplejson", "snapshot_restore_py")
DOUBLED = """
import pandas, pyarrow, sluice

def doubled(conform):
    print("pandas is in", pandas.__file__, "pyarrow in", pyarrow.__file__, "sluice in", sluice.__file__)
    return conform.assign(value=conform["value"] * 2)
"""


@pytest.fixture(scope="module")
def bare_runtime(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An interpreter with boto3 and the Runtime API client alone."""
    folder = tmp_path_factory.mktemp("runtime") / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    here, there = (each / "lib/python3.11/site-packages" for each in (STEP_PYTHON.parents[1], folder))
    for pattern in (*INCLUDED, *CLIENT):
        for found in here.glob(pattern):
            (shutil.copytree if found.is_dir() else shutil.copy)(found, there / found.name)
    return Image(folder / "bin/python")


@pytest.fixture(scope="module")
def zip_cloud(tmp_path_factory: pytest.TempPathFactory, bare_runtime: Image) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), CLOUD_PYTHON, {ZIP_RUNTIME: bare_runtime}) as cloud:
        yield cloud


@pytest.fixture
def aws(zip_cloud: Cloud) -> Aws:
    """Clients of the cloud with the bare runtime, for the pipeline of the test."""
    session = boto3.Session("test", "test", region_name=zip_cloud.environment["AWS_DEFAULT_REGION"])
    return Aws(session, zip_cloud.endpoint)


def provision_from_archives(elsewhere: Elsewhere, cloud: Cloud, bucket: str) -> None:
    """Provision by the command line."""
    path = (elsewhere.folder.parents[1], Path(sluice.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "provision", elsewhere.name, "--archives", f"s3://{bucket}/steps/"],
        env={**os.environ, **cloud.environment, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def forget(workspace: Workspace) -> None:
    for day in DAYS:
        key = workspace.lake.layout.manifest(STEP, utc(day))
        workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)


def test_step_from_archives_gives_the_bytes_of_the_worker(
    elsewhere: Elsewhere, zip_cloud: Cloud, own_name: str
) -> None:
    workspace = elsewhere.make("Worker()", DOUBLED, days=2)
    in_worker = run(workspace, "..".join(DAYS))
    worker = [made(workspace, day) for day in DAYS]
    forget(workspace)
    elsewhere.declare("Lambda(memory_mb=1024, seconds=120, package='zip')", DOUBLED)
    elsewhere.aws.client("s3").create_bucket(Bucket=own_name)
    provision_from_archives(elsewhere, zip_cloud, own_name)
    workspace = elsewhere.workspace()

    there = run(workspace, "..".join(DAYS))

    assert {**there, "ran": None} == {**in_worker, "ran": None}
    assert str(there["ran"]).startswith("on Lambda with 1,024 MB: ")
    changing = {"written_at", "run"}
    assert [made(workspace, day).model_dump(exclude=changing) for day in DAYS] == [
        each.model_dump(exclude=changing) for each in worker
    ]
    assert records(workspace) == ["1-claim.json", "1-result.json"]
    logged = elsewhere.aws.client("logs").filter_log_events(
        logGroupName=f"/sluice/{elsewhere.name}/{STEP}", filterPattern='"pandas is in"'
    )
    for event in logged["events"]:
        pandas, pyarrow, library = (word for word in event["message"].split() if word.endswith("__init__.py"))
        assert pandas.endswith("/python/pandas/__init__.py")
        assert pyarrow.endswith("/python/pyarrow/__init__.py")
        assert library.endswith("/sluice/__init__.py")
        assert not any(each.startswith(str(Path(sluice.__file__).parents[2])) for each in (pandas, pyarrow, library))
    assert len(logged["events"]) == 2

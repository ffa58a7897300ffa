"""A lake, a queue and a pipeline of a test's own, in the embedded cloud."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.conftest import Cloud
from tests.sluice import toy
from tests.sluice.serving.live import Live, make_live

import pipelines
from sluice.aws.clients import Aws
from sluice.aws.resources import Resources, find
from sluice.aws.wire import Wire
from sluice.declaration.pipeline import Pipeline
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.sources.queue import drain
from sluice.workspace import Workspace

Declare = Callable[[str, Mapping[str, str]], Path]


@pytest.fixture
def lake(cloud: Cloud, own_name: str) -> Lake:
    """The lake of the pipeline ``toy``, empty, in a bucket of its own."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=own_name)
    return Lake(s3, own_name, "toy")


@pytest.fixture
def sqs(cloud: Cloud) -> Any:
    return cloud.client("sqs")


@pytest.fixture
def queue(sqs: Any, own_name: str) -> str:
    """The URL of an empty FIFO queue."""
    url: str = sqs.create_queue(QueueName=f"{own_name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    return url


@pytest.fixture
def no_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing succeeds on the wire: every call is made by boto3, whose events a test can hook into."""
    monkeypatch.setattr(Wire, "send", lambda *_: None)


@pytest.fixture
def short_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drains never wait for messages: an emulator on this machine has none under way."""
    monkeypatch.setattr(drain, "_LONG_POLL_SECONDS", 0)


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Makes ``pipelines.<name>`` from source texts by file name without suffix (``sub/mod``); returns its folder."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two changes within a second have the same time stamp
    made: list[str] = []

    def make(name: str, modules: Mapping[str, str]) -> Path:
        _forget(name)
        made.append(name)
        for module, source in {"__init__": "", **modules}.items():
            path = tmp_path / name / f"{module}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        importlib.invalidate_caches()
        return tmp_path / name

    yield make
    for name in made:
        _forget(name)


def _forget(name: str) -> None:
    package = f"pipelines.{name}"
    for module in [each for each in sys.modules if f"{each}.".startswith(f"{package}.")]:
        del sys.modules[module]


@pytest.fixture
def toy_pipeline(declare: Declare) -> Pipeline:
    """The pipeline ``toy``, with its modules importable."""
    declare("toy", toy.MODULES)
    return toy.TOY


@pytest.fixture(scope="session")
def aws(cloud: Cloud) -> Aws:
    """Clients as a worker has them: made by the library, of this cloud."""
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=cloud.environment["AWS_DEFAULT_REGION"]
    )
    return Aws(session, cloud.endpoint)


@pytest.fixture(scope="session")
def toy_resources(cloud: Cloud) -> Resources:
    """The resources of the pipeline ``toy`` with a source of each kind."""
    sources = (toy.EVENTS, toy.MESSAGES, toy.STREAM, toy.DROPS)
    provision(cloud, toy.toy(sources=sources))
    return find(cloud, "toy")


@pytest.fixture
def workspace(aws: Aws, lake: Lake, toy_pipeline: Pipeline, toy_resources: Resources) -> Workspace:
    """The pipeline ``toy`` as a worker sees it, with a lake of the test's own and an endpoint to match."""
    return Workspace(toy_pipeline, replace(toy_resources, bucket=lake.bucket), lake, aws)


@pytest.fixture(scope="session")
def live(aws: Aws, toy_resources: Resources) -> Live:
    """Two models behind endpoints, made once for all tests."""
    return make_live(aws, toy_resources)

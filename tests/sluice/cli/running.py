"""The command line as its users run it, and what its tests need."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.serving.live import Live
from tests.sluice.toy import MODULES

from sluice.aws.resources import Resources
from sluice.cli.app import main
from sluice.lake.journal import entry_key
from sluice.lake.store import Lake
from sluice.serving.recipe import Recipe
from sluice.serving.records import DeploymentRecord, record_deployment

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = """
from tests.sluice.toy import toy
from sluice.declaration.deployment import Deployment
PIPELINE = toy(deployment=Deployment({endpoint!r}))
"""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    status: int
    out: str
    error: str


Run = Callable[..., Done]


@pytest.fixture
def sluice(
    cloud: Cloud,
    toy_resources: Resources,
    declare: Declare,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs ``sluice`` with arguments, in this cloud, as its entry point does."""

    def run(*arguments: str, endpoint: str = "toy-live", given: str | bytes = "", **environment: str) -> Done:
        declare("toy", {**MODULES, "pipeline": PIPELINE.format(endpoint=endpoint)})
        for name, value in {"COLUMNS": "200", **cloud.environment, **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
        content = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


def failed(done: Done, status: int = 1) -> str:
    """Return the one line on standard error of a failed command."""
    assert done.status == status, done
    (line,) = done.error.splitlines()
    return line


def event(name: str, **members: Any) -> dict[str, Any]:
    defaults = {"id": name, "group": "g", "event_time": "2013-01-01T07:00:00+00:00", "body": {"value": 1}}
    return {**defaults, **members}


def write(path: Path, *events: Any) -> str:
    lines = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in events) + "\n"
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.write(lines)
    return str(path)


@pytest.fixture
def proven(live: Live, cloud: Cloud, toy_resources: Resources) -> Iterator[None]:
    """Records that the model was proven at ``toy-live``, and once at ``toy-nowhere``, in the provisioned lake."""
    lake = Lake(cloud.client("s3"), toy_resources.bucket, "toy")
    key = lake.layout.snapshot(live.fingerprint)
    lake.create(key, live.workspace.lake.get(key))
    records = [
        DeploymentRecord(
            endpoint=endpoint,
            model=live.model,
            verdict=1,
            metrics={"auc": 0.9},
            recipe=Recipe(models=(), config={"EndpointConfigName": f"{endpoint}-1"}),
        )
        for endpoint in ("toy-live", "toy-nowhere")
    ]
    numbers = [record_deployment(lake, record) for record in records]
    yield
    for each in (key, *(entry_key(lake.layout.deployments(), number) for number in numbers)):
        lake.s3.delete_object(Bucket=lake.bucket, Key=each)

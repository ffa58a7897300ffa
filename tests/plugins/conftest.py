"""A small pipeline of the tests' own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import aws_connection
from tests.plugins.faults import Happens

import pipelines
from sluice.aws.clients import Aws
from sluice.aws.wire import Wire
from sluice.declaration.loading import load_pipeline
from sluice.declaration.sources import Stream
from sluice.provisioning.provision import provision
from sluice.workspace import Workspace
from sluice_airflow.connection import open_workspace
from sluice_airflow.shared import WORKSPACES, SharedWorkspaces

_DECLARATION = '''
"""Parcels: a queue, a drop, and a model of two numbers."""

from datetime import UTC, datetime

from sluice.declaration import Conform, Deployment, Drops, FifoQueue, Gate, Input, Integer, Lambda, Pipeline, Step
from sluice.declaration import Training, Tuning, XGBoost

PIPELINE = Pipeline(
    name="parcels",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="event_time"), Drops("tariffs", prefix="drops/tariffs/")),
    steps=(
        Conform("conform", source="events", contract="contracts:Parcel"),
        Step("features", run="steps:features", reads=(Input("conform"), Input("tariffs"))),
        Step("elsewhere", run="steps:elsewhere", reads=(Input("features"),), runtime=Lambda()),
    ),
    training=Training(
        rows="features",
        label="late",
        features=("weight", "distance"),
        candidates=(
            XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5, "nthread": 1}),
            XGBoost({"objective": "binary:logistic"}, "tuned", tuning=Tuning({"num_round": Integer(2, 9)}, 2)),
        ),
        gate=Gate("auc", at_least=0.6),
    ),
    deployment=Deployment(endpoint="parcels-late"),
)
'''

_MODULES = {
    "__init__": "",
    "pipeline": _DECLARATION,
    "contracts": """
from pydantic import BaseModel

class Parcel(BaseModel):
    weight: float
    distance: float
""",
    "steps": """
def features(conform, tariffs):
    return conform.assign(late=0)

def elsewhere(features):
    return features
""",
}


@pytest.fixture(autouse=True)
def nothing_shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test finds a workspace that another one has opened, and a failed probe opens a new one at once."""
    monkeypatch.setattr(SharedWorkspaces, "YOUNGEST_SECONDS", 0)
    WORKSPACES.clear()
    yield
    WORKSPACES.clear()


@pytest.fixture
def at_aws(one_attempt: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Happens], None]:
    """Sets a hook in place of a call's request, such as ``sagemaker.UpdateEndpoint``, in every client.

    The hook returns the answer over HTTP, or None to send the request.
    """
    make_client, hooks = Aws.make_client, dict[str, Happens]()

    def hooked(made_by: Aws, service: str) -> Any:
        made = make_client(made_by, service)
        for call, happens in hooks.items():
            made.meta.events.register(f"before-send.{call}", happens)
        return made

    monkeypatch.setattr(Aws, "make_client", hooked)
    monkeypatch.setattr(Wire, "send", lambda *_: None)  # boto3 makes every call
    return hooks.__setitem__


@pytest.fixture(scope="module")
def parcels(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The pipeline ``parcels``, found by its folder, provisioned together with a stream, reached through Airflow's
    connection."""
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "parcels").mkdir()
    for name, source in _MODULES.items():
        (folder / "parcels" / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder)])
        declared = load_pipeline("parcels")
        stream = Stream("stream", event_id="id", event_time="event_time")
        # No test of this pipeline runs the step that is elsewhere, so there is no function for it.
        provision(cloud, replace(declared, sources=(*declared.sources, stream), steps=declared.steps[:-1]))
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(cloud.endpoint_url, cloud.sagemaker_endpoint_url))
        yield open_workspace("parcels")
    for name in [name for name in sys.modules if name.startswith("pipelines.parcels")]:
        del sys.modules[name]

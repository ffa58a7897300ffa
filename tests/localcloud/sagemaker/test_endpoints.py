"""Endpoints in the middle of a deployment, seen while the archive is still on its way."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from tests.contract.training import IMAGE, ROLE
from tests.waiting import wait_for

from localcloud.sagemaker import archives, aws
from localcloud.sagemaker.clock import Clock
from localcloud.sagemaker.deployment import Deployer
from localcloud.sagemaker.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.fleet import Fleet, NotServingError
from localcloud.sagemaker.loading import Loader
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.protocol import ControlPlane
from localcloud.sagemaker.rollback_alarms import Alarms
from localcloud.sagemaker.s3 import Objects
from localcloud.sagemaker.store import Store
from localcloud.sagemaker.tags import Tags


class SlowS3:
    """An S3 that gives one archive, whatever the key; `gate` is shut to hold downloads back."""

    def __init__(self, archive: bytes) -> None:
        self.gate = threading.Event()
        self.gate.set()
        slow = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(b"")

            def do_GET(self) -> None:
                slow.gate.wait(30)
                self._answer(archive)

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(archive)))
                self.send_header("ETag", '"tag"')
                self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[SlowS3]:
    model = tmp_path / "model"
    model.mkdir()
    matrix = xgboost.DMatrix(np.array([[0.0], [1.0]]), label=np.array([0.0, 1.0]))
    (model / "xgboost-model").write_bytes(xgboost.train({}, matrix, 1).save_raw("ubj"))
    archives.pack(model, tmp_path / "model.tar.gz")
    server = SlowS3((tmp_path / "model.tar.gz").read_bytes())
    yield server
    server.close()


class StandIn:
    """The control plane of endpoints, in this process."""

    def __init__(self, s3: SlowS3, folder: Path) -> None:
        self.store = Store(folder / "store.sqlite")
        self.fleet = Fleet()
        objects = Objects(aws.s3_client(s3.url))
        tags = Tags(self.store)
        models = Models(self.store, tags, objects)
        configs = EndpointConfigs(self.store, tags, models)
        alarms, clock = Alarms(aws.cloudwatch_client(s3.url)), Clock()
        self.deployer = Deployer(self.store, Loader(objects, folder / "endpoints"), self.fleet, alarms, clock)
        endpoints = Endpoints(self.store, tags, configs, models, self.deployer, alarms, clock)
        self._plane = ControlPlane({**models.operations(), **configs.operations(), **endpoints.operations()})

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self._plane.run(f"SageMaker.{operation}", json.dumps(request).encode()) or {}

    def config(self, name: str) -> None:
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/{name}.tar.gz"}
        self.call("CreateModel", ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {"VariantName": name, "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])

    def describe(self) -> dict[str, Any]:
        return self.call("DescribeEndpoint", EndpointName="live")

    def settled(self) -> dict[str, Any]:
        wait_for(lambda: self.describe()["EndpointStatus"] in ("InService", "Failed"), what="the end of the change")
        return self.describe()


@pytest.fixture
def stand_in(s3: SlowS3, tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(s3, tmp_path)
    for name in ("old", "new"):
        stand_in.config(name)
    yield stand_in
    s3.gate.set()
    stand_in.deployer.close()


def test_an_endpoint_is_creating_until_its_model_is_there(s3: SlowS3, stand_in: StandIn) -> None:
    s3.gate.clear()
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    assert stand_in.describe()["EndpointStatus"] == "Creating"
    with pytest.raises(NotServingError):
        stand_in.fleet.choose("live", None)
    with pytest.raises(ServiceError, match='Cannot update in-progress endpoint "arn:'):
        stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new")
    s3.gate.set()
    assert stand_in.settled()["EndpointStatus"] == "InService"


def test_an_updating_endpoint_shows_and_serves_the_old_configuration(s3: SlowS3, stand_in: StandIn) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    s3.gate.clear()
    stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new")
    endpoint = stand_in.describe()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("Updating", "old")
    assert [variant["VariantName"] for variant in endpoint["ProductionVariants"]] == ["old"]
    assert stand_in.fleet.choose("live", None).name == "old"
    with pytest.raises(ServiceError, match='Cannot update in-progress endpoint "arn:'):
        stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="old")
    s3.gate.set()
    assert stand_in.settled()["EndpointConfigName"] == "new"
    assert stand_in.fleet.choose("live", None).name == "new"


def test_an_endpoint_in_progress_can_not_be_deleted(s3: SlowS3, stand_in: StandIn) -> None:
    s3.gate.clear()
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    with pytest.raises(ServiceError, match='Cannot update in-progress endpoint "arn:'):
        stand_in.call("DeleteEndpoint", EndpointName="live")
    s3.gate.set()
    stand_in.settled()
    stand_in.call("DeleteEndpoint", EndpointName="live")
    wait_for(lambda: not stand_in.store.all("endpoint"), what="the deletion")
    with pytest.raises(NotServingError):
        stand_in.fleet.choose("live", None)


def test_one_endpoint_does_not_wait_for_another(s3: SlowS3, stand_in: StandIn) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    s3.gate.clear()
    stand_in.call("CreateEndpoint", EndpointName="slow", EndpointConfigName="new")
    stand_in.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="live",
        DesiredWeightsAndCapacities=[{"VariantName": "old", "DesiredInstanceCount": 2}],
    )
    assert stand_in.settled()["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert stand_in.call("DescribeEndpoint", EndpointName="slow")["EndpointStatus"] == "Creating"


def test_what_was_under_way_goes_on_after_a_restart(
    s3: SlowS3, stand_in: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    s3.gate.clear()
    stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new")
    # What lies on the disk is all that a killed stand-in leaves; the one of this process goes on beside its copy.
    restarted = StandIn(s3, shutil.copytree(tmp_path, tmp_path_factory.mktemp("killed"), dirs_exist_ok=True))
    restarted.deployer.recover()
    assert restarted.describe()["EndpointStatus"] == "Updating"
    assert restarted.fleet.choose("live", None).name == "old"
    s3.gate.set()
    assert restarted.settled()["EndpointConfigName"] == "new"
    restarted.deployer.close()


def test_only_what_the_service_shows_is_shown(stand_in: StandIn) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    assert set(stand_in.settled()) == {
        *("EndpointName", "EndpointArn", "EndpointConfigName", "EndpointStatus"),
        *("ProductionVariants", "CreationTime", "LastModifiedTime"),
    }

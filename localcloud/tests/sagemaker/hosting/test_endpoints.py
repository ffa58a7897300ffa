"""Endpoints during a deployment, while their archive is still being downloaded."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from tests.sagemaker.hosting.manual_clock import ManualClock
from tests.sagemaker.hosting.test_rollout import canary, linear, size

from localcloud.sagemaker.api.protocol import Api, ControlPlane
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data import archives, aws
from localcloud.sagemaker.data.s3 import Objects
from localcloud.sagemaker.hosting import endpoint_status, model_check
from localcloud.sagemaker.hosting.deployment import Deployer
from localcloud.sagemaker.hosting.documents import ENDPOINT, DesiredWeightAndCapacity
from localcloud.sagemaker.hosting.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.hosting.endpoints import Endpoints
from localcloud.sagemaker.hosting.fleet import Fleet, NotServingError
from localcloud.sagemaker.hosting.loading import Loader, ModelCheck
from localcloud.sagemaker.hosting.scalable_targets import ScalableTargets
from localcloud.sagemaker.hosting.shifting import Alarms, Clock
from localcloud.sagemaker.registry.model_package_groups import ModelPackageGroups
from localcloud.sagemaker.registry.model_packages import ModelPackages
from localcloud.sagemaker.registry.models import Models
from localcloud.service_model.errors import ServiceError
from localcloud.testing.training import IMAGE, ROLE
from localcloud.testing.waiting import wait_for

INSTANCE = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
FOUR_INSTANCES = {"InitialInstanceCount": 4, "InstanceType": "ml.m5.large"}


class SlowS3:
    """An S3 that has the same archive at every key; a closed `gate` delays downloads."""

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
                """Log nothing."""

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


def trusting(_image: str, _folder: Path, _environment: Mapping[str, str]) -> None:
    """Accept the model without a check, which takes a second: these tests have only one, and it is sound."""


class StandIn:
    """The control plane of endpoints, in this process."""

    def __init__(self, s3: SlowS3, folder: Path, clock: Clock | None = None, check: ModelCheck = trusting) -> None:
        self.store = Store(folder / "store.sqlite")
        self.fleet = Fleet()
        objects = Objects(aws.s3_client(s3.url))
        tags = Tags(self.store)
        packages = ModelPackages(self.store, tags, ModelPackageGroups(self.store, tags), objects)
        models = Models(self.store, tags, objects, packages)
        configs = EndpointConfigs(self.store, tags, models)
        alarms, clock = Alarms(aws.cloudwatch_client(s3.url)), clock or Clock()
        self.deployer = Deployer(self.store, Loader(objects, folder / "endpoints", check), self.fleet, alarms, clock)
        scaling = ScalableTargets(self.store, clock)
        endpoints = Endpoints(self.store, tags, configs, models, self.deployer, alarms, clock, scaling)
        self._plane = ControlPlane(Api({**models.operations(), **configs.operations(), **endpoints.operations()}))

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self._plane.run(f"SageMaker.{operation}", json.dumps(request).encode()) or {}

    def config(self, name: str, variant: str | None = None, **changes: Any) -> None:
        """Create a model and a configuration of one variant, all with one name by default."""
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/{name}.tar.gz"}
        self.call("CreateModel", ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variants = [{"VariantName": variant or name, "ModelName": name} | (changes or INSTANCE)]
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=variants)

    def describe(self, name: str = "live") -> dict[str, Any]:
        return self.call("DescribeEndpoint", EndpointName=name)

    def settled(self, name: str = "live") -> dict[str, Any]:
        wait_for(lambda: self.describe(name)["EndpointStatus"] in ("InService", "Failed"), what="the end of the change")
        return self.describe(name)


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
    wait_for(lambda: not stand_in.store.all(ENDPOINT), what="the deletion")
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


def test_a_deployment_under_way_continues_after_a_restart(
    s3: SlowS3, stand_in: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    s3.gate.clear()
    stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new")
    # The files are all that a killed stand-in leaves; this process's one continues beside the copy.
    restarted = StandIn(s3, shutil.copytree(tmp_path, tmp_path_factory.mktemp("killed"), dirs_exist_ok=True))
    restarted.deployer.recover()
    assert restarted.describe()["EndpointStatus"] == "Updating"
    assert restarted.fleet.choose("live", None).name == "old"
    s3.gate.set()
    assert restarted.settled()["EndpointConfigName"] == "new"
    restarted.deployer.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def baking(s3: SlowS3, tmp_path: Path, clock: ManualClock) -> Iterator[StandIn]:
    """An endpoint whose canary of one instance in four bakes for ten minutes, then the whole fleet for five."""
    stand_in = StandIn(s3, tmp_path, clock)
    for name in ("old", "new"):
        stand_in.config(name, variant="all", **FOUR_INSTANCES)
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    stand_in.call(
        "UpdateEndpoint",
        EndpointName="live",
        EndpointConfigName="new",
        DeploymentConfig=canary(
            size(1, "INSTANCE_COUNT"), wait=600, TerminationWaitInSeconds=300, MaximumExecutionTimeoutInSeconds=1800
        ),
    )
    clock.asleep()
    yield stand_in
    stand_in.deployer.close()


def pending(stand_in: StandIn) -> tuple[int, int, str, str]:
    """Return instances with traffic, desired ones, stage and message of the one variant that is deployed."""
    [variant] = stand_in.describe()["PendingDeploymentSummary"]["ProductionVariants"]
    [status] = variant["VariantStatus"]
    return (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"], status["Status"], status["StatusMessage"])


def split(stand_in: StandIn) -> Counter[str]:
    """Return how many of 20 requests each configuration's fleet gets."""
    return Counter(stand_in.fleet.choose("live", None).config for _ in range(20))


def test_a_deployment_is_described_stage_by_stage(baking: StandIn, clock: ManualClock) -> None:
    endpoint = baking.describe()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("Updating", "old")
    assert endpoint["PendingDeploymentSummary"]["EndpointConfigName"] == "new"
    assert endpoint["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] == 300
    assert pending(baking) == (
        *(1, 4, "Baking"),
        "Baking for 600 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s).",
    )
    assert split(baking) == {"old": 15, "new": 5}
    clock.advance(600)
    wait_for(lambda: pending(baking)[0] == 4, what="the whole fleet")
    assert pending(baking)[2:] == (
        "Baking",
        "Baking for 300 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 4 instance(s).",
    )
    assert baking.describe()["EndpointConfigName"] == "old"
    assert split(baking) == {"new": 20}
    clock.asleep()
    clock.advance(300)
    endpoint = baking.settled()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "new")
    assert "PendingDeploymentSummary" not in endpoint
    assert "FailureReason" not in endpoint


def test_a_deployment_that_times_out_leaves_the_endpoint_as_it_was(
    baking: StandIn, clock: ManualClock, tmp_path: Path
) -> None:
    clock.advance(1801)
    endpoint = baking.settled()
    revisions = tmp_path / "endpoints/live"
    assert [each.name for each in revisions.iterdir()] == ["1"], "the next deployment must not find this one's files"
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "old")
    assert "maximum execution timeout of 1800 seconds" in endpoint["FailureReason"]
    assert split(baking) == {"old": 20}
    baking.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new")
    assert "FailureReason" not in baking.settled()
    wait_for(lambda: [each.name for each in revisions.iterdir()] == ["2"], what="the end of the old fleet's files")


def test_the_log_warns_of_a_deployment_that_can_only_time_out(
    baking: StandIn, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.advance(1801)
    baking.settled()
    assert not caplog.messages, "900 seconds fit into 1800"
    hopeless = linear(size(25), wait=300, MaximumExecutionTimeoutInSeconds=600)
    baking.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new", DeploymentConfig=hopeless)
    clock.asleep()
    assert caplog.messages == [
        "endpoint live: its deployment will be rolled back: it waits for 900 seconds in all, and "
        "MaximumExecutionTimeoutInSeconds is 600"
    ]


def test_an_interrupted_bake_starts_again(
    s3: SlowS3, baking: StandIn, clock: ManualClock, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock.advance(599)
    baking.deployer.close()
    later = ManualClock()
    later.advance(599)
    copy = shutil.copytree(tmp_path, tmp_path_factory.mktemp("killed"), dirs_exist_ok=True)
    restarted = StandIn(s3, copy, later)
    restarted.deployer.recover()
    later.asleep()
    assert split(restarted) == {"old": 15, "new": 5}
    later.advance(599)
    assert pending(restarted)[0] == 1, "the second bake is no shorter than the first"
    later.advance(603)
    assert "maximum execution timeout" in restarted.settled()["FailureReason"], "the time-out was not extended"
    restarted.deployer.close()


def test_an_interrupted_change_of_weights_continues(
    s3: SlowS3, stand_in: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    desired: list[DesiredWeightAndCapacity] = [{"VariantName": "old", "DesiredWeight": 3.0, "DesiredInstanceCount": 2}]
    stand_in.store.update(ENDPOINT, "live", lambda endpoint: endpoint_status.adjust(endpoint, desired, time.time()))
    [variant] = stand_in.describe()["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 3.0)
    assert variant["VariantStatus"][0]["StatusMessage"] == "Scaling out desired instance count to 2."
    restarted = StandIn(s3, shutil.copytree(tmp_path, tmp_path_factory.mktemp("killed"), dirs_exist_ok=True))
    restarted.deployer.recover()
    [variant] = restarted.settled()["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (3.0, 2)
    assert restarted.fleet.choose("live", None).instances == 2
    restarted.deployer.close()


def test_an_endpoint_that_can_not_be_served_again_has_failed(
    s3: SlowS3, stand_in: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    copy = shutil.copytree(tmp_path, tmp_path_factory.mktemp("damaged"), dirs_exist_ok=True)
    (copy / "endpoints/live/1/old/xgboost-model").write_bytes(b"damaged")
    restarted = StandIn(s3, copy)
    restarted.deployer.recover()
    endpoint = restarted.describe()
    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    with pytest.raises(NotServingError):
        restarted.fleet.choose("live", None)
    restarted.deployer.close()


def test_a_fault_of_one_endpoint_does_not_stop_the_others(
    s3: SlowS3, stand_in: StandIn, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("broken", "live"):
        stand_in.call("CreateEndpoint", EndpointName=name, EndpointConfigName="old")
        stand_in.settled(name)
    copy = shutil.copytree(tmp_path, tmp_path_factory.mktemp("damaged"), dirs_exist_ok=True)
    shutil.rmtree(copy / "endpoints/broken/1")
    (copy / "endpoints/broken/1").write_bytes(b"a file where a folder should be")
    restarted = StandIn(s3, copy)
    restarted.deployer.recover()
    broken = restarted.describe("broken")
    assert broken["EndpointStatus"] == "Failed"
    assert broken["FailureReason"].startswith("InternalServerError: the stand-in failed: NotADirectoryError: ")
    assert restarted.describe()["EndpointStatus"] == "InService"
    assert restarted.fleet.choose("live", None).name == "old"
    restarted.deployer.close()


def test_a_loaded_model_is_checked_again_only_if_its_files_have_changed(
    s3: SlowS3, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checked = list[Path]()

    def noting(_image: str, folder: Path, _environment: Mapping[str, str]) -> None:
        checked.append(folder)

    first = StandIn(s3, tmp_path, check=noting)
    first.config("old")
    first.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    first.settled()
    first.deployer.close()
    assert checked == [tmp_path / "endpoints/live/1/old"]
    copy = shutil.copytree(tmp_path, tmp_path_factory.mktemp("killed"), dirs_exist_ok=True)
    StandIn(s3, copy, check=noting).deployer.recover()
    assert len(checked) == 1
    (copy / "endpoints/live/1/old/xgboost-model").write_bytes(b"")
    restarted = StandIn(s3, copy, check=model_check.check)
    restarted.deployer.recover()
    assert restarted.describe()["FailureReason"].endswith("(its process ended with signal SIGABRT)")


def test_an_update_needs_a_cloudwatch_that_answers(stand_in: StandIn) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    stand_in.settled()
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "any"}]}}
    with pytest.raises(ServiceError, match="ServiceUnavailable: CloudWatch does not report the state of any"):
        stand_in.call("UpdateEndpoint", EndpointName="live", EndpointConfigName="new", DeploymentConfig=alarms)
    assert stand_in.describe()["EndpointStatus"] == "InService"


def test_a_serverless_variant_is_served_and_described_as_one(stand_in: StandIn) -> None:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    stand_in.config("lambda", ServerlessConfig=serverless)
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="lambda")
    [variant] = stand_in.settled()["ProductionVariants"]
    assert (variant["CurrentServerlessConfig"], variant["CurrentInstanceCount"]) == (serverless, 0)
    stand_in.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="live",
        DesiredWeightsAndCapacities=[{"VariantName": "lambda", "ServerlessUpdateConfig": {"MaxConcurrency": 7}}],
    )
    [variant] = stand_in.settled()["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == serverless | {"MaxConcurrency": 7}


def test_only_members_of_the_service_are_shown(stand_in: StandIn) -> None:
    stand_in.call("CreateEndpoint", EndpointName="live", EndpointConfigName="old")
    assert set(stand_in.settled()) == {
        *("EndpointName", "EndpointArn", "EndpointConfigName", "EndpointStatus"),
        *("ProductionVariants", "CreationTime", "LastModifiedTime"),
    }

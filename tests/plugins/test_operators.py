"""What is live is the requested model, or what served before: never something else, and never a leftover (P8)."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout, TaskDeferred
from botocore.awsrequest import AWSResponse
from tests.calendars import utc
from tests.plugins.faults import Happens, refused
from tests.plugins.task_life import deferral_of, event_of, run, run_from

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.dataset.snapshot import make_snapshot
from sluice.evaluation.inputs import inputs_folder
from sluice.evaluation.transforms import find_scoring
from sluice.evaluation.verdict import read_verdict
from sluice.lake.manifests import Manifest
from sluice.serving.judging import launch_scorings, make_verdict
from sluice.serving.records import deployment_records
from sluice.steps.frames import parquet_bytes
from sluice.training.jobs import Job, find_job
from sluice.training.launching import launch_training
from sluice.workspace import Workspace
from sluice_airflow.operators import DeployEndpointOperator, EndpointOperator, RollBackEndpointOperator

ENDPOINT = "parcels-late"
_ROWS = 200


@dataclass(frozen=True)
class Trained:
    """A completed job, the snapshot that it was trained on, and the number of the verdict that chose it."""

    job: Job
    snapshot: str
    verdict: int

    def deploy(self, **more: Any) -> DeployEndpointOperator:
        return DeployEndpointOperator(
            task_id="deploy", pipeline="parcels", verdict=self.verdict, **{"poll_seconds": 0.1, **more}
        )


def put_features(parcels: Workspace, day: date, *, heavy_is_late: bool) -> None:
    """Put a closed partition in which heavy parcels are late, or light ones are."""
    random = np.random.default_rng(day.toordinal())
    weight, distance = random.uniform(0, 1, _ROWS), random.uniform(0, 1, _ROWS)
    late = (weight + random.normal(0, 0.2, _ROWS) > 0.5) == heavy_is_late
    rows = pd.DataFrame({"weight": weight, "distance": distance, "late": late.astype("int64")})
    partition = utc(f"dt={day}")
    file = parcels.lake.put(
        parcels.lake.layout.output("features", partition, "1"),
        parquet_bytes(pa.Table.from_pandas(rows)),
        rows=_ROWS,
    )
    manifest = Manifest(
        dataset="features",
        partition=partition.key,
        state="closed",
        revision=1,
        files=(file,),
        rows_out=_ROWS,
        written_at=parcels.lake.now(),
    )
    parcels.lake.update_manifest("features", partition, lambda _: manifest)


def train(parcels: Workspace, first: date, *, heavy_is_late: bool) -> Trained:
    days = [first + timedelta(days=n) for n in range(3)]
    for day in days:
        put_features(parcels, day, heavy_is_late=heavy_is_late)
    snapshot = make_snapshot(parcels, days[0].isoformat(), days[-1].isoformat())
    candidate = parcels.pipeline.require_training().candidates[0]
    name = launch_training(parcels, candidate, snapshot.fingerprint).job_name
    job = wait_for(lambda: (found := find_job(parcels, name)) and found.ended and found, what="the end of training")
    assert isinstance(job, Job)
    assert job.status == "Completed", job.failure_reason
    for scoring in launch_scorings(parcels, [name], snapshot.fingerprint):
        scored = wait_for(
            lambda of=scoring: (found := find_scoring(parcels, of)) and found.ended and found, what=scoring
        )
        assert scored.completed
    return Trained(job, snapshot.fingerprint, make_verdict(parcels, [name], snapshot.fingerprint))


@pytest.fixture(scope="module")
def first(parcels: Workspace) -> Trained:
    return train(parcels, date(2013, 1, 1), heavy_is_late=True)


@pytest.fixture(scope="module")
def second(parcels: Workspace) -> Trained:
    """A model that has learnt the opposite of what ``first`` has."""
    return train(parcels, date(2013, 2, 1), heavy_is_late=False)


@pytest.fixture(autouse=True)
def nothing_deployed(parcels: Workspace) -> Iterator[None]:
    """Each test begins without endpoint, configurations, models and records."""
    yield
    nothing_is_deployed(parcels)


def nothing_is_deployed(parcels: Workspace) -> None:
    """Delete endpoint, configurations, models and records."""
    sagemaker = parcels.aws.client("sagemaker")
    for name in Serving.read(parcels).endpoints:
        wait_for(lambda: status(parcels) not in ("Creating", "Updating", "Deleting"), what="an endpoint at rest")
        sagemaker.delete_endpoint(EndpointName=name)
    wait_for(lambda: not Serving.read(parcels).endpoints, what="the end of the endpoint")
    for name in Serving.read(parcels).configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in Serving.read(parcels).models:
        sagemaker.delete_model(ModelName=name)
    for key, _, _ in [*parcels.lake.objects("parcels/deployments/"), *parcels.lake.objects("parcels/endpoints/")]:
        parcels.lake.s3.delete_object(Bucket=parcels.lake.bucket, Key=key)


@dataclass(frozen=True)
class Serving:
    """The names of everything at SageMaker that belongs to the pipeline's serving."""

    endpoints: tuple[str, ...]
    configs: tuple[str, ...]
    models: tuple[str, ...]

    @classmethod
    def read(cls, parcels: Workspace) -> Serving:
        sagemaker = parcels.aws.client("sagemaker")
        endpoints = sagemaker.list_endpoints(NameContains="parcels")["Endpoints"]
        configs = sagemaker.list_endpoint_configs(NameContains="parcels")["EndpointConfigs"]
        models = sagemaker.list_models(NameContains="parcels")["Models"]
        return cls(
            tuple(endpoint["EndpointName"] for endpoint in endpoints),
            tuple(config["EndpointConfigName"] for config in configs),
            tuple(model["ModelName"] for model in models),
        )


def described(parcels: Workspace) -> dict[str, Any]:
    endpoint: dict[str, Any] = parcels.aws.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    endpoint.pop("ResponseMetadata")
    return endpoint


def status(parcels: Workspace) -> str:
    return str(described(parcels)["EndpointStatus"]) if Serving.read(parcels).endpoints else "Deleted"


def live_scores(parcels: Workspace) -> list[float]:
    """Return the live scores of a light parcel and of a heavy one."""
    answer = parcels.aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="text/csv", Accept="text/csv", Body=b"0.1,0.5\n0.9,0.5"
    )
    return [float(score) for score in answer["Body"].read().decode().split()]


def deployed(parcels: Workspace) -> list[str]:
    """Return the jobs of the recorded deployments."""
    return [record.model.job for record in deployment_records(parcels.lake).values()]


def put_model(parcels: Workspace, trained: Trained, model_uri: str) -> None:
    """Create another model under the name of the one that the deployment will request."""
    parcels.aws.client("sagemaker").create_model(
        ModelName=trained.job.name,
        PrimaryContainer={"Image": trained.job.image, "ModelDataUrl": model_uri},
        ExecutionRoleArn=parcels.resources.role_arn,
    )


def test_first_deployment_goes_live_and_is_recorded(parcels: Workspace, first: Trained) -> None:
    record = run(first.deploy())

    light, heavy = live_scores(parcels)
    assert light < 0.5 < heavy
    config = described(parcels)["EndpointConfigName"]
    assert Serving.read(parcels) == Serving((ENDPOINT,), (config,), (first.job.name,))
    assert status(parcels) == "InService"
    assert record == {"deployment": 1, "config": config, "job": first.job.name}
    (recorded,) = deployment_records(parcels.lake).values()
    assert (recorded.model.job, recorded.model.snapshot, recorded.config) == (first.job.name, first.snapshot, config)
    assert recorded.verdict == first.verdict


def test_repeated_deployment_changes_nothing(parcels: Workspace, first: Trained) -> None:
    record = run(first.deploy())
    before = described(parcels), Serving.read(parcels), dict(each[::2] for each in parcels.lake.objects("parcels/"))

    assert run(first.deploy()) == record

    after = described(parcels), Serving.read(parcels), dict(each[::2] for each in parcels.lake.objects("parcels/"))
    assert after == before


def test_next_deployment_replaces_the_model(parcels: Workspace, first: Trained, second: Trained) -> None:
    run(first.deploy())
    run(second.deploy())

    light, heavy = live_scores(parcels)
    assert heavy < 0.5 < light
    assert Serving.read(parcels).endpoints == (ENDPOINT,)
    assert deployed(parcels) == [first.job.name, second.job.name]


def test_endpoint_that_answers_as_another_model_is_rolled_back_and_the_task_fails(
    parcels: Workspace, first: Trained, second: Trained
) -> None:
    """GIVEN another model under the name WHEN it goes live THEN the probe finds it."""
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    put_model(parcels, second, first.job.model_uri)

    with pytest.raises(AirflowFailException, match="another model serves") as failure:
        run(second.deploy())

    assert str(failure.value).endswith(f"(rolled back: {proven} is live)")
    assert "\n" not in str(failure.value)
    assert (status(parcels), described(parcels)["EndpointConfigName"]) == ("InService", proven)
    light, heavy = live_scores(parcels)
    assert light < 0.5 < heavy
    assert deployed(parcels) == [first.job.name]


def test_retry_after_a_failed_probe_restores_the_proven_model(
    parcels: Workspace, first: Trained, second: Trained
) -> None:
    """GIVEN a try that died when the wrong model was live WHEN it is retried THEN the proven one is restored."""
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    put_model(parcels, second, first.job.model_uri)
    deferral_of(second.deploy())
    wait_for(lambda: status(parcels) == "InService", what="the wrong model live")
    assert described(parcels)["EndpointConfigName"] != proven

    with pytest.raises(AirflowFailException, match="another model serves"):
        run(second.deploy())

    assert described(parcels)["EndpointConfigName"] == proven


def test_first_model_that_cannot_be_served_leaves_no_endpoint(parcels: Workspace, first: Trained) -> None:
    put_model(parcels, first, parcels.lake.uri(put_archive(parcels, b"this is no model")))

    with pytest.raises(AirflowFailException, match=f"^endpoint {ENDPOINT} does not serve .*: it is Failed ") as failure:
        run(first.deploy())

    assert str(failure.value).endswith("(rolled back: no endpoint is live)")
    assert status(parcels) == "Deleted"
    assert deployed(parcels) == []


def put_archive(parcels: Workspace, *models: bytes) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for number, content in enumerate(models):
            member = tarfile.TarInfo(f"xgboost-model-{number}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return parcels.lake.put("parcels/models/broken/output/model.tar.gz", archive.getvalue()).key


class Crash(BaseException):
    """The worker dies."""


@pytest.mark.parametrize("call", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"])
def test_retry_after_a_crash_continues_where_it_stopped(
    parcels: Workspace, first: Trained, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def crash(**_: Any) -> None:
        raise Crash

    if first.job.name in Serving.read(parcels).models:  # the scoring has made it
        parcels.aws.client("sagemaker").delete_model(ModelName=first.job.name)
    with monkeypatch.context() as patch:
        after_each(patch, call, crash)
        with pytest.raises(Crash):
            first.deploy().execute({})

    record = run(first.deploy())

    assert record["job"] == first.job.name
    serving = Serving.read(parcels)
    assert (len(serving.endpoints), len(serving.configs), serving.models) == (1, 1, (first.job.name,))
    assert len(deployment_records(parcels.lake)) == 1


def after_each(patch: pytest.MonkeyPatch, call: str, happens: Callable[..., None]) -> None:
    """Run the hook in the worker after SageMaker has answered the call."""
    make_client = Aws.client

    def client(aws: Aws, service: str) -> Any:
        made = make_client(aws, service)
        made.meta.events.register(f"after-call.sagemaker.{call}", happens)
        return made

    patch.setattr(Aws, "client", client)


def test_deployment_waits_for_a_foreign_change_before_its_first_request(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(first.deploy())
    before = described(parcels), Serving.read(parcels)

    def change_is_under_way(parsed: dict[str, Any], **_: Any) -> None:
        parsed["EndpointStatus"] = "Updating"

    with monkeypatch.context() as patch:
        after_each(patch, "DescribeEndpoint", change_is_under_way)
        deferral = deferral_of(second.deploy(max_wait=timedelta(minutes=5)))

    assert deferral.trigger.deadline == pytest.approx(time.time() + 300, abs=30)
    assert (described(parcels), Serving.read(parcels)) == before
    assert (deferral.trigger.carried["begun"], event_of(deferral.trigger)["found"]) == (False, "InService")


def test_endpoint_that_can_not_be_updated_is_named(parcels: Workspace, first: Trained, second: Trained) -> None:
    put_model(parcels, first, parcels.lake.uri(put_archive(parcels, b"this is no model")))
    deferral_of(first.deploy())
    wait_for(lambda: status(parcels) == "Failed", what="a failed endpoint")

    with pytest.raises(AirflowFailException) as failure:
        run(second.deploy())

    assert str(failure.value).startswith(f"endpoint {ENDPOINT} is Failed on {ENDPOINT}-")
    assert str(failure.value).endswith("and can't be updated; delete it, then deploy again")
    assert "\n" not in str(failure.value)
    assert status(parcels) == "Failed"


def live_and_unproven(second: Trained, parcels: Workspace, monkeypatch: pytest.MonkeyPatch) -> TaskDeferred:
    """Return the deferral of a deployment whose model has gone live and is not proven yet."""
    monkeypatch.setattr(EndpointOperator, "_PATIENCE_SECONDS", 0)
    before = described(parcels)["EndpointConfigName"]
    deferral = deferral_of(second.deploy())
    wait_for(lambda: described(parcels)["EndpointConfigName"] != before, what="the new model live")
    return deferral


def resume(trained: Trained, deferral: TaskDeferred, **event: Any) -> Any:
    """Resume the task where the trigger has ended, and return its result."""
    given = {**(event or {"found": "InService"}), "carried": deferral.trigger.carried}
    return run_from(partial(getattr(trained.deploy(), deferral.method_name), {}, event=given), trained.deploy())


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("sagemaker-runtime.InvokeEndpoint", refused("ModelError", "Received server error (500) from primary", 424)),
        ("sagemaker-runtime.InvokeEndpoint", refused("ThrottlingException")),
        ("sagemaker-runtime.InvokeEndpoint", refused("AccessDeniedException", "is not authorized", 403)),
        ("s3.GetObject", refused("SlowDown", status=503)),
    ],
    ids=lambda each: each.headers["x-amzn-errortype"] if isinstance(each, AWSResponse) else each,
)
def test_any_failure_of_the_proof_restores_what_served_before(
    parcels: Workspace,
    first: Trained,
    second: Trained,
    monkeypatch: pytest.MonkeyPatch,
    at_aws: Callable[[str, Happens], None],
    call: str,
    answer: AWSResponse,
) -> None:
    """A transient failure fails the task in a way that Airflow retries; any other is not retried."""
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    deferral = live_and_unproven(second, parcels, monkeypatch)
    # Only the proof meets the fault: the roll-back reads the lake, too.
    at_aws(call, lambda request, **_: answer if call != "s3.GetObject" or "/scores/" in request.url else None)

    with pytest.raises(AirflowException) as failure:
        resume(second, deferral)

    assert (status(parcels), described(parcels)["EndpointConfigName"]) == ("InService", proven)
    assert str(failure.value).endswith(f"(rolled back: {proven} is live)")
    assert "\n" not in str(failure.value)
    is_final = answer.headers["x-amzn-errortype"] in ("ModelError", "AccessDeniedException")
    assert isinstance(failure.value, AirflowFailException) == is_final
    assert deployed(parcels) == [first.job.name]


def test_proof_that_times_out_restores_what_served_before(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow ends a task at its time limit by an exception that is no Exception."""
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    deferral = live_and_unproven(second, parcels, monkeypatch)

    def too_long(*_: Any) -> None:
        raise AirflowTaskTimeout("Timeout, PID: 1")

    monkeypatch.setattr("sluice.serving.deployment.prove_live", too_long)

    with pytest.raises(AirflowException, match=rf"^Timeout, PID: 1 \(rolled back: {proven} is live\)$") as failure:
        resume(second, deferral)

    assert not isinstance(failure.value, AirflowFailException)
    assert described(parcels)["EndpointConfigName"] == proven


@pytest.mark.parametrize("folder", ["snapshots", "evaluations/scores"])
def test_missing_rows_or_answers_restore_what_served_before(
    parcels: Workspace, first: Trained, second: Trained, folder: str
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    judgement = read_verdict(parcels.lake, second.verdict).judgement(second.job.name)
    key = {
        "snapshots": f"{inputs_folder(parcels, judgement.model, second.snapshot)}test.csv",
        "evaluations/scores": f"{judgement.scores}test.csv.out",
    }[folder]
    kept = parcels.lake.get(key)
    parcels.lake.s3.delete_object(Bucket=parcels.lake.bucket, Key=key)
    try:
        with pytest.raises(AirflowFailException, match=rf"{key} is gone; .* \(rolled back: {proven} is live\)"):
            run(second.deploy())
    finally:
        parcels.lake.put(key, kept)

    assert described(parcels)["EndpointConfigName"] == proven


def test_proven_model_stays_live_where_it_can_not_be_proven_again(
    parcels: Workspace, first: Trained, at_aws: Callable[[str, Happens], None]
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    at_aws("sagemaker-runtime.InvokeEndpoint", lambda **_: refused("AccessDeniedException", "no", 403))

    with pytest.raises(AirflowFailException, match=rf"\({proven} was proven before, and stays live\)$"):
        run(first.deploy())

    assert (status(parcels), described(parcels)["EndpointConfigName"]) == ("InService", proven)


def test_model_that_answers_500_is_not_left_live(parcels: Workspace, first: Trained, second: Trained) -> None:
    """An ensemble of binary:hinge answers every request with status 500 (localcloud/README.md)."""
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    put_model(parcels, second, parcels.lake.uri(put_archive(parcels, *two_hinges())))

    with pytest.raises(AirflowFailException, match=r"InvokeEndpoint \(ModelError: Received server error \(500\)"):
        run(second.deploy())

    assert (status(parcels), described(parcels)["EndpointConfigName"]) == ("InService", proven)


def two_hinges() -> Iterator[bytes]:
    random = np.random.default_rng(2)
    for _ in range(2):
        matrix = xgboost.DMatrix(random.uniform(size=(50, 2)), label=random.integers(0, 2, 50))
        yield bytes(xgboost.train({"objective": "binary:hinge", "nthread": 1}, matrix, 1).save_raw("ubj"))


def test_deleted_former_configuration_is_created_again(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker = parcels.aws.client("sagemaker")
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    put_model(parcels, second, first.job.model_uri)  # not what its job made
    deferral = live_and_unproven(second, parcels, monkeypatch)
    sagemaker.delete_endpoint_config(EndpointConfigName=proven)
    sagemaker.delete_model(ModelName=first.job.name)

    with pytest.raises(AirflowFailException, match=rf"another model serves.*rolled back: {proven} is live"):
        resume(second, deferral)

    light, heavy = live_scores(parcels)
    assert light < 0.5 < heavy


def test_throttled_request_is_made_again(
    parcels: Workspace, first: Trained, second: Trained, at_aws: Callable[[str, Happens], None]
) -> None:
    run(first.deploy())
    times = iter([True])
    at_aws("sagemaker.UpdateEndpoint", lambda **_: refused("ThrottlingException") if next(times, False) else None)

    assert run(second.deploy())["job"] == second.job.name


@pytest.mark.parametrize(
    ("call", "code"),
    [("ssm.GetParametersByPath", "ThrottlingException"), ("sagemaker.DescribeEndpoint", "ExpiredTokenException")],
)
def test_throttled_probe_does_not_end_the_deployment(
    parcels: Workspace, first: Trained, at_aws: Callable[[str, Happens], None], call: str, code: str
) -> None:
    """While it waits, and while it proves."""
    deferral, probes = deferral_of(first.deploy()), iter(range(1000))
    at_aws(call, lambda **_: refused(code) if next(probes) % 2 == 0 else None)

    event = event_of(deferral.trigger)
    record = run_from(partial(first.deploy().resume, {}, event=event), first.deploy())

    assert event["found"] == "InService"
    assert record["job"] == first.job.name
    assert next(probes) > 2


def test_refused_roll_back_reports_the_unproven_model_and_is_retried(
    parcels: Workspace,
    first: Trained,
    second: Trained,
    monkeypatch: pytest.MonkeyPatch,
    at_aws: Callable[[str, Happens], None],
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    put_model(parcels, second, first.job.model_uri)
    deferral, times = live_and_unproven(second, parcels, monkeypatch), iter([True])
    denied = refused("AccessDeniedException", "is not authorized to perform: sagemaker:UpdateEndpoint", 403)
    at_aws("sagemaker.UpdateEndpoint", lambda **_: denied if next(times, False) else None)

    with pytest.raises(AirflowException, match=rf"roll-back to {proven} failed: AWS refused .*unproven") as failure:
        resume(second, deferral)
    assert not isinstance(failure.value, AirflowFailException)

    with pytest.raises(AirflowFailException, match=f"rolled back: {proven} is live"):
        run(second.deploy())
    assert described(parcels)["EndpointConfigName"] == proven


def test_proof_missed_by_a_killed_worker_is_left_to_the_next_try(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN that nothing was proven yet and an unproven first model is live WHEN the next one fails its proof, too,
    THEN the unproven one is not restored: nothing served before."""
    deferral_of(first.deploy())
    wait_for(lambda: status(parcels) == "InService", what="the first model live")
    put_model(parcels, second, first.job.model_uri)

    with pytest.raises(AirflowFailException, match=r"another model serves.*rolled back: no endpoint is live"):
        run(second.deploy())

    assert status(parcels) == "Deleted"
    assert run(first.deploy())["job"] == first.job.name


def test_quota_error_is_not_retried_and_names_the_setting(
    parcels: Workspace,
    first: Trained,
    second: Trained,
    at_aws: Callable[[str, Happens], None],
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    quota = "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances"
    at_aws("sagemaker.UpdateEndpoint", lambda **_: refused("ResourceLimitExceeded", quota))

    with pytest.raises(AirflowFailException) as failure:
        run(second.deploy())

    assert str(failure.value) == (
        f"AWS refused UpdateEndpoint (ResourceLimitExceeded: {quota}); set another instance_type of Deployment in the "
        f"pipeline's declaration, or request a higher quota in AWS Service Quotas (rolled back: {proven} is live)"
    )


def test_endpoint_of_others_that_does_not_settle_is_named(parcels: Workspace, first: Trained) -> None:
    waiting = "endpoint parcels-late, which is Updating"
    event = {"timed_out": True, "waiting_for": waiting, "carried": {"begun": False, "given_up": False}}

    with pytest.raises(AirflowException) as failure:
        first.deploy().resume({}, event=event)

    assert not isinstance(failure.value, AirflowFailException)
    assert str(failure.value) == (
        f"the wait for {waiting} took longer than 1:30:00; check the endpoint's events in SageMaker, then clear this "
        f"task"
    )


def test_change_that_takes_too_long_is_rolled_back_once_it_has_settled(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    deferral = live_and_unproven(second, parcels, monkeypatch)

    with pytest.raises(AirflowException, match=rf"took longer than .*rolled back: {proven} is live"):
        resume(second, deferral, timed_out=True, waiting_for="the endpoint")

    assert described(parcels)["EndpointConfigName"] == proven


def test_refused_probe_ends_the_wait_for_a_foreign_change(parcels: Workspace, first: Trained) -> None:
    carried = {"begun": False, "given_up": False}
    event = {"error": "AWS refused DescribeEndpoint (AccessDenied)", "refused": True, "carried": carried}

    with pytest.raises(AirflowException, match=r"^the endpoint could not be looked at: AWS refused"):
        first.deploy().resume({}, event=event)


def test_refused_probe_of_a_deployment_under_way_restores_what_served_before(
    parcels: Workspace, first: Trained, second: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    deferral = live_and_unproven(second, parcels, monkeypatch)

    with pytest.raises(AirflowException, match=rf"could not be looked at: no \(rolled back: {proven} is live\)"):
        resume(second, deferral, error="no", refused=True)

    assert described(parcels)["EndpointConfigName"] == proven


def test_earlier_deployment_is_made_live_again(parcels: Workspace, first: Trained, second: Trained) -> None:
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    run(second.deploy())
    undo = RollBackEndpointOperator(task_id="roll_back", pipeline="parcels", deployment="1", poll_seconds=0.1)

    assert run(undo) == {"deployment": 3, "config": proven, "job": first.job.name}

    light, heavy = live_scores(parcels)
    assert light < 0.5 < heavy
    assert described(parcels)["EndpointConfigName"] == proven
    assert deployed(parcels) == [first.job.name, second.job.name, first.job.name]
    assert run(undo)["deployment"] == 3


def test_verdict_without_a_winner_is_not_deployed(parcels: Workspace) -> None:
    operator = DeployEndpointOperator(task_id="deploy", pipeline="parcels", verdict=99)

    with pytest.raises(AirflowFailException, match=r"has no verdict 99; run parcels_train$"):
        operator.execute({})
    assert Serving.read(parcels).endpoints == ()

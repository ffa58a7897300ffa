"""The workers' policy allows every call that the code makes in the life of a pipeline, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event as Signal

import pytest
from tests.calendars import utc
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.provisioning.calls import RecordingAws, rights
from tests.sluice.provisioning.stacks import rights_of_workers
from tests.sluice.serving.live import deploy, follow, settled
from tests.sluice.toy import DROPS, EVENTS, MESSAGES, STREAM

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.aws.template import Statement
from sluice.completions import announce_landed, announce_partitions
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import (
    Autoscaling,
    Conform,
    Continuous,
    Deployment,
    Gate,
    Input,
    Monitoring,
    Pipeline,
    Scoring,
    Step,
    Training,
    Tuning,
    XGBoost,
)
from sluice.declaration.sources import EventSource
from sluice.errors import DeclarationError
from sluice.evaluation.report import make_report
from sluice.evaluation.scoring import launch_scoring
from sluice.evaluation.transforms import find_scoring, stop_scoring
from sluice.evaluation.verdict import read_verdict
from sluice.housekeeping.policy import Keep, Kind
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.landing.parts import Limits
from sluice.monitoring.watch import announce_findings, training_run, watch
from sluice.provisioning.policies import policy_document
from sluice.provisioning.provision import provision
from sluice.redrive.held import Choice, survey_all
from sluice.redrive.sending import require_complete, send_back_all
from sluice.scoring.batches import launch_batch
from sluice.scoring.writing import announce_scores, write_scores
from sluice.sending.lanes import Event, send_events
from sluice.serving.champion import require_live
from sluice.serving.deployment import Done, Failed, give_up, start
from sluice.serving.judging import announce_winner, launch_scorings, make_verdict
from sluice.serving.plan import Target
from sluice.serving.quotas import require_quotas
from sluice.serving.registry import decide, register
from sluice.serving.targets import target_of_verdict
from sluice.sources.connecting import connect_events
from sluice.sources.due import due_partitions, record_started
from sluice.sources.ingest import close_partitions, land_partitions
from sluice.sources.replay import ReplayRequest, plan
from sluice.sources.replay import replay as replay_unit
from sluice.status import pipeline_status
from sluice.steps.runner import run_step
from sluice.training.jobs import find_job, stop_job
from sluice.training.launching import launch_training
from sluice.training.log import last_lines
from sluice.training.models import trained_models
from sluice.training.tuning import find_tuning, stop_tuning
from sluice.workspace import Workspace

DAYS = [f"2013-01-0{day}" for day in range(1, 9)]
RANGE = f"dt={DAYS[0]}..dt={DAYS[-1]}"
SOURCES = (EVENTS, MESSAGES, replace(STREAM, fan_out=True))

LIFE = Pipeline(
    name="life",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(*SOURCES, DROPS),
    steps=(
        *(Conform(f"conform_{source.name}", source=source.name, contract="contract:Reading") for source in SOURCES),
        Step("rows", run="steps:rows", reads=(Input("conform_events", look_back=1), Input("weather"))),
    ),
    training=Training(
        rows="rows",
        label="late",
        features=("value",),
        candidates=(
            XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 3, "nthread": 1}),
            XGBoost(
                {"objective": "binary:logistic", "num_round": 3, "nthread": 1},
                name="tuned",
                tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=1, parallel=1),
            ),
        ),
        gate=Gate("auc", at_least=0.6, rows=1, margin=1),
    ),
    deployment=Deployment(
        endpoint="life-late",
        autoscaling=Autoscaling(most=2, requests=1_000_000),
        monitoring=Monitoring(oldest=timedelta(hours=1)),
    ),
    scoring=Scoring(keep=("event_id",)),
)
MODULES: Mapping[str, str] = {
    "contract": """
from datetime import datetime
from pydantic import BaseModel

class Reading(BaseModel):
    id: str
    at: datetime
    value: int
""",
    "steps": """
def rows(conform_events, conform_events_before, weather):
    return conform_events[["event_id", "value"]].assign(late=(conform_events["value"] > 5).astype(int))
""",
    "pipeline": "from tests.sluice.provisioning.test_policies import LIFE as PIPELINE\n",
}

# What the policy allows although only a failure needs it, and why.
NOT_CALLED = {
    "cloudwatch:DeleteAlarms": "Application Auto Scaling calls it in the caller's name",
    "cloudwatch:DescribeAlarms": "Application Auto Scaling calls it in the caller's name",
    "cloudwatch:PutMetricAlarm": "Application Auto Scaling calls it in the caller's name",
    "iam:CreateServiceLinkedRole": "Application Auto Scaling calls it in the caller's name, once in an account",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "Application Auto Scaling calls it in the caller's name",
    "s3:AbortMultipartUpload": "boto3 calls it when the upload of a large training channel fails",
    "servicequotas:ListAWSDefaultServiceQuotas": "AWS may list a quota that was never changed among the defaults only",
}


@pytest.mark.slow
def test_policy_of_the_workers_allows_exactly_the_calls_of_the_code(cloud: Cloud, aws: Aws, declare: Declare) -> None:
    policy = rights_of_workers(cloud, provision(cloud, LIFE))
    recording = RecordingAws(aws.session, aws.endpoint)
    declare("life", MODULES)

    with recording.on_the_wire():
        live_through(cloud, recording)

    needed = {right for call in recording.calls for right in rights(call)}
    assert {(action, resource) for action, resource in needed if not policy.allows(action, resource)} == set()
    assert policy.actions - {action for action, _ in needed} == set(NOT_CALLED)
    assert not any(
        policy.allows(action, resource.replace("life", "lives")) for action, resource in needed if "life" in resource
    )


def test_parts_of_one_name_with_different_rights_are_refused() -> None:
    """A source kind of a user may choose a name that is taken; none of its rights may be lost by that."""
    same, other = Statement("Read", ("s3:GetObject",), ("a",)), Statement("Read", ("s3:PutObject",), ("b",))

    assert policy_document([same, replace(same, resources=("c",))])["Statement"][0]["Resource"] == ["a", "c"]
    with pytest.raises(DeclarationError, match="two parts of the policy are called Read"):
        policy_document([same, other])


def live_through(cloud: Cloud, aws: Aws) -> None:
    """Run a pipeline from the first event to a roll-back, with every action of an operator."""
    workspace = Workspace.open(aws, "life")
    send(workspace)
    drop(cloud, workspace)
    ingest(workspace)
    transform(workspace)
    number, fingerprint = train(workspace, workspace.pipeline)
    target = target_of_verdict(workspace, number)
    tune(workspace, fingerprint)
    take_over(cloud, workspace, target)
    assert isinstance(deploy(workspace, target), Done)
    roll_back_over_a_second(workspace, target, fingerprint)
    monitor(cloud, workspace)
    score_in_batch(workspace)
    redrive(cloud, workspace)
    replay(workspace)
    assert pipeline_status(Workspace.open(aws, "life")).endpoint is not None
    clean(workspace, target)
    clean_datasets(workspace)


def send(workspace: Workspace) -> None:
    for source in SOURCES:
        connector = connect_events(workspace, source)
        send_events((_event(day, n) for day in DAYS for n in range(10)), connector.sender())
        bad = Event("bad", "g", datetime(2013, 1, 1, 7, tzinfo=UTC), _body("bad", f"{DAYS[0]}T07:00:00+00:00", "x"))
        send_events([bad], connector.sender())


def _event(day: str, n: int) -> Event:
    at = datetime.fromisoformat(f"{day}T{n:02d}:00:00+00:00")
    return Event(f"{day}-{n}", f"g{n % 3}", at, _body(f"{day}-{n}", at.isoformat(), n))


def _body(name: str, at: str, value: object) -> str:
    return json.dumps({"id": name, "at": at, "value": value, "meter": "m", "n": 1})


def drop(cloud: Cloud, workspace: Workspace) -> None:
    """Write a drop as another system does: its calls are not the workers'."""
    for day in DAYS:
        for name, body in (("part.csv", b"degrees\n7\n"), ("_SUCCESS", b"")):
            key = f"drops/weather/dt={day}/{name}"
            cloud.client("s3").put_object(Bucket=workspace.lake.bucket, Key=key, Body=body)


def ingest(workspace: Workspace) -> None:
    for source in SOURCES:
        connector = connect_events(workspace, source)
        connector.backlog()
        for unit in connector.units(2):
            connector.drain(unit, Limits(seconds=20), lambda _: None, Signal())
        connector.figures()
        later = replace(workspace, lake=replace(workspace.lake, now=_in_two_days))
        close_partitions(later, source, timedelta(0))
        announce_landed(workspace, source.name, "run")


def _in_two_days() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def transform(workspace: Workspace) -> None:
    ready = due_partitions(workspace, 20).ready
    assert [each.key for each in ready] == [f"dt={day}" for day in DAYS]
    record_started(workspace, ready, "run")
    land_partitions(workspace, RANGE)
    for step in workspace.pipeline.steps:
        run_step(workspace, step.name, RANGE)
    announce_partitions(workspace, "rows", RANGE, "run")


def train(workspace: Workspace, pipeline: Pipeline) -> tuple[int, str]:
    """Train, score and judge; return the number of the verdict, and the snapshot."""
    fingerprint = make_snapshot(workspace_of(workspace.lake, pipeline)).fingerprint
    training = replace(workspace, pipeline=pipeline)
    require_quotas(training)
    name = launch_training(training, pipeline.require_training().candidates[0], fingerprint).job_name
    wait_for(lambda: (job := find_job(workspace, name)) is not None and job.ended, what=f"the end of {name}")
    assert last_lines(workspace, name, 1)
    for scoring in launch_scorings(training, [name], fingerprint):
        _wait_for_scores(workspace, scoring)
    number = make_verdict(training, [name], fingerprint)
    make_report(training, number)
    decide(training, register(training, number), "Approved", "A person has looked at it.")
    announce_winner(training, number, "run")
    return number, fingerprint


def tune(workspace: Workspace, fingerprint: str) -> None:
    """Tune the second candidate to its end, and stop what another request begins."""
    tuned = workspace.pipeline.require_training().candidates[1]
    name = launch_training(workspace, tuned, fingerprint).job_name
    wait_for(lambda: (job := find_tuning(workspace, name)) is not None and job.ended, what=f"the end of {name}")
    trained_models(workspace, [name], fingerprint)
    endless = replace(tuned, hyperparameters={**tuned.hyperparameters, "num_round": 100_000_000})
    stop_tuning(workspace, launch_training(workspace, endless, fingerprint).job_name)


def _wait_for_scores(workspace: Workspace, name: str) -> None:
    wait_for(lambda: (job := find_scoring(workspace, name)) is not None and job.ended, what=f"the end of {name}")


def roll_back_over_a_second(workspace: Workspace, first: Target, fingerprint: str) -> None:
    """Deploy a second model and give it up, so that the first is restored; stop what a third begins."""
    other, third = (replace(workspace, pipeline=_with_rounds(rounds)) for rounds in (2, 500))
    number, _ = train(workspace, other.pipeline)
    target = target_of_verdict(other, number)
    step = start(other, target)
    failed = follow(other, target, step if isinstance(step, Failed) else give_up(other, target, "stop", passes=False))
    assert failed == Failed(f"stop (rolled back: {first.config} is live)", passes=False)
    model = read_verdict(workspace.lake, number).judgements[-1].model
    unscored = model.model_copy(update={"artefact": first.model.artefact})
    stop_scoring(workspace, launch_scoring(workspace, unscored, fingerprint).job_name)
    candidate = third.pipeline.require_training().candidates[0]
    stop_job(workspace, launch_training(third, candidate, fingerprint).job_name)


def _with_rounds(rounds: int) -> Pipeline:
    training = LIFE.require_training()
    candidate = XGBoost({**training.candidates[0].hyperparameters, "num_round": rounds})
    return replace(LIFE, training=replace(training, candidates=(candidate, *training.candidates[1:])))


def take_over(cloud: Cloud, workspace: Workspace, target: Target) -> None:
    """GIVEN a foreign endpoint under the declared name THEN it is changed, restored, and in the end deleted."""
    endpoint = workspace.pipeline.require_deployment().endpoint
    theirs, sagemaker = f"{endpoint}-theirs", cloud.client("sagemaker")
    container = {"Image": target.model.image, "ModelDataUrl": target.model.artefact}
    role = workspace.resources.require_role()
    sagemaker.create_model(ModelName=theirs, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "v", "ModelName": theirs, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=theirs)
    settled(workspace, endpoint)

    start(workspace, target)
    restored = follow(workspace, target, give_up(workspace, target, "stop", passes=False))
    assert restored == Failed(f"stop (rolled back: {theirs} is live)", passes=False)
    sagemaker.delete_endpoint(EndpointName=endpoint)
    settled(workspace, endpoint)

    start(workspace, target)
    deleted = follow(workspace, target, give_up(workspace, target, "stop", passes=False))
    assert deleted == Failed("stop (rolled back: no endpoint is live)", passes=False)


def monitor(cloud: Cloud, workspace: Workspace) -> None:
    """Look at the live model, and publish that its endpoint has had an error."""
    dimensions = [{"Name": "EndpointName", "Value": "life-late"}, {"Name": "VariantName", "Value": "primary"}]
    datum = {"MetricName": "Invocation5XXErrors", "Dimensions": dimensions, "Value": 1.0}
    cloud.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])
    number = watch(workspace)
    assert announce_findings(workspace, number, "run")
    assert training_run(workspace, number) is None


def score_in_batch(workspace: Workspace) -> None:
    """Score the last partition with the live model, and announce it."""
    job, day = require_live(workspace).job, f"dt={DAYS[-1]}"
    name = launch_batch(workspace, job, day)
    assert name is not None
    _wait_for_scores(workspace, name)
    assert write_scores(workspace, job, day)["partitions"] == day
    assert announce_scores(workspace, job, [utc(day)], "run") == 1


def clean(workspace: Workspace, live: Target) -> None:
    """Remove what the second model has left, once a verdict is made without it, while another training runs.

    The tuned model goes too: no verdict has judged it.
    """
    train(workspace, _with_rounds(4))
    endless = replace(workspace, pipeline=_with_rounds(100_000_000))
    candidate = endless.pipeline.require_training().candidates[0]
    running = launch_training(endless, candidate, live.model.snapshot).job_name

    removed = remove(workspace, survey(workspace, Keep(1, 0)))

    stop_job(workspace, running)
    expected = {"endpoint configuration": 1, "model": 1, "artefact": 2, "scores": 1}
    assert {kind: count for kind, count in removed.items() if kind != "bytes"} == expected
    step = start(workspace, live)
    assert isinstance(step, Done), step


def clean_datasets(workspace: Workspace) -> None:
    """Remove of each dataset what nothing names after some days, and the quarantine."""
    lake, day, digest = workspace.lake, f"dt={DAYS[0]}", "a" * 16
    for dataset in ("conform_events", "quarantine/conform_events"):
        lake.put(f"life/{dataset}/{day}/rev={digest}/part-0.parquet", b"1")
    lake.put(f"life/raw/events/{day}/part-1-{digest}.parquet", b"1")
    lake.put(f"life/announced/scores/dt={DAYS[-1]}/{digest}", b"")
    later = _in_two_days() + timedelta(days=2)
    lakeside = replace(workspace.pipeline, training=None, deployment=None, scoring=None)
    with_scores = replace(lakeside, steps=(*lakeside.steps, replace(lakeside.steps[-1], name="scores")))
    late = replace(workspace, lake=replace(lake, now=lambda: later), pipeline=with_scores)

    removed = remove(late, survey(late, Keep(days=1, quarantine_days=1)))

    assert set(removed) == {"bytes", *(str(kind) for kind in Kind if kind.is_of_partition)}


def redrive(cloud: Cloud, workspace: Workspace) -> None:
    """Redrive the invalid event of each source, which was quarantined, and a dead letter of each queue."""
    for source in (EVENTS, MESSAGES):
        _dead_letter(cloud, workspace, source)
    assert {(each.source, each.where) for each in survey_all(workspace, None, Choice())} == {
        *((source.name, "quarantine") for source in SOURCES),
        *((source.name, "dead_letters") for source in (EVENTS, MESSAGES)),
    }
    require_complete(send_back_all(workspace, None, Choice()))


def _dead_letter(cloud: Cloud, workspace: Workspace, source: EventSource) -> None:
    """Send an event that one reader after another receives and then dies."""
    sqs, connector = cloud.client("sqs"), connect_events(workspace, source)
    url, dead = (workspace.resources.made_for(what, source.name) for what in ("queues", "dead-letter-queues"))
    send_events(
        [replace(_event(DAYS[0], 1), id="dead", body=_body("dead", f"{DAYS[0]}T01:00:00+00:00", 1))],
        connector.sender(),
    )

    def is_dead() -> bool:
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
        counted = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])
        return bool(counted["Attributes"]["ApproximateNumberOfMessages"] == "1")

    wait_for(is_dead, what="the dead letter")


def replay(workspace: Workspace) -> None:
    for origin, first, last in (("stream", *_today()), ("raw", DAYS[0], DAYS[-1])):
        request = ReplayRequest.from_params(
            workspace.pipeline, {"source": "stream", "origin": origin, "from": first, "to": last}
        )
        for unit in plan(workspace, request):
            replay_unit(workspace, request, unit)


def _today() -> tuple[str, str]:
    now = datetime.now(UTC)
    return (now - timedelta(minutes=30)).isoformat(), now.isoformat()

"""A survey lists what is superseded, and never what is live, named, used, young or somebody else's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from tests.conftest import Cloud
from tests.sluice.housekeeping.past import EMPTY_SNAPSHOT, FINGERPRINTS, Past, put_later
from tests.sluice.lake_contents import keys_below
from tests.sluice.serving.live import Live, settled

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.declaration import Continuous, Scoring, Tuning, XGBoost
from sluice.housekeeping.policy import Keep, Kind
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import Leftovers, survey
from sluice.serving.deployment import Wait, start
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.names import tuning_name_stem

NOTHING_KEPT = Keep(0, 0)
TWO_MONTHS = timedelta(days=60)


def listed(leftovers: Leftovers) -> set[tuple[str, str]]:
    return {(str(each.thing.kind), each.thing.name) for each in leftovers.found}


def test_what_no_kept_deployment_names_is_listed_with_its_reason_and_size(past: Past) -> None:
    past.serve(2)

    one, two, three = (survey(past.workspace, Keep(keep, 0)) for keep in (1, 2, 3))

    assert listed(one) == past.of_first() | past.of_second()
    assert listed(two) == past.of_first()
    assert listed(three) == {("scores", past.scores(0, 1))}  # the first deployment was proven by its own verdict's
    reasons = {(each.thing.kind, each.thing.name): each.reason for each in two.found}
    assert reasons[Kind.MODEL, past.models[0].job] == "of deployment 1, which is not among the newest 2"
    assert reasons[Kind.SCORES, past.scores(0, 0)] == "of deployment 1, which is not among the newest 2"
    assert reasons[Kind.SCORES, past.scores(0, 1)] == "nothing that is kept names it"
    (snapshot,) = [each.thing for each in two.found if each.thing.kind is Kind.SNAPSHOT]
    assert (snapshot.objects, snapshot.size) == (4, 3 * 6 + 17)
    artefact = next(each.thing for each in two.found if each.thing.kind is Kind.ARTEFACT)
    assert two.counts == {
        "endpoint configuration": 1,
        "model": 1,
        "artefact": 1,
        "scores": 2,
        "snapshot": 1,
        "bytes": snapshot.size + 2 * 4 + artefact.size,
    }


def test_everything_stays_for_the_days_of_the_policy(past: Past) -> None:
    past.serve(2)

    assert listed(survey(past.workspace, Keep(2, 30))) == set()
    assert listed(survey(past.after(timedelta(days=29, hours=23)), Keep(2, 30))) == set()
    assert listed(survey(past.after(timedelta(days=30, hours=1)), Keep(2, 30))) == past.of_first()


@pytest.mark.parametrize("deployment", [0, 1, 2])
def test_live_model_stays_under_every_policy(past: Past, deployment: int) -> None:
    """GIVEN somebody has made an earlier deployment live, and recorded nothing."""
    past.serve(deployment)

    found = listed(survey(past.after(TWO_MONTHS), NOTHING_KEPT))

    job = past.models[deployment].job
    live = {("endpoint configuration", past.targets[deployment].config), ("model", job), ("artefact", job)}
    assert found & live == set()
    assert found & {("snapshot", FINGERPRINTS[deployment])} == set()


def test_both_ends_of_an_update_stay_under_every_policy(past: Past) -> None:
    """GIVEN an update from the third to the first deployment, which bakes and of which no plan knows."""
    past.serve(2)
    shift = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 10},
            "TerminationWaitInSeconds": 0,
        }
    }
    past.workspace.aws.client("sagemaker").update_endpoint(
        EndpointName=past.endpoint, EndpointConfigName=past.targets[0].config, DeploymentConfig=shift
    )

    found = listed(survey(past.after(TWO_MONTHS), NOTHING_KEPT))

    during = find_endpoint(past.workspace, past.endpoint)
    assert during is not None
    assert (during.status, during.config, during.pending) == (
        "Updating",
        past.targets[2].config,
        past.targets[0].config,
    )
    ends = {
        each
        for end in (0, 2)
        for each in (
            ("endpoint configuration", past.targets[end].config),
            ("model", past.models[end].job),
            ("artefact", past.models[end].job),
            ("snapshot", FINGERPRINTS[end]),
        )
    }
    assert found & ends == set()
    assert ("endpoint configuration", past.targets[1].config) in found


def test_plan_under_way_keeps_its_target_and_what_it_may_restore(past: Past) -> None:
    past.serve(2)
    assert isinstance(start(past.workspace, past.targets[0]), Wait)
    settled(past.workspace, past.endpoint)  # the plan is not: nobody has taken its next step

    found = listed(survey(past.after(TWO_MONTHS), NOTHING_KEPT))

    assert found == past.of_second()


def test_endpoint_that_is_not_declared_any_more_keeps_its_last_deployment(past: Past) -> None:
    """The workers may not look at it, so it may be live."""
    moved = replace(past.workspace.pipeline, deployment=None)

    found = listed(survey(replace(past.after(TWO_MONTHS), pipeline=moved), NOTHING_KEPT))

    assert found == {each for each in past.of_first() | past.of_second() if each[0] != "endpoint configuration"}


def test_what_a_superseded_model_has_scored_is_listed_and_all_of_the_live_one_stays(past: Past) -> None:
    """GIVEN a pipeline without an endpoint, whose second model is live by a record."""
    lake, name = past.workspace.lake, past.workspace.pipeline.name
    without = replace(past.workspace.pipeline, deployment=None, scoring=Scoring(keep=("value",)))
    for number, model in enumerate(past.models[:2]):
        lake.put(f"{name}/batches/{model.job}/answers/dt=2013-01-01-{number:016x}.csv.out", b"0.5\n")
        metrics = {"auc": 0.9}
        record_deployment(
            lake, DeploymentRecord(endpoint=None, model=model, verdict=number + 1, metrics=metrics, recipe=None)
        )
    put_later(lake, f"{name}/evaluations/verdicts/000003.json", f"{name}/batches/")
    late = replace(past.after(TWO_MONTHS), pipeline=without)

    leftovers = survey(late, NOTHING_KEPT)
    found = listed(leftovers)

    superseded, live = (model.job for model in past.models[:2])
    assert found == {each for each in past.of_first() if each[0] != "endpoint configuration"} | {
        ("batches", superseded),
    }
    assert not any(each[1] == live for each in found)
    assert remove(late, leftovers)["batches"] == 1
    assert {key.split("/")[2] for key in keys_below(lake, f"{name}/batches/")} == {live}
    assert listed(survey(replace(late, pipeline=replace(without, scoring=None)), NOTHING_KEPT)) == set()


def test_what_is_newer_than_the_newest_verdict_stays(past: Past) -> None:
    """A training may be under way that has made it."""
    past.serve(2)
    lake, name = past.workspace.lake, past.workspace.pipeline.name
    lake.put(f"{name}/snapshots/{'d' * 32}/snapshot.json", EMPTY_SNAPSHOT)
    lake.put(f"{name}/models/{name}-xgboost-{'d' * 16}/output/model.tar.gz", b"{}")

    assert listed(survey(past.after(TWO_MONTHS), Keep(2, 0))) == past.of_first()
    for key in keys_below(lake, f"{name}/evaluations/verdicts/"):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    assert listed(survey(past.after(TWO_MONTHS), Keep(2, 0))) == set()


def test_what_others_have_made_is_never_listed(past: Past, live: Live, cloud: Cloud) -> None:
    past.serve(2)
    lake, name, sagemaker = past.workspace.lake, past.workspace.pipeline.name, cloud.client("sagemaker")
    for folder in ("snapshots/notes", f"models/{name}-own", f"evaluations/scores/{name}-scores-1", "conform/dt=1"):
        lake.put(f"{name}/{folder}/part-0.csv", b"1")
    image, role = past.models[0].image, past.workspace.resources.require_role()

    def make_model(model: str, artefact: str) -> None:
        container = {"Image": image, "ModelDataUrl": artefact}
        sagemaker.create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=role)

    make_model(f"{name}-by-hand", past.models[0].artefact)
    make_model(f"my-{name}-xgboost-{'0' * 16}", past.models[0].artefact)
    make_model(f"{name}-xgboost-{'e' * 16}", live.model.artefact)  # of another lake
    variant = {"VariantName": "v", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    for config, model in ((f"{past.endpoint}-theirs", 0), (f"my-{past.endpoint}-{'0' * 16}", 0)):
        variants = [{**variant, "ModelName": past.models[model].job}]
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
    variants = [{**variant, "ModelName": f"{name}-by-hand"}]
    sagemaker.create_endpoint_config(EndpointConfigName=f"{past.endpoint}-{'0' * 16}", ProductionVariants=variants)
    before = past.remains()

    found = listed(survey(past.after(TWO_MONTHS), Keep(2, 0)))

    assert found - past.of_first() == set()
    assert found <= before
    assert len(before) > len(found) + 10


def test_running_job_keeps_what_it_uses_until_it_is_an_orphan(past: Past, cloud: Cloud) -> None:
    past.serve(2)
    sagemaker, workspace = cloud.client("sagemaker"), past.workspace
    job = _endless(past, f"{workspace.pipeline.name}-xgboost-{'9' * 16}")
    theirs = _endless(past, f"my-{job['TrainingJobName']}")
    # Pipeline a_b with candidate c names its jobs as pipeline a with candidate b_c does.
    namesake = _endless(past, f"{workspace.pipeline.name}-xgboost-{'8' * 16}")
    namesake["OutputDataConfig"] = {"S3OutputPath": workspace.lake.uri("another_pipeline/models")}
    try:
        for each in (job, theirs, namesake):
            sagemaker.create_training_job(**each)

        def orphans(time: timedelta, spot: timedelta | None = None) -> list[tuple[str, str, str]]:
            training = workspace.pipeline.require_training()
            candidates = tuple(replace(each, spot=spot) for each in training.candidates)
            pipeline = replace(workspace.pipeline, training=replace(training, candidates=candidates))
            found = survey(replace(past.after(time), pipeline=pipeline), Keep(2, 900)).found
            return [(each.thing.kind, each.thing.name, each.reason) for each in found]

        assert listed(survey(workspace, Keep(2, 0))) == past.of_first() - {("snapshot", FINGERPRINTS[0])}
        assert orphans(timedelta(hours=1, minutes=59)) == []
        assert orphans(timedelta(hours=2, minutes=1)) == [
            ("training job", job["TrainingJobName"], "in progress for more than 2 h")
        ]
        assert orphans(timedelta(hours=4, minutes=59), spot=timedelta(hours=4)) == []  # it may wait for capacity
    finally:
        for each in (job, theirs, namesake):
            sagemaker.stop_training_job(TrainingJobName=each["TrainingJobName"])


def test_running_tuning_keeps_what_it_uses_until_it_is_an_orphan(past: Past, cloud: Cloud) -> None:
    """Also while none of its training jobs runs: SageMaker starts the next one a moment after."""
    past.serve(2)
    sagemaker, tuned = cloud.client("sagemaker"), with_tuning(past)
    request = endless_tuning(tuned)
    name = request["HyperParameterTuningJobName"]
    trained: list[str] = []

    def orphans(time: timedelta) -> list[tuple[str, str, str]]:
        found = survey(tuned.after(time), Keep(2, 900)).found
        return [(each.thing.kind, each.thing.name, each.reason) for each in found if each.thing.name not in trained]

    try:
        sagemaker.create_hyper_parameter_tuning_job(**request)
        trained = [wait_for(lambda: _trained(sagemaker, name), what="a training job")]
        without_jobs = replace(tuned.workspace, aws=Unlisted(tuned.workspace.aws.session, tuned.workspace.aws.endpoint))
        assert listed(survey(without_jobs, Keep(2, 0))) == past.of_first() - {("snapshot", FINGERPRINTS[0])}
        assert orphans(timedelta(hours=3, minutes=29)) == []
        assert orphans(timedelta(hours=3, minutes=31)) == [("tuning job", name, "in progress for more than 3.5 h")]
    finally:
        sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


@dataclass(frozen=True)
class Unlisted(Aws):
    """Clients that find no training job in progress."""

    def make_client(self, service: str) -> Any:
        client = super().make_client(service)
        empty = {"TrainingJobSummaries": [], "ResponseMetadata": {"HTTPStatusCode": 200}}
        answer = (AWSResponse("", 200, {}, None), empty)
        client.meta.events.register("before-call.sagemaker.ListTrainingJobs", lambda **_: answer)
        return client


def _trained(sagemaker: Any, tuning: str) -> str | None:
    found = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)
    return next((each["TrainingJobName"] for each in found["TrainingJobSummaries"]), None)


def with_tuning(past: Past) -> Past:
    """Return the past of the pipeline after it has declared a tuned candidate as well."""
    pipeline = past.workspace.pipeline
    tuned = XGBoost(
        {"objective": "binary:logistic", "num_round": 100_000_000},
        name="tuned",
        tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=2, parallel=1),
    )
    training = replace(pipeline.training, candidates=(*pipeline.training.candidates, tuned))
    return replace(past, workspace=replace(past.workspace, pipeline=replace(pipeline, training=training)))


def endless_tuning(past: Past) -> dict[str, Any]:
    """Return the request of a tuning that does not end by itself, on the first snapshot."""
    pipeline = past.workspace.pipeline
    definition = _endless(past, "")
    del definition["TrainingJobName"]
    searched = {"ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5"}]}
    return {
        "HyperParameterTuningJobName": tuning_name_stem(pipeline, pipeline.training.candidate("tuned")) + "9" * 12,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": searched,
        },
        "TrainingJobDefinition": {"StaticHyperParameters": definition.pop("HyperParameters"), **definition},
    }


def _endless(past: Past, name: str) -> dict[str, Any]:
    """Return the request of a training that does not end by itself, on the first snapshot."""
    lake = past.workspace.lake
    folder = f"{lake.pipeline}/snapshots/{FINGERPRINTS[0]}/gaps/train/"
    lake.s3.put_object(Bucket=lake.bucket, Key=f"{folder}part-0.csv", Body=b"1,1,1\n0,0,0\n" * 50)
    lake.s3.put_object(Bucket=lake.bucket, Key=f"{lake.pipeline}/evaluations/verdicts/000003.json", Body=_verdict(past))
    channel = {"S3DataType": "S3Prefix", "S3Uri": lake.uri(folder), "S3DataDistributionType": "FullyReplicated"}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": past.models[0].image, "TrainingInputMode": "File"},
        "RoleArn": past.workspace.resources.require_role(),
        "HyperParameters": {"objective": "binary:logistic", "num_round": "100000000", "nthread": "1"},
        "InputDataConfig": [
            {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": channel}}
        ],
        "OutputDataConfig": {"S3OutputPath": lake.uri(f"{lake.pipeline}/models")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def _verdict(past: Past) -> bytes:
    return past.workspace.lake.get(f"{past.workspace.pipeline.name}/evaluations/verdicts/000003.json")


def test_nothing_is_listed_if_what_is_live_can_not_be_read(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    from sluice.housekeeping import needed

    def denied(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeEndpoint")

    monkeypatch.setattr(needed, "find_endpoint", denied)

    with pytest.raises(ClientError, match="AccessDenied"):
        survey(past.workspace, NOTHING_KEPT)

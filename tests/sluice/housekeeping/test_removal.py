"""A removal takes what was listed and nothing else, wherever it stops, and what is live goes on answering."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.sluice.housekeeping.past import FINGERPRINTS, Past
from tests.sluice.housekeeping.test_survey import TWO_MONTHS, _endless, endless_tuning, listed, with_tuning
from tests.sluice.lake_contents import keys_below
from tests.sluice.serving.live import settled

from localcloud.testing import training, tuning
from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.errors import MissingResource, SluiceError
from sluice.housekeeping import removal
from sluice.housekeeping.needed import find_needed, read_book
from sluice.housekeeping.policy import Keep
from sluice.housekeeping.removal import remove
from sluice.housekeeping.survey import survey
from sluice.serving.deployment import start
from sluice.serving.endpoint import find_endpoint
from sluice.serving.recipe import make
from sluice.serving.targets import target_of_record
from sluice.training.jobs import find_job


def answer(past: Past) -> float:
    runtime = past.workspace.aws.client("sagemaker-runtime")
    response = runtime.invoke_endpoint(EndpointName=past.endpoint, ContentType="text/csv", Body=b"0.5,0.25")
    return float(response["Body"].read())


def test_what_was_listed_is_gone_all_else_remains_and_a_second_run_removes_nothing(past: Past) -> None:
    past.serve(2)
    before, answered = past.remains(), answer(past)
    records = keys_below(past.workspace.lake, f"{past.workspace.pipeline.name}/deployments/")
    found = survey(past.workspace, Keep(2, 0))

    removed = remove(past.workspace, found)

    assert past.remains() == before - past.of_first()
    assert removed == found.counts
    assert answer(past) == answered
    assert keys_below(past.workspace.lake, f"{past.workspace.pipeline.name}/deployments/") == records
    again = survey(past.workspace, Keep(2, 0))
    assert again.found == ()
    assert remove(past.workspace, again) == {"bytes": 0}
    assert remove(past.workspace, replace(found, found=found.found[:2])) == {"bytes": 0}  # a stale survey


def test_removed_deployment_can_not_be_restored_and_says_so_in_one_line(past: Past) -> None:
    past.serve(2)
    remove(past.workspace, survey(past.workspace, Keep(2, 0)))

    uri = re.escape(past.models[0].artefact)
    with pytest.raises(MissingResource, match=rf"^the model of deployment 1 is gone: {uri} was removed; roll back to "):
        target_of_record(past.workspace, 1)
    assert target_of_record(past.workspace, 2) == past.targets[1]


def test_kept_deployment_is_made_again_from_its_record(past: Past) -> None:
    """Only the newest is kept, so the configuration of the second goes; its model, which was judged last, stays."""
    past.serve(2)
    remove(past.workspace, survey(past.workspace, Keep(1, 0)))
    assert ("endpoint configuration", past.targets[1].config) not in past.remains()

    make(past.workspace, target_of_record(past.workspace, 2).recipe)
    past.serve(1)

    assert 0 < answer(past) < 1


def test_removal_that_stops_after_each_deletion_is_finished_by_the_next_ones(past: Past, cloud: Cloud) -> None:
    """No model outlives its artefact, no artefact its scores and snapshot; so what remains can be found and served."""
    past.serve(2)
    expected, stops = past.remains() - past.of_first(), 0
    while True:
        with_fault = replace(past.workspace, aws=_DiesAfterOneDeletion(past.workspace.aws))
        lake = replace(with_fault.lake, s3=with_fault.aws.client("s3"))
        faulty = replace(with_fault, lake=lake)
        try:
            remove(faulty, survey(faulty, Keep(2, 0)))
            break
        except _Died:
            stops += 1
        _assert_nothing_dangles(past)
    assert stops >= 6
    assert past.remains() == expected


def _assert_nothing_dangles(past: Past) -> None:
    sagemaker, remains = past.workspace.aws.client("sagemaker"), past.remains()
    names = {kind: {name for each, name in remains if each == kind} for kind, _ in remains}
    for config in names["endpoint configuration"]:
        for variant in sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]:
            assert variant["ModelName"] in names["model"]
    assert names["model"] <= names["artefact"]
    if past.models[0].job in names["artefact"]:
        assert past.scores(0, 0) in names["scores"]
        assert f"{past.workspace.pipeline.name}/snapshots/{FINGERPRINTS[0]}/snapshot.json" in keys_below(
            past.workspace.lake, f"{past.workspace.pipeline.name}/snapshots/"
        )


class _Died(BaseException):
    """The process is killed."""


class _DiesAfterOneDeletion:
    """Clients of which the second deletion, of whatever, does not return."""

    def __init__(self, aws: Any) -> None:
        self._aws, self._clients, self._deletions = aws, dict[str, Any](), 0

    def client(self, service: str) -> Any:
        if service not in self._clients:
            client = self._aws.make_client(service)
            client.meta.events.register("before-call", self._called)
            self._clients[service] = client
        return self._clients[service]

    def _called(self, model: Any, **_: Any) -> None:
        if model.name.startswith("Delete"):
            self._deletions += 1
            if self._deletions > 1:
                raise _Died


@pytest.mark.parametrize("moment", ["since the survey", "since all else was read"])
def test_deployment_that_began_in_between_keeps_its_model(
    past: Past, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    past.serve(2)
    found = survey(past.workspace, Keep(2, 0))
    assert ("model", past.models[0].job) in listed(found)
    if moment == "since all else was read":
        read = find_needed(past.workspace, read_book(past.workspace.lake), Keep(2, 0))
        monkeypatch.setattr(removal, "find_needed", lambda *_: read)
    start(past.workspace, past.targets[0])

    remove(past.workspace, found)

    settled(past.workspace, past.endpoint)
    live = find_endpoint(past.workspace, past.endpoint)
    assert live is not None
    assert live.serves(past.targets[0].config)
    assert past.of_first() <= past.remains()
    assert 0 < answer(past) < 1


def test_orphaned_job_is_stopped(past: Past, cloud: Cloud) -> None:
    past.serve(2)
    name = f"{past.workspace.pipeline.name}-xgboost-{'9' * 16}"
    cloud.client("sagemaker").create_training_job(**_endless(past, name))
    late = past.after(timedelta(hours=3))

    assert remove(late, survey(late, Keep(3, 30))) == {"training job": 1, "bytes": 0}

    def stopped() -> bool:
        job = find_job(past.workspace, name)
        return job is not None and job.status == "Stopped"

    wait_for(stopped, what="the end of the orphan")
    assert not any(each.thing.kind.is_job for each in survey(past.after(TWO_MONTHS), Keep(3, 30)).found)


def test_orphaned_job_that_ends_before_it_is_stopped_is_not_counted(past: Past, cloud: Cloud) -> None:
    past.serve(2)
    sagemaker, name = cloud.client("sagemaker"), f"{past.workspace.pipeline.name}-xgboost-{'9' * 16}"
    sagemaker.create_training_job(**_endless(past, name))
    late = past.after(timedelta(hours=3))
    late = replace(late, aws=Aws(late.aws.session, late.aws.endpoint))

    def overtake(**_: Any) -> None:
        sagemaker.stop_training_job(TrainingJobName=name)
        training.finished(sagemaker, name)

    late.aws.client("sagemaker").meta.events.register("before-call.sagemaker.StopTrainingJob", overtake)

    assert remove(late, survey(late, Keep(3, 30))) == {"bytes": 0}


def test_orphaned_tuning_is_stopped_with_its_training_jobs(past: Past, cloud: Cloud) -> None:
    past.serve(2)
    sagemaker, tuned = cloud.client("sagemaker"), with_tuning(past)
    request = endless_tuning(tuned)
    name = request["HyperParameterTuningJobName"]
    sagemaker.create_hyper_parameter_tuning_job(**request)
    late = tuned.after(timedelta(hours=5))

    assert remove(late, survey(late, Keep(3, 30)))["tuning job"] == 1

    assert tuning.finished(sagemaker, name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert {each["TrainingJobStatus"] for each in tuning.trained(sagemaker, name)} <= {"Stopped"}


def test_object_that_s3_refuses_to_delete_is_named(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    past.serve(2)
    found, lake = survey(past.workspace, Keep(2, 0)), past.workspace.lake

    def refuse(**parameters: Any) -> Any:
        key = parameters["Delete"]["Objects"][0]["Key"]
        return {"Errors": [{"Key": key, "Code": "AccessDenied", "Message": "no"}]}

    monkeypatch.setattr(lake.s3, "delete_objects", refuse)

    with pytest.raises(
        SluiceError, match=rf"^S3 did not delete s3://{lake.bucket}/.+model.tar.gz \(AccessDenied: no\)"
    ):
        remove(past.workspace, found)


def test_what_another_removal_was_faster_with_is_not_counted(past: Past, cloud: Cloud) -> None:
    past.serve(2)
    found, sagemaker = survey(past.workspace, Keep(2, 0)), cloud.client("sagemaker")
    sagemaker.delete_endpoint_config(EndpointConfigName=past.targets[0].config)
    sagemaker.delete_model(ModelName=past.models[0].job)

    removed = remove(past.workspace, found)

    assert "model" not in removed
    assert "endpoint configuration" not in removed
    assert removed["artefact"] == 1
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=past.models[0].job)

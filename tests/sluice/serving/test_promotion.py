"""Without an endpoint, a model is live because a record says so. It is judged beside others, and can be undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sluice.lake_contents import body_of, keys_below
from tests.sluice.serving.live import Live, score
from tests.sluice.toy import toy

from sluice.declaration import Scoring
from sluice.errors import DeploymentFailed, MissingResource, TrainingFailed
from sluice.evaluation.verdict import read_verdict, record_verdict
from sluice.lake.store import Lake
from sluice.serving.champion import find_champion, live_model, model_of_job, require_live
from sluice.serving.judging import make_verdict
from sluice.serving.promotion import promote, restore
from sluice.serving.records import deployment_records
from sluice.serving.registry import decide, register
from sluice.serving.targets import deployment_to_restore, target_of_record
from sluice.training.models import Model
from sluice.workspace import Workspace

SCORING = Scoring(keep=("event_id",))


@pytest.fixture
def own(live: Live, own_name: str) -> Workspace:
    """The toy without an endpoint, in a lake of the test's own that has the snapshot and the verdict of ``live``."""
    live.workspace.aws.client("s3").create_bucket(Bucket=own_name)
    lake = replace(live.workspace.lake, bucket=own_name)
    for folder in (f"toy/snapshots/{live.fingerprint}/", "toy/evaluations/verdicts/"):
        for key in keys_below(live.workspace.lake, folder):
            lake.put(key, body_of(live.workspace.lake, key))
    return replace(live.workspace, lake=lake, pipeline=toy(deployment=None, scoring=SCORING))


def verdict_for(lake: Lake, number: int, winner: Model | None) -> int:
    """Record a verdict like another one, with another winner."""
    like = read_verdict(lake, number)
    return record_verdict(lake, like.model_copy(update={"winner": winner and winner.job, "reasons": (str(winner),)}))


def test_winner_is_live_once_it_was_promoted(own: Workspace, live: Live) -> None:
    assert live_model(own) is None
    with pytest.raises(MissingResource, match=r"^no model of toy is live; run toy_train first$"):
        require_live(own)

    number = promote(own, live.verdict)

    assert (promote(own, live.verdict), number) == (1, 1)
    assert promote(own, verdict_for(own.lake, live.verdict, live.model)) == 1, "it wins again, and stays"
    assert require_live(own) == live.model == find_champion(own, live.fingerprint)
    (record,) = deployment_records(own.lake).values()
    assert (record.endpoint, record.recipe, record.verdict) == (None, None, live.verdict)
    assert record.metrics["auc"] == pytest.approx(live.auc_of("test"))
    assert record.cost is not None
    assert record.cost.training is not None
    assert record.cost.endpoint_per_hour is None


def test_challengers_are_judged_beside_it_and_the_same_training_says_nothing_new(own: Workspace, live: Live) -> None:
    promote(own, live.verdict)
    for model in (live.model, live.other):
        score(own, model, live.fingerprint)

    assert make_verdict(own, [live.model.job, live.other.job], live.fingerprint) == live.verdict

    number = make_verdict(own, [live.other.job], live.fingerprint)
    verdict = read_verdict(own.lake, number)
    assert verdict.champion == live.model.job
    assert verdict.judgement(live.other.job).gain is not None


def test_earlier_model_is_restored_by_a_new_record(own: Workspace, live: Live) -> None:
    promote(own, live.verdict)
    with pytest.raises(MissingResource, match=r"^pipeline toy has had one model only: nothing to go back to$"):
        deployment_to_restore(own)
    promote(own, verdict_for(own.lake, live.verdict, live.other))
    assert live_model(own) == live.other

    assert restore(own, deployment_to_restore(own)) == 3
    assert restore(own, 1) == 3

    assert live_model(own) == live.model == model_of_job(own, live.model.job)
    assert model_of_job(own, live.other.job) == live.other
    gone = deployment_records(own.lake)[2].model.model_copy(update={"artefact": own.lake.uri("toy/models/gone")})
    own.lake.put(
        "toy/deployments/000004.json",
        deployment_records(own.lake)[2].model_copy(update={"model": gone}).model_dump_json().encode(),
    )
    with pytest.raises(MissingResource, match=r"^the model of deployment 4 is gone: .* was removed; roll back"):
        restore(own, 4)


def test_model_that_was_live_without_an_endpoint_can_be_deployed_to_one(own: Workspace, live: Live) -> None:
    promote(own, live.verdict)

    target = target_of_record(replace(own, pipeline=toy()), 1)

    assert target.model == live.model
    assert target.recipe.config["ProductionVariants"][0]["ModelName"] == live.model.job


@pytest.fixture
def asked(own: Workspace, own_name: str) -> Workspace:
    """The same under a name of its own, where a person has to approve."""
    name = f"p{own_name.replace('-', '_')}"[:24]
    return replace(own, pipeline=toy(name=name, deployment=None, scoring=replace(SCORING, approval=timedelta(days=1))))


def test_only_an_approved_winner_is_promoted(asked: Workspace, live: Live) -> None:
    version = register(asked, live.verdict)
    with pytest.raises(DeploymentFailed, match="is PendingManualApproval in the model registry"):
        promote(asked, live.verdict)
    assert live_model(asked) is None

    decide(asked, version, "Approved", "It is good.")

    assert promote(asked, live.verdict) == 1
    with pytest.raises(TrainingFailed, match=r"^no model passes the gate"):
        promote(asked, verdict_for(asked.lake, live.verdict, None))

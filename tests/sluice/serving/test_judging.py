"""Challengers and the champion score the same rows; what was scored, judged and announced is not done again (P7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.sluice.lake_contents import put_rows
from tests.sluice.serving.live import deploy, put_learnable, settled, train

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Continuous, Deployment, Gate, LinearLearner, Multiclass, Tuning, XGBoost
from sluice.errors import TrainingFailed
from sluice.evaluation.transforms import find_scoring
from sluice.evaluation.verdict import read_verdict
from sluice.serving.champion import find_champion
from sluice.serving.deployment import Done
from sluice.serving.endpoint import delete, find_endpoint
from sluice.serving.judging import announce_winner, launch_scorings, make_verdict
from sluice.serving.targets import target_of_verdict
from sluice.training.launching import launch_training
from sluice.workspace import Workspace

TREES = XGBoost({"objective": "binary:logistic", "num_round": 5, "nthread": 1})
TUNED = replace(TREES, tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=2))
LINEAR = LinearLearner({"predictor_type": "binary_classifier", "mini_batch_size": 20})


@pytest.fixture
def own(workspace: Workspace, own_name: str) -> Iterator[Workspace]:
    """The toy with two candidates, an empty lake and an endpoint of the test's own, which is deleted in the end."""
    endpoint = f"g-{own_name}"[:40].strip("-")
    training = replace(workspace.pipeline.training, candidates=(TREES, LINEAR), gate=Gate("auc", at_least=0.6, rows=1))
    pipeline = replace(workspace.pipeline, training=training, deployment=Deployment(endpoint))
    own = replace(workspace, pipeline=pipeline)
    yield own
    if find_endpoint(own, endpoint) is not None:
        settled(own, endpoint)
        delete(own, endpoint)


def trained(workspace: Workspace) -> tuple[str, list[str]]:
    """Train both candidates on all partitions; return the snapshot and the jobs, as they were launched."""
    fingerprint = make_snapshot(workspace).fingerprint
    candidates = workspace.pipeline.training.candidates
    for candidate in candidates:
        train(workspace, fingerprint, candidate)
    return fingerprint, [launch_training(workspace, candidate, fingerprint).job_name for candidate in candidates]


def score(workspace: Workspace, jobs: Sequence[str], fingerprint: str) -> list[str]:
    names = launch_scorings(workspace, jobs, fingerprint)
    for name in names:
        wait_for(lambda of=name: (found := find_scoring(workspace, of)) and found.ended, what=f"the end of {name}")
    return names


def make_live(workspace: Workspace, number: int) -> str:
    """Deploy the winner of a verdict; return its job."""
    done = deploy(workspace, target_of_verdict(workspace, number))
    assert isinstance(done, Done)
    return done.record.model.job


def recorded(workspace: Workspace) -> tuple[Workspace, list[str]]:
    """Return a workspace whose calls are recorded."""
    calls: list[str] = []
    aws = Aws(workspace.aws.session, workspace.aws.endpoint)
    for service in ("sagemaker", "s3"):
        aws.client(service).meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    lake = replace(workspace.lake, s3=aws.client("s3"))
    return replace(workspace, aws=aws, lake=lake), calls


def test_whole_training_repeated_creates_nothing(own: Workspace) -> None:
    """One of the candidates is tuned: its tuning job is launched, and the best of its training jobs is judged."""
    training = replace(own.pipeline.training, candidates=(TUNED, LINEAR))
    own = replace(own, pipeline=replace(own.pipeline, training=training))
    put_learnable(own.lake, 8)
    fingerprint, jobs = trained(own)
    names = score(own, jobs, fingerprint)
    number = make_verdict(own, jobs, fingerprint)
    winner = make_live(own, number)

    again, calls = recorded(own)
    assert trained(again) == (fingerprint, jobs)
    assert launch_scorings(again, jobs, fingerprint) == names
    assert make_verdict(again, jobs, fingerprint) == number
    assert make_live(again, number) == winner

    assert [call for call in calls if call.startswith(("Create", "Update", "Delete", "Stop"))] == []


@pytest.mark.slow
def test_champion_scores_the_rows_that_its_challengers_score(own: Workspace) -> None:
    put_learnable(own.lake, 6)
    fingerprint, jobs = trained(own)
    score(own, jobs, fingerprint)
    champion = make_live(own, make_verdict(own, jobs, fingerprint))
    put_learnable(own.lake, 9)

    newer, challengers = trained(own)
    names = score(own, challengers, newer)
    verdict = read_verdict(own.lake, make_verdict(own, challengers, newer))

    assert newer != fingerprint
    assert len(names) == 3
    assert verdict.champion == champion
    assert {each.model.job for each in verdict.judgements} == {champion, *challengers}
    assert {each.rows for each in verdict.judgements} == {60}
    assert verdict.judgement(champion).gain is not None
    assert verdict.winner in {champion, *challengers}


@pytest.mark.slow
def test_model_of_shuffled_labels_never_goes_live(own: Workspace) -> None:
    random = np.random.default_rng(8)
    for day in range(1, 9):
        value, total = random.uniform(-1, 1, (2, 200)).round(3)
        rows = pd.DataFrame({"late": random.integers(0, 2, 200), "value": value, "total": total})
        put_rows(own.lake, "running", f"2013-01-{day:02d}", rows)
    fingerprint, jobs = trained(own)
    score(own, jobs, fingerprint)

    number = make_verdict(own, jobs, fingerprint)

    assert read_verdict(own.lake, number).winner is None
    for goes_on in (lambda: announce_winner(own, number, "run"), lambda: target_of_verdict(own, number)):
        with pytest.raises(TrainingFailed, match=r"^no model passes the gate, so nothing is deployed: .* auc 0\.[345]"):
            goes_on()
    assert find_endpoint(own, own.pipeline.deployment.endpoint) is None


@pytest.mark.parametrize(
    "gone",
    [
        "label",
        *(pytest.param(gone, marks=pytest.mark.slow) for gone in ("artefact", "snapshot", "endpoint", "classes")),
    ],
)
def test_champion_that_can_not_be_judged_is_left_out(own: Workspace, gone: str) -> None:
    put_learnable(own.lake, 6)
    fingerprint, jobs = trained(own)
    score(own, jobs, fingerprint)
    make_live(own, make_verdict(own, jobs, fingerprint))
    champion = find_champion(own, fingerprint)
    assert champion is not None
    put_learnable(own.lake, 7)
    newer = make_snapshot(own).fingerprint
    s3: Any = own.aws.client("s3")

    if gone == "artefact":
        s3.delete_object(Bucket=own.lake.bucket, Key=champion.artefact.removeprefix(f"s3://{own.lake.bucket}/"))
    elif gone == "snapshot":
        s3.delete_object(Bucket=own.lake.bucket, Key=f"toy/snapshots/{fingerprint}/snapshot.json")
    elif gone == "endpoint":
        delete(own, own.pipeline.deployment.endpoint)
        settled(own, own.pipeline.deployment.endpoint)
    elif gone == "classes":  # the champion answers one number for each row, and the challengers will answer three
        values = pd.DataFrame({"late": [0, 1, 2] * 20, "value": [0.5] * 60, "total": [0.5] * 60})
        for day in (1, 2, 3):
            put_rows(own.lake, "running", f"2013-02-{day:02d}", values)
        trees = XGBoost({"objective": "multi:softprob", "num_class": 3, "num_round": 5, "nthread": 1})
        of_classes = replace(
            own.pipeline.training, problem=Multiclass(3), candidates=(trees,), gate=Gate("accuracy", at_least=0.1)
        )
        own = replace(own, pipeline=replace(own.pipeline, training=of_classes))
        newer = make_snapshot(own, "2013-02-01", "2013-02-03").fingerprint
    else:
        labelled = replace(own.pipeline.training, label="total", features=("value",))
        put_rows(own.lake, "running", "2013-02-01", pd.DataFrame({"total": [0, 1] * 9, "value": [0.5] * 18}))
        put_rows(own.lake, "running", "2013-02-02", pd.DataFrame({"total": [0, 1] * 9, "value": [0.5] * 18}))
        put_rows(own.lake, "running", "2013-02-03", pd.DataFrame({"total": [0, 1] * 9, "value": [0.5] * 18}))
        own = replace(own, pipeline=replace(own.pipeline, training=replace(labelled, candidates=(TREES,))))
        newer = make_snapshot(own, "2013-02-01", "2013-02-03").fingerprint

    assert find_champion(own, newer) is None

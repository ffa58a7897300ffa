"""The gate judges the model that is served, whichever round the training job printed last."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost
from tests.sluice.lake_contents import put_rows
from tests.sluice.serving.live import SETTINGS, Live, settled, trained

from sluice.dataset.snapshot import make_snapshot
from sluice.declaration.training import Deployment, Gate
from sluice.declaration.xgboost import XGBoost
from sluice.errors import MissingResource, TrainingFailed
from sluice.evaluation.judge import check_gate, judge
from sluice.lake.store import Lake
from sluice.serving.deployment import prove
from sluice.serving.endpoint import find_endpoint, start_change
from sluice.training.algorithms.xgboost import XGBoostAlgorithm
from sluice.workspace import Workspace

Settings = Mapping[str, str | int | float]

OVERFITTING: Settings = {"num_round": 200, "max_depth": 8, "eta": 0.9, "seed": 1}
STOPPING: Settings = {**OVERFITTING, "early_stopping_rounds": 10}
DART: Settings = {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.2, "num_round": 30, "max_depth": 6, "eta": 0.9}


@pytest.fixture
def noisy(workspace: Workspace) -> Workspace:
    """A lake of rows that a model soon learns by heart."""
    random = np.random.default_rng(0)
    for day in range(1, 8):
        value, total = random.normal(size=(2, 400))
        late = ((value + 2 * random.normal(size=400)) > 0).astype(int)
        rows = pd.DataFrame({"value": value, "total": total, "late": late})
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    return workspace


@pytest.mark.parametrize(
    ("settings", "printed_is_served"),
    [
        ({"num_round": 5}, True),
        (OVERFITTING, True),
        (STOPPING, False),
        ({**STOPPING, "save_model_on_termination": "true"}, False),
        ({**STOPPING, "eval_metric": "auc,logloss"}, False),  # the last metric decides which round is best
        ({**DART, "seed": 3}, True),
        ({**DART, "seed": 3, "early_stopping_rounds": 3}, False),
        ({"booster": "gblinear", "num_round": 5}, True),
        ({"_kfold": 3, "num_round": 5}, False),
    ],
    ids=[
        "plain",
        "overfitting",
        "stopping",
        "on-termination",
        "two-metrics",
        "dart",
        "dart-stopping",
        "linear",
        "folds",
    ],
)
def test_gate_and_proof_judge_the_model_that_is_served(
    noisy: Workspace, own_name: str, settings: Settings, printed_is_served: bool
) -> None:
    """GIVEN a job whose last printed round may not be the model that it saved WHEN it is deployed THEN it is proven."""
    fingerprint = make_snapshot(noisy).fingerprint
    job = trained(noisy, fingerprint, **settings)
    endpoint = f"j-{own_name[-20:]}".strip("-")
    binary = XGBoost({**SETTINGS, **settings})
    pipeline = replace(
        noisy.pipeline,
        training=replace(
            noisy.pipeline.training,
            candidate=binary,
            gate=Gate("auc", at_least=0.5),
        ),
        deployment=Deployment(endpoint),
    )
    serving = replace(noisy, pipeline=pipeline)
    try:
        change = start_change(serving, job)
        settled(serving, endpoint)
        record = prove(serving, change, job.name, fingerprint)
    finally:
        if find_endpoint(noisy, endpoint) is not None:
            noisy.aws.client("sagemaker").delete_endpoint(EndpointName=endpoint)

    at_it = check_gate(with_gate(serving, record.validation_auc - 1e-6), job, fingerprint)
    assert at_it.value("auc") == pytest.approx(record.validation_auc, abs=1e-6)
    with pytest.raises(TrainingFailed, match="and the gate is at"):
        check_gate(with_gate(serving, record.validation_auc + 1e-3), job, fingerprint)
    assert (abs(record.validation_auc - job.metrics["validation:auc"]) < 1e-4) == printed_is_served


def with_gate(workspace: Workspace, at_least: float) -> Workspace:
    training = replace(workspace.pipeline.require_training(), gate=Gate("auc", at_least))
    return replace(workspace, pipeline=replace(workspace.pipeline, training=training))


def test_model_below_the_gate_is_refused_with_its_metric(live: Live) -> None:
    workspace, reached = live.workspace, live.auc_of("validation")

    assert check_gate(with_gate(workspace, reached), live.job, live.fingerprint).value("auc") == pytest.approx(reached)
    with pytest.raises(TrainingFailed, match=rf"job {live.job.name} has auc {reached:.4f} .*and the gate is at 0\.99"):
        check_gate(with_gate(workspace, 0.99), live.job, live.fingerprint)


def test_gate_on_a_metric_of_which_less_is_better(live: Live) -> None:
    reached = judge(live.workspace, live.job, live.fingerprint, "validation").value("log_loss")

    def checked(at_most: float) -> None:
        training = replace(live.workspace.pipeline.require_training(), gate=Gate("log_loss", at_most=at_most))
        pipeline = replace(live.workspace.pipeline, training=training)
        check_gate(replace(live.workspace, pipeline=pipeline), live.job, live.fingerprint)

    checked(reached)
    with pytest.raises(TrainingFailed, match=rf"has log_loss {reached:.4f} on the validation rows, and the gate is at"):
        checked(reached - 1e-6)


def put_artefact(lake: Lake, **files: bytes) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return lake.uri(lake.put("toy/models/put/output/model.tar.gz", archive.getvalue()).key)


def by_softprob(live: Live) -> bytes:
    matrix = xgboost.DMatrix(np.zeros((6, 2)), label=[0, 1, 2, 0, 1, 2])
    settings = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    return bytes(xgboost.train(settings, matrix, num_boost_round=1).save_raw("ubj"))


def test_artefact_without_a_model_of_one_score_a_row_is_named(live: Live) -> None:
    lake = live.workspace.lake

    def judged(uri: str) -> None:
        judge(live.workspace, replace(live.job, model_uri=uri), live.fingerprint, "validation")

    for uri in (
        put_artefact(lake, **{"xgboost-model": b"this is no model"}),
        lake.uri(lake.put("toy/models/no-archive.tar.gz", b"this is no archive").key),
    ):
        with pytest.raises(
            TrainingFailed, match=rf"^{uri} holds no model that can score the snapshot \([^\n]+\); train again"
        ):
            judged(uri)
    for uri in (put_artefact(lake, **{".hidden": b""}), put_artefact(lake, **{"xgboost-model": by_softprob(live)})):
        with pytest.raises(TrainingFailed, match="holds no model that gives one score a row"):
            judged(uri)
    with pytest.raises(MissingResource, match=r"toy/models/gone is gone"):
        judged(lake.uri("toy/models/gone"))


def test_judging_library_has_the_version_of_the_container() -> None:
    assert (
        XGBoostAlgorithm().image("us-east-1").endswith(f"sagemaker-xgboost:{xgboost.__version__.rpartition('.')[0]}-0")
    )

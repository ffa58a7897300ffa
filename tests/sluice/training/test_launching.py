"""Jobs that are launched: the format of their channels does not change the model, and their tags say whose they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost
from tests.sluice.lake_contents import keys_below, put_rows
from tests.sluice.serving.live import Live, score

from localcloud.testing import training
from localcloud.testing.waiting import wait_for
from sluice.dataset.snapshot import make_snapshot, snapshot_rows
from sluice.declaration import Category, LinearLearner, XGBoost
from sluice.evaluation.answers import read_scores
from sluice.evaluation.scoring import scores_folder
from sluice.training.jobs import find_job
from sluice.training.launching import launch_training
from sluice.training.models import Model, trained_models
from sluice.workspace import Workspace

BOOSTED = {"objective": "binary:logistic", "num_round": 8, "max_depth": 4, "nthread": 1}
LINEAR = {"predictor_type": "binary_classifier", "mini_batch_size": 20, "epochs": 3, "num_models": 2}
CANDIDATES = (
    *(XGBoost(BOOSTED, name=f"trees_{each}", channel_format=each) for each in XGBoost.formats),
    *(LinearLearner(LINEAR, name=f"lines_{each}", channel_format=each) for each in LinearLearner.formats),
)


@pytest.fixture
def models(workspace: Workspace) -> tuple[Workspace, dict[str, Model]]:
    """A model of each candidate on one snapshot, whose rows have gaps, zeros and long fractions."""
    random = np.random.default_rng(2)
    for day in range(1, 7):
        value, total = random.normal(size=(2, 120))
        rows = pd.DataFrame({"late": (value + random.normal(0, 0.5, 120) > 0).astype(int), "total": total / 3})
        rows["value"] = np.where(random.random(120) < 0.2, 0, value)
        rows.loc[random.random(120) < 0.2, "total"] = np.nan  # also the last column of some rows
        rows["carrier"] = random.choice(["UA", "AA"], 120)
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    features = ("value", Category("carrier"), "total")
    declared = replace(workspace.pipeline.require_training(), features=features, candidates=CANDIDATES)
    own = replace(workspace, pipeline=replace(workspace.pipeline, training=declared))
    fingerprint = make_snapshot(own).fingerprint
    names = [launch_training(own, each, fingerprint).job_name for each in CANDIDATES]

    def ended() -> bool:
        return all(job is not None and job.ended for job in (find_job(own, name) for name in names))

    wait_for(ended, what="the end of all jobs")
    return own, {each.candidate: each for each in trained_models(own, names, fingerprint)}


def test_format_of_the_channels_does_not_change_the_model(models: tuple[Workspace, dict[str, Model]]) -> None:
    workspace, found = models
    fingerprint = found["trees_csv"].snapshot
    rows = snapshot_rows(workspace.lake, fingerprint, "test")
    matrix = xgboost.DMatrix(
        np.column_stack(
            [rows["value"], rows["carrier"] == "AA", rows["carrier"] == "UA", 0 * rows["value"], rows["total"]]
        )
    )

    answers = {}
    for name, model in found.items():
        if name.startswith("trees"):
            answers[name] = training.booster_of(workspace.lake.s3, model.artefact).predict(matrix)
        else:
            score(workspace, model, fingerprint)
            answers[name] = read_scores(workspace, model, scores_folder(workspace, model, fingerprint), "test")

    for name, answered in answers.items():
        of_csv = answers[f"{name.partition('_')[0]}_csv"]
        np.testing.assert_allclose(answered, of_csv, rtol=1e-5, err_msg=name)
        assert len(np.unique(answered)) > 20
    assert {key.split("/")[3] for key in keys_below(workspace.lake, f"toy/snapshots/{fingerprint}/")} >= {
        *("gaps", "gaps-libsvm", "gaps-parquet", "gaps-recordio", "filled", "filled-recordio"),
    }


def test_job_has_the_tags_of_the_pipeline_the_snapshot_and_the_run_that_created_it(live: Live) -> None:
    """GIVEN a second run THEN it takes the same job: the run is no part of the request's name."""
    workspace, candidate = live.workspace, XGBoost(BOOSTED, name="tagged")
    sagemaker = workspace.aws.client("sagemaker")

    first = launch_training(workspace, candidate, live.fingerprint, "manual~2026-11-29T11:01:49.069496+00:00")
    second = launch_training(workspace, candidate, live.fingerprint, "scheduled__2026-12-06T00:00:00+00:00")

    assert second.job_name == first.job_name
    assert (first.action, second.action in ("adopted", "reused")) == ("started", True)
    job = sagemaker.describe_training_job(TrainingJobName=first.job_name)
    tags = {each["Key"]: each["Value"] for each in sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]}
    assert tags == {
        "sluice:pipeline": "toy",
        "sluice:snapshot": live.fingerprint,
        "sluice:run": "manual-2026-11-29T11:01:49.069496+00:00",
    }

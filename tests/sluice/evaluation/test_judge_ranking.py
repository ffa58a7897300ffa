"""A ranking from the rows to the verdict: the job learns the order of each query, and is judged by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost
from tests.sluice.ranked import BOOSTED, TRAINING, ndcg, put_results
from tests.sluice.serving.live import judged, train

from localcloud.testing import training
from sluice.dataset.snapshot import make_snapshot, snapshot_rows
from sluice.declaration import Gate
from sluice.training.models import model_of
from sluice.workspace import Workspace

FEATURES = ["value", "total"]


def test_order_of_each_query_is_learned_and_judged(workspace: Workspace) -> None:
    declared = replace(TRAINING, gate=Gate("ndcg", at_least=0.7, rows=1, slices=("device",)))
    own = replace(workspace, pipeline=replace(workspace.pipeline, training=declared))
    rows = put_results(own.lake, range(1, 11))
    fingerprint = make_snapshot(own).fingerprint
    (candidate,) = declared.candidates
    job = train(own, fingerprint, candidate)
    model = model_of(candidate, job, fingerprint)

    (reached,) = judged(own, [model], None, fingerprint).judgements

    # What the library alone learns from the same rows and queries: so the job has found the groups in its channel.
    days = rows[rows["day"] <= 6]
    learned = days.iloc[np.argsort(days.groupby("query", sort=False).ngroup(), kind="stable")]
    matrix = xgboost.DMatrix(
        learned[FEATURES], label=learned["relevance"], qid=learned.groupby("query", sort=False).ngroup()
    )
    alone = xgboost.train({key: value for key, value in BOOSTED.items() if key != "num_round"}, matrix, 10)
    test = snapshot_rows(own.lake, fingerprint, "test")
    answers = training.booster_of(own.lake.s3, model.artefact).predict(xgboost.DMatrix(test[FEATURES].to_numpy()))
    np.testing.assert_allclose(answers, alone.predict(xgboost.DMatrix(test[FEATURES])), rtol=1e-4, atol=1e-5)

    figure = reached.metrics["ndcg"]
    assert figure.value == pytest.approx(ndcg(test, answers), abs=1e-9)
    assert figure.low < figure.value < figure.high  # type: ignore[operator]
    assert reached.passes
    found = {each.value: each.reached for each in reached.slices}
    assert found == {
        device: pytest.approx(ndcg(test[test["device"] == device], answers[test["device"] == device]))
        for device in ("phone", "desk")
    }
    assert 0.5 < job.metrics["validation:ndcg"] <= 1

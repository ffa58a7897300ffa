"""How good the declared model of the flights is: trained on January to September, tested on November and December.

The linear model of the same rows is tested in ``tests/contract/test_linear_learner_quality.py``.
"""

from __future__ import annotations

import pytest
import xgboost
from sklearn.metrics import roc_auc_score
from tests.pipelines.flights.flight_days import features_of_year

from pipelines.flights.pipeline import PIPELINE


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_declared_model_of_a_year_reaches_its_auc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take the cores of other tests
    assert PIPELINE.training is not None
    features, label = list(PIPELINE.training.features), PIPELINE.training.label
    parameters = dict(PIPELINE.training.candidates[0].hyperparameters)
    rounds = parameters.pop("num_round")
    rows = features_of_year()
    month = rows["event_time"].dt.month
    train, test = rows[month <= 9], rows[month >= 11]
    assert len(test) == 53_991

    booster = xgboost.train(parameters, xgboost.DMatrix(train[features], train[label], nthread=2), rounds)

    assert roc_auc_score(test[label], booster.predict(xgboost.DMatrix(test[features], nthread=2))) >= 0.75

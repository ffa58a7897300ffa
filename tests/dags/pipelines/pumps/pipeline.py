"""Which pumps will fail: a model without an endpoint, which scores the readings of each day in batch."""

from datetime import UTC, datetime

from sluice.declaration import Conform, FifoQueue, Gate, Pipeline, Scoring, Training, XGBoost

PIPELINE = Pipeline(
    name="pumps",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("readings", event_id="id", event_time="at"),),
    steps=(Conform("conform", source="readings", contract="contracts:Reading"),),
    training=Training(
        rows="conform",
        label="failed",
        features=("vibration", "heat"),
        candidates=(XGBoost({"objective": "binary:logistic", "num_round": 20, "nthread": 1}),),
        gate=Gate("auc", at_least=0.7),
    ),
    scoring=Scoring("risks", keep=("event_id", "event_time")),
)

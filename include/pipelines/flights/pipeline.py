"""Will a flight out of New York arrive 15 minutes late or more? Predicted two hours before it leaves.

**In.** The events of 2013's flights (`contracts.FlightEvent`) come through a FIFO queue, one message group per
aircraft. Hourly weather of the three airports comes as one object a UTC day under `drops/weather/`.
`python -m pipelines.flights.producer --days 14` sends both.

**Steps.** One partition is one UTC day of event time.

1. `conform`: one typed row per event id, in group order.
2. `enrich`: each event with the weather as observed at its origin by then.
3. `features`: one row per flight that arrived, with what was known when the flight was announced.

**Look-back.** A flight arrives at most 35 hours after its announcement, and the history of its flight number reaches
back 36 hours from there: 71 hours, so `features` sees the three days before. Weather older than six hours is not used,
so `enrich` sees one.

**Out.** XGBoost and Linear Learner, trained weekly on all days; the better one is behind the endpoint `flights-late`.
The label has a base rate of 0.24. A model whose AUC on the test days is below 0.60 does not go live.
"""

from datetime import UTC, datetime

from pipelines.flights.vocabulary import FEATURES
from sluice.declaration import (
    Conform,
    Deployment,
    Drops,
    FifoQueue,
    Gate,
    Input,
    LinearLearner,
    Pipeline,
    Step,
    Training,
    XGBoost,
)

PIPELINE = Pipeline(
    name="flights",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 12, 31, tzinfo=UTC),
    sources=(
        FifoQueue("events", event_id="id", event_time="event_time"),
        Drops("weather", prefix="drops/weather/"),
    ),
    steps=(
        Conform("conform", source="events", contract="contracts:FlightEvent"),
        Step(
            "enrich",
            run="steps:enrich",
            reads=(Input("conform"), Input("weather", look_back=1)),
            split_by="event_time",
        ),
        Step("features", run="steps:features", reads=(Input("enrich", look_back=3),), split_by="event_time"),
    ),
    training=Training(
        rows="features",
        label="late",
        features=FEATURES,
        candidates=(
            XGBoost(
                {
                    "objective": "binary:logistic",
                    "eval_metric": "auc",
                    "num_round": 300,
                    "eta": 0.05,
                    "max_depth": 6,
                    "gamma": 4,
                    "min_child_weight": 6,
                    "lambda": 10,
                    "subsample": 0.8,
                    "colsample_bytree": 0.3,
                    "seed": 2013,
                    "nthread": 2,  # by default it takes every core, and is very slow on a busy machine
                }
            ),
            LinearLearner(
                {
                    "predictor_type": "binary_classifier",
                    "binary_classifier_model_selection_criteria": "loss_function",
                    "epochs": 15,
                    "mini_batch_size": 200,  # so that two weeks are enough for it
                }
            ),
        ),
        gate=Gate("auc", at_least=0.60),
    ),
    deployment=Deployment(endpoint="flights-late"),
)

"""How many flights leave an airport of New York in an hour: a count, from the calendar."""

from datetime import UTC, datetime

from sluice.declaration import (
    Category,
    Conform,
    Count,
    Deployment,
    FifoQueue,
    Gate,
    Input,
    Integer,
    Number,
    Pipeline,
    Step,
    Training,
    Tuning,
    XGBoost,
)

PIPELINE = Pipeline(
    name="departures",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("hours", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="hours", contract="contracts:Hour"),
        Step("features", run="steps:features", reads=(Input("conform"),)),
    ),
    training=Training(
        rows="features",
        label="departures",
        features=(Category("origin"), Number("hour"), Category("weekday", encoding="target_mean")),
        problem=Count(),
        candidates=(
            XGBoost(
                {"objective": "count:poisson", "max_depth": 4, "nthread": 1},
                tuning=Tuning({"num_round": Integer(30, 90)}, jobs=2),
            ),
        ),
        gate=Gate("poisson_deviance", at_most=3, slices=("origin",)),
    ),
    deployment=Deployment(endpoint="departures"),
)

"""A pipeline with a source of each kind that has an ingest DAG: DAGS.md shows its DAGs. It is never run."""

from datetime import UTC, datetime, timedelta

from sluice.declaration import (
    Conform,
    Deployment,
    Drops,
    FifoQueue,
    Gate,
    Input,
    Monitoring,
    Pipeline,
    Scoring,
    Step,
    Stream,
    Training,
    XGBoost,
)

PIPELINE = Pipeline(
    name="example",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(
        FifoQueue("events", event_id="id", event_time="event_time"),
        Stream("stream", event_id="id", event_time="event_time"),
        Drops("weather", prefix="drops/weather/"),
    ),
    steps=(
        Conform("conform", source="events", contract="contracts:Event"),
        Step(
            "features",
            run="steps:features",
            reads=(Input("conform"), Input("weather")),
            fresh_within=timedelta(hours=6),
        ),
    ),
    training=Training(
        rows="features",
        label="late",
        features=("distance", "wind"),
        candidates=(XGBoost({"objective": "binary:logistic", "num_round": 100}),),
        gate=Gate("auc", at_least=0.60),
    ),
    deployment=Deployment(endpoint="example-late", monitoring=Monitoring(retrain=True)),
    scoring=Scoring("scores", keep=("event_id",)),
)

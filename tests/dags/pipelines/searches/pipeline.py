"""In which order the offers of a search are shown: a ranking."""

from datetime import UTC, datetime

from sluice.declaration import (
    Conform,
    Deployment,
    FifoQueue,
    Gate,
    Input,
    Monitoring,
    Pipeline,
    Ranking,
    Step,
    Training,
    XGBoost,
)

PIPELINE = Pipeline(
    name="searches",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("offers", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="offers", contract="contracts:Offer"),
        Step("features", run="steps:features", reads=(Input("conform"),)),
    ),
    training=Training(
        rows="features",
        label="interest",
        features=("stars", "share"),
        problem=Ranking("search", highest=3),
        candidates=(
            XGBoost({"objective": "rank:ndcg", "num_round": 20, "max_depth": 3, "nthread": 2}, channel_format="libsvm"),
        ),
        gate=Gate("ndcg", at_least=0.8),
    ),
    deployment=Deployment(endpoint="searches", monitoring=Monitoring()),
)

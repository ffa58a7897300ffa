"""Readings of meters: steps in the worker, on Lambda and where it fits, and a model that Step Functions trains."""

from datetime import UTC, datetime, timedelta

from sluice.declaration import (
    Auto,
    Conform,
    Deployment,
    FifoQueue,
    Gate,
    Input,
    Lambda,
    Network,
    Pipeline,
    Step,
    StepFunctions,
    TimeSplit,
    Training,
    XGBoost,
)

PIPELINE = Pipeline(
    name="readings",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    end=datetime(2013, 1, 12, tzinfo=UTC),
    sources=(FifoQueue("events", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("doubled", run="steps:doubled", reads=(Input("conform"),), runtime=Lambda(memory_mb=512)),
        Step("compared", run="steps:compared", reads=(Input("doubled", 1, 1),), runtime=Auto()),
    ),
    training=Training(
        rows="compared",
        label="high",
        features=("value", "before"),
        candidates=(XGBoost({"objective": "binary:logistic", "num_round": 5, "nthread": 1}),),
        gate=Gate("auc", at_least=0.6, rows=10),
        split=TimeSplit(0.2, 0.2),
        max_runtime=timedelta(minutes=5),
        orchestrator=StepFunctions(poll=timedelta(seconds=1)),
    ),
    deployment=Deployment("readings-high"),
    network=Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",)),
)

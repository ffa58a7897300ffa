"""Which digit is drawn: ten classes, from the pixels of scikit-learn's handwritten digits."""

from datetime import UTC, datetime

from sluice.declaration import (
    Conform,
    Deployment,
    FifoQueue,
    Gate,
    Input,
    LinearLearner,
    Multiclass,
    Pipeline,
    Step,
    Training,
    XGBoost,
)

PIPELINE = Pipeline(
    name="digits",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(FifoQueue("drawings", event_id="id", event_time="at"),),
    steps=(
        Conform("conform", source="drawings", contract="contracts:Drawing"),
        Step("features", run="steps:features", reads=(Input("conform"),)),
    ),
    training=Training(
        rows="features",
        label="digit",
        features=tuple(f"pixel_{place}" for place in range(64)),
        problem=Multiclass(10),
        candidates=(
            XGBoost({"objective": "multi:softprob", "num_class": 10, "num_round": 20, "max_depth": 4, "nthread": 2}),
            LinearLearner({"predictor_type": "multiclass_classifier", "num_classes": 10, "mini_batch_size": 50}),
        ),
        gate=Gate("accuracy", at_least=0.8),
    ),
    deployment=Deployment(endpoint="digits"),
)

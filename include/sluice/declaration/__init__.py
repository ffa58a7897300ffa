"""The declaration of a pipeline: values only, cheap to import. A ``pipeline.py`` imports nothing else of Sluice."""

from sluice.declaration.cloud import Network
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Drops, FifoQueue, Marker, StandardQueue, Stream
from sluice.declaration.steps import Conform, Input, Step
from sluice.declaration.training import Deployment, Gate, TimeSplit, Training
from sluice.declaration.xgboost import XGBoost

__all__ = [
    "Conform",
    "Deployment",
    "Drops",
    "FifoQueue",
    "Gate",
    "Input",
    "Marker",
    "Network",
    "Pipeline",
    "StandardQueue",
    "Step",
    "Stream",
    "TimeSplit",
    "Training",
    "XGBoost",
]

"""The declaration of a pipeline: values only, cheap to import. A ``pipeline.py`` imports nothing else of Sluice."""

from sluice.declaration.cloud import Network
from sluice.declaration.completeness import ManifestFile, Marker, ObjectCount, RootMarker, Unchanged
from sluice.declaration.deployment import Autoscaling, Canary, Deployment, Serverless
from sluice.declaration.drops import Drops
from sluice.declaration.envelopes import (
    CloudEvents,
    CloudWatchLogs,
    ConcatenatedJson,
    EventBridge,
    Gzip,
    Ndjson,
    S3Notification,
    Sns,
    SqsExtended,
)
from sluice.declaration.features import Category, Number
from sluice.declaration.file_formats import Csv, JsonLines, Parquet
from sluice.declaration.gate import Gate
from sluice.declaration.linear_learner import LinearLearner
from sluice.declaration.monitoring import Monitoring
from sluice.declaration.orchestrators import StepFunctions
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.problems import Binary, Count, Multiclass, Ranking, Regression
from sluice.declaration.runtimes import Auto, Fargate, Lambda, Worker
from sluice.declaration.scoring import Scoring
from sluice.declaration.sources import FifoQueue, StandardQueue, Stream
from sluice.declaration.split import DateSplit, TimeSplit
from sluice.declaration.steps import Conform, Input, Step
from sluice.declaration.training import Training
from sluice.declaration.tuning import Categorical, Continuous, Integer, Tuning
from sluice.declaration.xgboost import XGBoost

__all__ = [
    "Auto",
    "Autoscaling",
    "Binary",
    "Canary",
    "Categorical",
    "Category",
    "CloudEvents",
    "CloudWatchLogs",
    "ConcatenatedJson",
    "Conform",
    "Continuous",
    "Count",
    "Csv",
    "DateSplit",
    "Deployment",
    "Drops",
    "EventBridge",
    "Fargate",
    "FifoQueue",
    "Gate",
    "Gzip",
    "Input",
    "Integer",
    "JsonLines",
    "Lambda",
    "LinearLearner",
    "ManifestFile",
    "Marker",
    "Monitoring",
    "Multiclass",
    "Ndjson",
    "Network",
    "Number",
    "ObjectCount",
    "Parquet",
    "Pipeline",
    "Ranking",
    "Regression",
    "RootMarker",
    "S3Notification",
    "Scoring",
    "Serverless",
    "Sns",
    "SqsExtended",
    "StandardQueue",
    "Step",
    "StepFunctions",
    "Stream",
    "TimeSplit",
    "Training",
    "Tuning",
    "Unchanged",
    "Worker",
    "XGBoost",
]

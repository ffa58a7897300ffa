"""How a model is trained, judged and deployed, as a user declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class XGBoost:
    """SageMaker's built-in XGBoost 3.2. ``hyperparameters`` are the container's, ``num_round`` among them."""

    hyperparameters: Mapping[str, str | int | float]
    name: str = "xgboost"


@dataclass(frozen=True)
class TimeSplit:
    """Shares of the partitions, in time order: the newest are the test set, those before them validation."""

    validation: float = 0.15
    test: float = 0.15


@dataclass(frozen=True)
class Gate:
    """A model goes live only if its ``metric`` on the snapshot's validation rows, by its artefact, is at least this."""

    metric: Literal["auc"]
    at_least: float


@dataclass(frozen=True)
class Training:
    """How a model is made from the rows of one step.

    ``features`` are the columns, in order, that the model sees; ``label`` is the column it learns. Rows without a
    label are left out. ``schedule`` is when Airflow trains. ``max_runtime`` bounds the job and every wait for it.
    """

    rows: str
    label: str
    features: tuple[str, ...]
    candidate: XGBoost
    gate: Gate
    split: TimeSplit = field(default_factory=TimeSplit)
    schedule: str = "@weekly"
    instance_type: str = "ml.m5.large"
    volume_gb: int = 10
    max_runtime: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Deployment:
    """Where the model is served.

    ``endpoint`` is the endpoint's name, in lower case. The workers may change this endpoint and no other.
    """

    endpoint: str
    instance_type: str = "ml.m5.large"
    instances: int = 1

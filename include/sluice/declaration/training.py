"""How a model is trained, judged and deployed, as a user declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Literal

from sluice.declaration.checks import check_count, check_duration, check_share, check_text, check_tuple
from sluice.errors import DeclarationError

# SageMaker API reference, ResourceConfig, StoppingCondition and ProductionVariant.
_LARGEST_VOLUME_GB = 16_384
_LONGEST_JOB = timedelta(days=28)
_MOST_INSTANCES = 1_000


@dataclass(frozen=True)
class Candidate:
    """A built-in algorithm with its hyperparameters, which are those of its container.

    ``algorithm`` is ``"module:Class"`` of what trains and scores it; it is imported only where that is done.
    """

    algorithm: ClassVar[str]

    hyperparameters: Mapping[str, str | int | float]
    name: str


@dataclass(frozen=True)
class XGBoost(Candidate):
    """SageMaker's built-in XGBoost 3.2; ``num_round`` is among the ``hyperparameters``."""

    algorithm: ClassVar[str] = "sluice.training.algorithms.xgboost:XGBoostAlgorithm"

    name: str = "xgboost"


@dataclass(frozen=True)
class TimeSplit:
    """Shares of the partitions, in time order: the newest are the test set, those before them validation."""

    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        for member in ("validation", "test"):
            check_share("split", member, getattr(self, member), below_one=True)
        if self.validation + self.test >= 1:
            raise DeclarationError(
                f"split: validation={self.validation} and test={self.test} leave nothing to train on; write shares "
                f"whose sum is below 1, such as TimeSplit(0.15, 0.15)"
            )


@dataclass(frozen=True)
class Gate:
    """A model is deployed only if its artefact reaches this metric on the snapshot's validation rows."""

    metric: Literal["auc"]
    at_least: float

    def __post_init__(self) -> None:
        if self.metric != "auc":
            raise DeclarationError(
                f"gate: metric={self.metric!r} is not measured; write it as Gate('auc', at_least=0.6)"
            )
        check_share("gate", "at_least", self.at_least)


@dataclass(frozen=True)
class Training:
    """How a model is trained on the rows of one step.

    Args:
        rows: The name of the step.
        label: The column to learn. Rows without a label are left out.
        features: The columns that the model gets, in order.
        candidate: The algorithm and its hyperparameters.
        gate: What the model must reach.
        split: Which partitions are for validation and for the test.
        schedule: When Airflow trains: a preset such as ``@weekly``, or a cron expression.
        instance_type: The SageMaker instance type of the job.
        volume_gb: The size of the job's disk in GB.
        max_runtime: The longest time that the job may run. It bounds every wait for the job as well.

    Raises:
        DeclarationError: a member has a wrong form, or the objective does not give the gate's metric.
    """

    rows: str
    label: str
    features: tuple[str, ...]
    candidate: Candidate
    gate: Gate
    split: TimeSplit = field(default_factory=TimeSplit)
    schedule: str = "@weekly"
    instance_type: str = "ml.m5.large"
    volume_gb: int = 10
    max_runtime: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        check_text("training", "label", self.label, "late")
        check_tuple("training", "features", self.features, str, "'lag_1'")
        check_count("training", "volume_gb", self.volume_gb, 1, _LARGEST_VOLUME_GB)
        check_duration("training", "max_runtime", self.max_runtime, timedelta(seconds=1), _LONGEST_JOB)
        check_instance_type("training", self.instance_type)
        objective = self.candidate.hyperparameters.get("objective", "reg:squarederror")
        if not str(objective).startswith("binary:"):
            raise DeclarationError(
                f"training: the objective {objective!r} gives no {self.gate.metric}, which the gate is on; write it as "
                f"'objective': 'binary:logistic'"
            )


@dataclass(frozen=True)
class Deployment:
    """Where the model is served.

    Args:
        endpoint: The name of the endpoint, in lower case. The workers may change no other endpoint.
        instance_type: The SageMaker instance type of the endpoint.
        instances: How many instances the endpoint has, 1 to 1,000.
    """

    endpoint: str
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def __post_init__(self) -> None:
        check_text("deployment", "endpoint", self.endpoint, "late")
        check_count("deployment", "instances", self.instances, 1, _MOST_INSTANCES)
        check_instance_type("deployment", self.instance_type)


def check_instance_type(where: str, instance_type: object) -> None:
    """Raise DeclarationError if this is no instance type of SageMaker."""
    check_text(where, "instance_type", instance_type, "ml.m5.large")
    if not str(instance_type).startswith("ml."):
        raise DeclarationError(
            f"{where}: instance_type={instance_type!r} is none of SageMaker's; write it as 'ml.m5.large'"
        )

"""How a model is trained, judged and deployed, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from sluice.declaration.candidates import Candidate
from sluice.declaration.checks import (
    check_count,
    check_duration,
    check_number,
    check_share,
    check_text,
    check_tuple,
)
from sluice.declaration.metrics import METRICS
from sluice.errors import DeclarationError

# SageMaker API reference, ResourceConfig, StoppingCondition and ProductionVariant.
_LARGEST_VOLUME_GB = 16_384
_LONGEST_JOB = timedelta(days=28)
_MOST_INSTANCES = 1_000


@dataclass(frozen=True)
class TimeSplit:
    """A split of the partitions in time order: the oldest train, those after them validate, the newest test.

    Of three partitions or more, each part gets at least one, however small its share is.

    Args:
        validation: The share that validates, between 0 and 1.
        test: The share that tests, between 0 and 1.

    Raises:
        DeclarationError: a share is out of its range, or the two leave nothing to train on.
    """

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
    """A model is deployed only if its artefact reaches a metric on the snapshot's validation rows.

    Args:
        metric: The metric: ``auc``, ``average_precision``, ``accuracy``, ``balanced_accuracy``, ``f1`` or ``log_loss``.
        at_least: The lowest value that passes, for a metric of which more is better. An AUC of 0.5 is that of guessing.
        at_most: The highest value that passes, for ``log_loss``.

    Raises:
        DeclarationError: the metric is unknown, or its bound is missing, out of its range or on the wrong side.
    """

    metric: Literal["auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "log_loss"]
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise DeclarationError(
                f"gate: metric={self.metric!r} is not measured; write one of {', '.join(METRICS)}, as in "
                f"Gate('auc', at_least=0.6)"
            )
        metric = METRICS[self.metric]
        bound, other = ("at_least", "at_most") if metric.more_is_better else ("at_most", "at_least")
        if getattr(self, other) is not None:
            better = "more" if metric.more_is_better else "less"
            raise DeclarationError(f"gate: {better} {self.metric} is better; write {bound} instead of {other}")
        check_number("gate", bound, getattr(self, bound), 0, metric.highest)

    @property
    def bound(self) -> float:
        """The value that just passes."""
        return self.at_least if self.at_least is not None else self.at_most  # type: ignore[return-value]


@dataclass(frozen=True)
class Training:
    """How a model is trained on the rows of one step.

    Args:
        rows: The name of the step whose output is learned from.
        label: The column to learn, 0 or 1. Rows without a label are left out.
        features: The columns that the model gets, in order; each a number or a truth value.
        candidate: The algorithm and its hyperparameters.
        gate: What the model must reach before it is deployed.
        split: Which partitions train, validate and test.
        schedule: When Airflow trains (UTC): a preset such as ``@weekly``, or a cron expression.
        instance_type: The SageMaker instance type of the job; it begins with ``ml.``.
        volume_gb: The size of the job's disk in GB, 1 to 16,384.
        max_runtime: The longest time that the job may run, in whole seconds up to 28 days. It bounds every wait for the
            job as well.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range, or the objective does not give the gate's
            metric.
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
        _check_instance_type("training", self.instance_type)
        objective = self.candidate.hyperparameters.get("objective", "reg:squarederror")
        takes = "binary:logistic" if METRICS[self.gate.metric].of_probabilities else "binary:"
        if not str(objective).startswith(takes):
            raise DeclarationError(
                f"training: the objective {objective!r} gives no {self.gate.metric}, which the gate is on; write it as "
                f"'objective': 'binary:logistic'"
            )


@dataclass(frozen=True)
class Deployment:
    """Where the model is served.

    Args:
        endpoint: The name of the endpoint: at most 46 letters in lower case, digits and ``-``. The workers may change
            no other endpoint.
        instance_type: The SageMaker instance type of the endpoint; it begins with ``ml.``.
        instances: How many instances the endpoint has, 1 to 1,000.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    endpoint: str
    instance_type: str = "ml.m5.large"
    instances: int = 1

    def __post_init__(self) -> None:
        check_text("deployment", "endpoint", self.endpoint, "late")
        check_count("deployment", "instances", self.instances, 1, _MOST_INSTANCES)
        _check_instance_type("deployment", self.instance_type)


def _check_instance_type(where: str, instance_type: object) -> None:
    check_text(where, "instance_type", instance_type, "ml.m5.large")
    if not str(instance_type).startswith("ml."):
        raise DeclarationError(
            f"{where}: instance_type={instance_type!r} is none of SageMaker's; write it as 'ml.m5.large'"
        )

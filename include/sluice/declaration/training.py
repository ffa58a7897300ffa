"""How models are trained, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sluice.declaration.candidates import Candidate
from sluice.declaration.checks import (
    LONGEST_JOB,
    check_duration,
    check_text,
    check_tuple,
)
from sluice.declaration.features import Feature, Number
from sluice.declaration.gate import Gate
from sluice.declaration.orchestrators import StepFunctions
from sluice.declaration.problems import Binary, Problem
from sluice.declaration.split import Split, TimeSplit
from sluice.errors import DeclarationError

# The limit of a job does not include the start of its instance and the upload of its result.
AROUND_A_JOB = timedelta(minutes=30)
_LONGEST_TUNING = timedelta(days=30)  # developer guide, "Resource limits for automatic model tuning"


@dataclass(frozen=True)
class Training:
    """How a model is trained on the rows of one step.

    Args:
        rows: The name of the step whose output is learned from.
        label: The column to learn. Rows without a label are left out.
        features: What the model gets of a row, in order: a :class:`Number`, a :class:`Category`, or the name of a
            column of numbers or truth values.
        candidates: The algorithms with their hyperparameters. They are trained side by side, and the best one goes on.
        gate: What a model must reach before it is deployed.
        problem: What the label means: :class:`Binary`, :class:`Multiclass`, :class:`Regression`, :class:`Count` or
            :class:`Ranking`.
        split: Which partitions train, validate and test: a :class:`TimeSplit` or a :class:`DateSplit`.
        schedule: When Airflow trains (UTC): a preset such as ``@weekly``, or a cron expression.
        max_runtime: The longest time that a training job may run, in whole seconds up to 28 days. It bounds every wait
            for a job as well.
        orchestrator: :class:`StepFunctions`: a state machine runs the training; None: Airflow's own tasks do.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range, two candidates have one name, or a feature,
            a candidate or the gate does not fit the problem.
    """

    rows: str
    label: str
    features: tuple[str | Feature, ...]
    candidates: tuple[Candidate, ...]
    gate: Gate
    problem: Problem = field(default_factory=Binary)
    split: Split = field(default_factory=TimeSplit)
    schedule: str = "@weekly"
    max_runtime: timedelta = timedelta(hours=1)
    orchestrator: StepFunctions | None = None

    def __post_init__(self) -> None:
        check_text("training", "label", self.label, "late")
        check_tuple("training", "features", self.features, str | Feature, "'lag_1'")
        check_tuple("training", "candidates", self.candidates, Candidate, "XGBoost({'num_round': 100, …})")
        check_duration("training", "max_runtime", self.max_runtime, timedelta(seconds=1), LONGEST_JOB)
        if len({candidate.name for candidate in self.candidates}) < len(self.candidates):
            raise DeclarationError("training: two candidates have one name; give each its own, as in name='deep'")
        if not isinstance(self.split, Split):
            raise DeclarationError(f"training: split={self.split!r} must be a split; write it as TimeSplit(0.15, 0.15)")
        for candidate in self.candidates:
            candidate.check_problem(self.problem)
            if candidate.spot is not None and candidate.spot < self.max_runtime:
                raise DeclarationError(
                    f"candidate {candidate.name}: spot={candidate.spot!r} is shorter than the training's max_runtime; "
                    f"a job waits and runs within it, so make it longer"
                )
            if candidate.tuning is not None and candidate.tuning.longest(self.max_runtime) > _LONGEST_TUNING:
                raise DeclarationError(
                    f"candidate {candidate.name}: {candidate.tuning.jobs} jobs of max_runtime={self.max_runtime!r} may "
                    f"take longer than the 30 days of a tuning job; increase parallel, or decrease one of the two"
                )
        for feature in self.inputs:
            feature.check_problem(self.problem)
        if self.gate.metric not in self.problem.metrics:
            raise DeclarationError(
                f"training: {self.problem} has no {self.gate.metric}, which the gate is on; write one of "
                f"{', '.join(self.problem.metrics)}"
            )

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The features, in order. A plain name is a :class:`Number`."""
        return tuple(Number(each) if isinstance(each, str) else each for each in self.features)

    @property
    def longest_job(self) -> timedelta:
        """How long a job may take from its start to its end, if it is a tuning job with all its training jobs."""
        spots = (each.spot for each in self.candidates if each.spot is not None)
        tunings = (each.tuning.longest(self.max_runtime) for each in self.candidates if each.tuning is not None)
        return max([self.max_runtime, *spots, *tunings])

    def require_orchestrator(self) -> StepFunctions:
        """Return the orchestrator.

        Raises:
            DeclarationError: Airflow's own tasks train.
        """
        if self.orchestrator is None:
            raise DeclarationError("training has no orchestrator; declare orchestrator=StepFunctions() for one")
        return self.orchestrator

    def candidate(self, name: str) -> Candidate:
        """Return the candidate of that name.

        Args:
            name: The name, as declared.

        Raises:
            DeclarationError: there is none.
        """
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        raise DeclarationError(
            f"training has no candidate {name!r}; it has {', '.join(each.name for each in self.candidates)}"
        )

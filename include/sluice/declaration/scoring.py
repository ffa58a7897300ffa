"""How partitions of the lake are scored in batch, as a user declares it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sluice.declaration.checks import (
    LONGEST_APPROVAL,
    LONGEST_JOB,
    check_duration,
    check_instance_type,
    check_text,
    check_tuple,
)
from sluice.declaration.problems import Problem
from sluice.errors import DeclarationError


@dataclass(frozen=True)
class Scoring:
    """How the live model scores partitions of a step in batch. The scores are a dataset, as a step's output is.

    It has the columns of ``keep``, and those in which the model answers: ``score``; or, for a problem of several
    classes, ``class`` (the most probable one) and a probability for each, ``score_0`` and so on.

    Args:
        name: The name of the dataset: at most 24 of a-z, 0-9 and ``_``, starting with a letter.
        keep: The columns of the rows that stand beside their scores; at least one.
        rows: The step whose rows are scored; it has the features of the training. None: the step of the training.
        instance_type: The SageMaker instance type of the jobs; it begins with ``ml.``.
        max_runtime: The longest wait for a job, in whole seconds up to 28 days.
        approval: How long a person may take to approve a new model in Airflow's web UI; None: nobody is asked. Where
            there is an endpoint, its deployment declares this.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    name: str = "scores"
    keep: tuple[str, ...] = ()
    rows: str | None = None
    instance_type: str = "ml.m5.large"
    max_runtime: timedelta = timedelta(hours=1)
    approval: timedelta | None = None

    def __post_init__(self) -> None:
        check_tuple("scoring", "keep", self.keep, str, "'event_id'")
        if len(set(self.keep)) < len(self.keep):
            raise DeclarationError(f"scoring: keep={self.keep!r} names a column twice; name each one once")
        if self.rows is not None:
            check_text("scoring", "rows", self.rows, "features")
        check_instance_type("scoring", self.instance_type)
        check_duration("scoring", "max_runtime", self.max_runtime, timedelta(seconds=1), LONGEST_JOB)
        if self.approval is not None:
            check_duration("scoring", "approval", self.approval, timedelta(seconds=1), LONGEST_APPROVAL)

    def check_problem(self, problem: Problem) -> None:
        """Require that no kept column has the name of one in which the model answers.

        Args:
            problem: What the training declares.

        Raises:
            DeclarationError: one has.
        """
        taken = [column for column in self.keep if column in problem.columns]
        if taken:
            raise DeclarationError(
                f"scoring: keep has {', '.join(map(repr, taken))}, which is the name of a column of scores; rename it "
                f"in the step"
            )

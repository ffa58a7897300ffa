"""Candidates: what may be trained. Each built-in algorithm is a class of its own, in a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Literal, NamedTuple

from sluice.declaration.checks import LONGEST_JOB, check_count, check_duration, check_instance_type
from sluice.declaration.hyperparameters import check_hyperparameters
from sluice.declaration.names import check_name
from sluice.declaration.problems import Problem
from sluice.declaration.tuning import Search, Tuning
from sluice.errors import DeclarationError

ChannelFormat = Literal["csv", "libsvm", "parquet", "recordio"]
_GROUPED: ChannelFormat = "libsvm"  # the only one that has a place for the group of a row
_LONGEST_NAME = 19
_LARGEST_VOLUME_GB = 16_384  # SageMaker API reference, ResourceConfig


class Objection(NamedTuple):
    """A hyperparameter that the algorithm refuses, or ignores, and the reason with the next action."""

    hyperparameter: str
    reason: str


class Objective(NamedTuple):
    """What a tuning searches for: a metric by SageMaker's name, and whether it is maximized or minimized."""

    metric: str
    direction: Literal["Maximize", "Minimize"]


@dataclass(frozen=True)
class Candidate:
    """The base of built-in algorithms with their hyperparameters.

    Args:
        hyperparameters: Values by the names that the algorithm's container gives them.
        name: A part of the names of training jobs: at most 19 of a-z, 0-9 and ``_``, starting with a letter.
        version: The version of the algorithm's image.
        instance_type: The SageMaker instance type of its jobs; it begins with ``ml.``.
        volume_gb: The size of a job's disk in GB, 1 to 16,384.
        spot: Train on spare capacity, which is cheaper and may be taken away: the longest time of a job from its start
            to its end, waits included, up to 28 days. None: on demand.
        channel_format: The format of the files that it trains on: one of :attr:`formats`.
        tuning: Search for some of the hyperparameters. None: train once, with those that are given.

    Attributes:
        algorithm: ``"module:Class"`` of the code that trains and scores. It is imported only when that is done, because
            a declaration must be cheap to parse.
        takes_missing: Whether rows may have missing values. If not, they are filled before the training.
        resumes: Whether an interrupted job goes on from a checkpoint. If not, it can't use spare capacity.
        kind: The TypedDict of the hyperparameters.
        required: The hyperparameters that must be given, or searched.
        versions: The versions that may be declared.
        formats: The formats that the algorithm trains on.
        tunable: The hyperparameters that a tuning may search, with the range that SageMaker documents for each.
        objectives: By problem, what a tuning may search for; the first is the default.
    """

    algorithm: ClassVar[str]
    takes_missing: ClassVar[bool]
    resumes: ClassVar[bool]
    kind: ClassVar[Any]
    required: ClassVar[tuple[str, ...]]
    versions: ClassVar[tuple[str, ...]]
    formats: ClassVar[tuple[ChannelFormat, ...]]
    tunable: ClassVar[Mapping[str, type[Search]]]
    objectives: ClassVar[Mapping[type[Problem], tuple[Objective, ...]]]

    hyperparameters: Mapping[str, object]
    name: str
    version: str
    instance_type: str = "ml.m5.large"
    volume_gb: int = 10
    spot: timedelta | None = None
    channel_format: ChannelFormat = "csv"
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        check_name("candidate", self.name, _LONGEST_NAME)
        if self.version not in self.versions:
            raise DeclarationError(
                f"{self._where}: version={self.version!r} is not known; write one of {', '.join(self.versions)}"
            )
        if self.channel_format not in self.formats:
            raise DeclarationError(
                f"{self._where}: the algorithm does not train on channel_format={self.channel_format!r}; write one of "
                f"{', '.join(map(repr, self.formats))}"
            )
        check_instance_type(self._where, self.instance_type)
        check_count(self._where, "volume_gb", self.volume_gb, 1, _LARGEST_VOLUME_GB)
        if self.spot is not None:
            check_duration(self._where, "spot", self.spot, timedelta(seconds=1), LONGEST_JOB)
            if not self.resumes:
                raise DeclarationError(
                    f"{self._where}: spot needs an algorithm that goes on from a checkpoint, and this one begins anew "
                    f"after each interruption; leave spot out"
                )
        required = () if self.tuning else self.required
        check_hyperparameters(self._where, self.kind, required, self.hyperparameters)
        if self.tuning is None:
            self._refuse(self.objections())
        else:
            self._check_tuning(self.tuning)

    def _check_tuning(self, tuning: Tuning) -> None:
        """Require that the algorithm takes every value that may be tried, and that SageMaker searches for it."""
        if self.spot is not None:
            raise DeclarationError(
                f"{self._where}: the training jobs of a tuning have one folder of checkpoints, so that one would go on "
                f"from another's; leave out spot or tuning"
            )
        for name in tuning.ranges:
            if name in self.hyperparameters:
                raise DeclarationError(f"{self._where}: {name} is given and searched; leave it out of one of the two")
        first = {name: searched.ends[0] for name, searched in tuning.ranges.items()}
        for name, searched in tuning.ranges.items():
            for value in searched.ends:
                tried: Any = {**self.hyperparameters, **first, name: value}
                replace(self, hyperparameters=tried, tuning=None)
            documented = self.tunable.get(name)
            if documented is None:
                raise DeclarationError(
                    f"{self._where}: SageMaker does not tune {name}; it tunes {', '.join(sorted(self.tunable))}"
                )
            if documented.whole and searched.whole is False:
                raise DeclarationError(f"{self._where}: SageMaker tunes {name} by whole numbers; use Integer(…)")

    def check_problem(self, problem: Problem) -> None:
        """Require that the algorithm, with these hyperparameters and this format, solves a problem.

        Args:
            problem: What the training declares.

        Raises:
            DeclarationError: it does not.
        """
        self._refuse(self.problem_objections(problem))
        if problem.group_column is not None and self.channel_format != _GROUPED:
            raise DeclarationError(
                f"{self._where}: channel_format={self.channel_format!r} has no place for the groups of {problem}; "
                f"write it as channel_format={_GROUPED!r}"
            )
        if self.tuning is not None:
            self.objective(problem)

    def objective(self, problem: Problem) -> Objective:
        """Return what a tuning searches for: as declared, else the algorithm's default for a problem.

        Args:
            problem: What the training declares.

        Raises:
            DeclarationError: the algorithm does not measure what is declared.
        """
        known, wanted = self.objectives[type(problem)], self.tuning.objective if self.tuning else None
        for each in known:
            if wanted in (None, each.metric):
                return each
        raise DeclarationError(
            f"{self._where}: a tuning for {problem} has no objective {wanted!r}; write one of "
            f"{', '.join(each.metric for each in known)}"
        )

    @property
    def fewest_rows(self) -> int:
        """The fewest rows that the algorithm trains on. A subclass may override it."""
        return 1

    def objections(self) -> Iterator[Objection]:
        """Yield the hyperparameters that the algorithm refuses because of another one. A subclass overrides it."""
        yield from ()

    def problem_objections(self, problem: Problem) -> Iterator[Objection]:
        """Yield the hyperparameters that do not fit a problem. A subclass overrides it.

        Args:
            problem: What the training declares.
        """
        yield from ()

    @property
    def _where(self) -> str:
        return f"candidate {self.name}"

    def _refuse(self, objections: Iterator[Objection]) -> None:
        for name, reason in objections:
            value = self.hyperparameters.get(name)
            raise DeclarationError(f"{self._where}: {name}={value!r} {reason}")

"""The contract of all runtimes. To add one, write a declared class and an implementation like these.

The DAGs and the command line run steps through :class:`Runtime` only. :func:`runtime_of` makes the runtime of a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sluice.aws.template import Fragment
from sluice.compute.artefacts import Artefacts
from sluice.declaration import runtimes as declared
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.references import imported
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError, StepOutgrown
from sluice.workspace import Workspace

Declared = TypeVar("Declared", bound=declared.Runtime, covariant=True)

# The summary of a step, as sluice.steps.runner.summary returns it: small enough for XCom.
StepResult = Mapping[str, Any]


@dataclass(frozen=True)
class Started:
    """A run that was started.

    Args:
        what: The run in words, to complete "waiting for …": the step, the partitions, the runtime and why it is there.
        reference: The data with which the runtime finds the run again, as JSON; small enough for XCom.
        result: The result, if it is there already.
        patience: How long the result may take otherwise.
    """

    what: str
    reference: Mapping[str, Any]
    result: StepResult | None = None
    patience: timedelta = timedelta(0)


@dataclass(frozen=True)
class Limits:
    """The limits of one run.

    Attributes:
        memory_mb: The most memory, in MiB; None if the runtime has no limit of its own.
        longest: The longest time; None if the runtime has no limit of its own.
    """

    memory_mb: int | None = None
    longest: timedelta | None = None


class Runtime(ABC, Generic[Declared]):
    """Where one step of one pipeline runs. The result does not depend on it: same inputs, same bytes (P16).

    Attributes:
        workspace: The pipeline.
        step: The step.
        declared: The runtime as the step declares it.
    """

    def __init__(self, workspace: Workspace, step: Conform | Step, declared: Declared) -> None:
        self.workspace, self.step, self.declared = workspace, step, declared

    @classmethod
    def template(
        cls, pipeline: Pipeline, step: Conform | Step, declared: Any, artefacts: Artefacts
    ) -> tuple[Fragment, ...]:
        """Return what a step on this runtime adds to its pipeline's template; by default nothing.

        Args:
            pipeline: The pipeline that declares the step.
            step: The step.
            declared: The runtime as declared.
            artefacts: What the step is made of, where AWS finds it.

        Raises:
            DeclarationError: what it needs is not known.
        """
        return ()

    @property
    def limits(self) -> Limits:
        """The limits of one run."""
        return Limits()

    @property
    def dollars_per_second(self) -> float:
        """The list price of a second, in US dollars; 0 if it costs nothing beside what runs anyway."""
        return 0.0

    @abstractmethod
    def start(self, ranges: str) -> Started:
        """Start the step, adopt a run of the same work, or reuse its result. It is safe to repeat.

        Args:
            ranges: The partitions, as :func:`sluice.lake.partitions.parse_ranges` reads them.

        Raises:
            MissingResource: an input is not complete, or the runtime is not provisioned.
            SluiceError: the work can't run there.
        """

    def start_larger(self, ranges: str, reference: Mapping[str, Any], error: StepOutgrown) -> Started:
        """Start the step again after it has needed more memory or time, if there is a larger runtime to go to.

        Args:
            ranges: The partitions.
            reference: That of :class:`Started`.
            error: What :meth:`look` has raised.

        Raises:
            StepOutgrown: there is none.
        """
        raise error

    @abstractmethod
    def look(self, reference: Mapping[str, Any]) -> StepResult | None:
        """Return the result of a run that was started; None while it runs. It costs one cheap call.

        Args:
            reference: That of :class:`Started`.

        Raises:
            StepOutgrown: it needed more memory or time than the runtime has.
            SluiceError: what the step raised, or the run ended without a result.
        """

    def cancel(self, reference: Mapping[str, Any]) -> None:
        """Stop a run that was started, as far as the runtime can. It is safe to repeat.

        Args:
            reference: That of :class:`Started`.
        """


def runtime_of(workspace: Workspace, step: Conform | Step) -> Runtime[declared.Runtime]:
    """Return the runtime of a step.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        step: The step.

    Raises:
        DeclarationError: the declared runtime names no implementation.
    """
    return implementation_of(step.runtime)(workspace, step, step.runtime)


def implementation_of(runtime: declared.Runtime) -> type[Runtime[declared.Runtime]]:
    """Import the implementation of a declared runtime.

    Args:
        runtime: The declared runtime.

    Raises:
        DeclarationError: it names no class of runtimes.
    """
    found = imported(runtime.implementation, f"runtime {type(runtime).__name__}")
    if not (isinstance(found, type) and issubclass(found, Runtime)):
        raise DeclarationError(f"{runtime.implementation} is no runtime; derive it from {Runtime.__module__}.Runtime")
    return found

"""The ordered steps of a pipeline, as a user declares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeGuard

from sluice.declaration.checks import check_count, check_duration, check_share, check_text, check_tuple
from sluice.declaration.runtimes import Runtime, Worker
from sluice.errors import DeclarationError

STATE = "state"  # the keyword argument in which a step's function gets its state
_LONGEST_LOOK = 1_000  # partitions, back or ahead
_SHORTEST_FRESHNESS, _LONGEST_FRESHNESS = timedelta(minutes=1), timedelta(days=365)
_SHORTEST_WITHIN, _LONGEST_WITHIN = timedelta(minutes=1), timedelta(days=366)


@dataclass(frozen=True)
class Input:
    """One input of a step: a source or an earlier step.

    Args:
        dataset: The name of the source or step.
        look_back: Of how many earlier partitions the step also gets the rows, 0 to 1,000, as ``<dataset>_before``. The
            step waits for those of drops, from the pipeline's start or the first event on. Other partitions that were
            never written have no rows.
        look_ahead: Of how many later partitions the step also gets the rows, 0 to 1,000, as ``<dataset>_after``. A
            partition of the step is made once all of them are complete. Those after the pipeline's end, and those for
            which nothing will ever come, have no rows and are not waited for.

    Raises:
        DeclarationError: ``look_back`` or ``look_ahead`` is out of its range.
    """

    dataset: str
    look_back: int = 0
    look_ahead: int = 0

    def __post_init__(self) -> None:
        for name, count in (("look_back", self.look_back), ("look_ahead", self.look_ahead)):
            check_count(f"input {self.dataset}", name, count, 0, _LONGEST_LOOK)

    def __repr__(self) -> str:
        # The fingerprint of a step's code covers it. Without a look-ahead it is what it was before there were any.
        ahead = f", look_ahead={self.look_ahead!r}" if self.look_ahead else ""
        return f"Input(dataset={self.dataset!r}, look_back={self.look_back!r}{ahead})"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the keyword arguments in which a step's function gets this input."""
        before = (name_before(self.dataset),) if self.look_back else ()
        after = (name_after(self.dataset),) if self.look_ahead else ()
        return (self.dataset, *before, *after)


def name_before(dataset: str) -> str:
    """Return the name of the keyword argument in which a step gets the rows of earlier partitions of a dataset."""
    return f"{dataset}_before"


def name_after(dataset: str) -> str:
    """Return the name of the keyword argument in which a step gets the rows of later partitions of a dataset."""
    return f"{dataset}_after"


@dataclass(frozen=True)
class Conform:
    """The first step of a queue or stream: one row per event id, in group order, each checked against ``contract``.

    Its output has the columns ``event_id``, ``group``, ``sequence_number``, ``event_time`` and ``sent_at``, and then
    those of the contract. An event that does not fit the contract is quarantined verbatim, with a reason.

    Args:
        name: The name of the step and of its dataset: at most 24 of a-z, 0-9 and ``_``, starting with a letter.
        source: The name of the queue or stream.
        contract: ``"module:name"`` of a pydantic model of the JSON body; the module is beside ``pipeline.py``.
        once_within: How far apart the event times of two events of one id may be, so that one of them counts, in whole
            seconds from one minute to 366 days. A partition is compared with all that may have such events. None: an
            id counts once in each partition.
        runtime: Where the step runs.
        fresh_within: As in :class:`Step`.

    Raises:
        DeclarationError: ``runtime`` is no runtime, or ``once_within`` or ``fresh_within`` is out of its range.
    """

    name: str
    source: str
    contract: str
    once_within: timedelta | None = timedelta(days=7)
    runtime: Runtime = field(default=Worker(), repr=False)  # as in Step
    fresh_within: timedelta | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_runtime(self.name, self.runtime)
        _check_fresh_within(self.name, self.fresh_within)
        if self.once_within is not None:
            check_duration(f"step {self.name}", "once_within", self.once_within, _SHORTEST_WITHIN, _LONGEST_WITHIN)

    @property
    def reads(self) -> tuple[Input, ...]:
        """The one input: the source, of the partition alone."""
        return (Input(self.source),)

    @property
    def references(self) -> tuple[str, ...]:
        """What the step names in the pipeline's modules, the code that runs first."""
        return (self.contract,)


@dataclass(frozen=True)
class Step:
    """One ordered transform. Its output is a dataset of its own, partition by partition.

    Args:
        name: The name of the step and of its dataset: at most 24 of a-z, 0-9 and ``_``, starting with a letter.
        run: ``"module:name"`` of a function of pandas DataFrames; the module is beside ``pipeline.py``. The function
            gets one keyword argument for each input, named for the dataset, with the rows of this partition; an input
            with a look-back adds ``<dataset>_before``, one with a look-ahead ``<dataset>_after``. It returns the rows
            of this partition.
        reads: The inputs; at least one, and each dataset once.
        output: ``"module:name"`` of a pandera schema of the rows that the function returns; the module is beside
            ``pipeline.py``. Rows that break it are quarantined, each with a reason. None: any rows are right.
        most_rejected: The share of the rows that may break ``output``, 0 to 1. Above it the step fails, and the
            partition stays as it was.
        split_by: A column of times with a zone, by which the rows are split into partitions. It says that the function
            may get several neighbours at once, as if they were one long partition, and returns the same rows then: a
            range runs much faster. None: each partition has a call of its own.
        state_by: A column that says to which group a row of the step's state belongs. The function then gets one more
            argument, ``state``: at most one row for each group, as the partition before has left it, and at first
            none, without columns. It returns the rows and the state after this partition, ``(rows, state)``. A group
            without a row in it is forgotten. Partitions are made one after the other. None: the step has no state.
        packages: Installed packages whose versions decide what the function returns, such as ``("scikit-learn",)``:
            the step runs again when one of them changes.
        runtime: Where the step runs.
        fresh_within: How long after its end a partition may take until the step has made it, and how long late data may
            take until the step has read it, in whole seconds from one minute to 365 days. With a look-ahead it counts
            from the end of the last partition that the step reads. What takes longer is announced on the completion
            topic. None: this is not watched.

    Raises:
        DeclarationError: ``reads`` is not a tuple of inputs, or ``packages`` none of names, ``most_rejected`` is no
            share, ``split_by`` or ``state_by`` is no text, both are given, an input has the name of the state,
            ``runtime`` is no runtime, or ``fresh_within`` is out of its range.
    """

    name: str
    run: str
    reads: tuple[Input, ...]
    output: str | None = None
    most_rejected: float = 0.01
    # The fingerprint of a step's code covers its repr. These give the same bytes, so nothing runs again.
    split_by: str | None = field(default=None, repr=False)
    state_by: str | None = field(default=None, repr=False)  # it is in the fingerprint if it is given
    packages: tuple[str, ...] = field(default=(), repr=False)  # their versions are in the fingerprint
    runtime: Runtime = field(default=Worker(), repr=False)
    fresh_within: timedelta | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_runtime(self.name, self.runtime)
        _check_fresh_within(self.name, self.fresh_within)
        check_tuple(f"step {self.name}", "reads", self.reads, Input, "Input('conform')")
        check_share(f"step {self.name}", "most_rejected", self.most_rejected)
        if self.split_by is not None:
            check_text(f"step {self.name}", "split_by", self.split_by, "event_time")
        if self.state_by is not None:
            check_text(f"step {self.name}", "state_by", self.state_by, "tail_number")
            self._check_state()
        if self.packages:
            check_tuple(f"step {self.name}", "packages", self.packages, str, "'scikit-learn'")

    def _check_state(self) -> None:
        if self.split_by is not None:
            raise DeclarationError(
                f"step {self.name}: split_by={self.split_by!r} makes several partitions in one call, but state_by="
                f"{self.state_by!r} makes one after the other; leave out one of the two"
            )
        if STATE in (read.dataset for read in self.reads):
            raise DeclarationError(
                f"step {self.name}: with state_by its function gets the state as {STATE!r}, but an input is called "
                f"{STATE!r} as well; rename that dataset"
            )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the keyword arguments that the step's function gets."""
        of_inputs = tuple(name for read in self.reads for name in read.arguments)
        return of_inputs if self.state_by is None else (*of_inputs, STATE)

    @property
    def references(self) -> tuple[str, ...]:
        """What the step names in the pipeline's modules, the code that runs first."""
        return (self.run,) if self.output is None else (self.run, self.output)


def has_state(step: Conform | Step) -> TypeGuard[Step]:
    """Return whether a step carries a state from partition to partition."""
    return isinstance(step, Step) and step.state_by is not None


def _check_runtime(step: str, runtime: object) -> None:
    if not isinstance(runtime, Runtime):
        raise DeclarationError(f"step {step}: runtime={runtime!r} is no runtime; write it as runtime=Lambda()")


def _check_fresh_within(step: str, fresh_within: object) -> None:
    if fresh_within is not None:
        check_duration(f"step {step}", "fresh_within", fresh_within, _SHORTEST_FRESHNESS, _LONGEST_FRESHNESS)

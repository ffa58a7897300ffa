"""The ordered steps of a pipeline, as a user declares them."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.declaration.checks import check_count, check_tuple

_LONGEST_LOOK_BACK = 1_000  # partitions


@dataclass(frozen=True)
class Input:
    """One input of a step: a source or an earlier step.

    ``look_back`` is the number of earlier partitions whose rows the step also receives, as
    ``<dataset>_before``. A partition that was never written counts as no rows.
    """

    dataset: str
    look_back: int = 0

    def __post_init__(self) -> None:
        check_count(f"input {self.dataset}", "look_back", self.look_back, 0, _LONGEST_LOOK_BACK)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names under which a step's function gets this input."""
        return (self.dataset, name_before(self.dataset)) if self.look_back else (self.dataset,)


def name_before(dataset: str) -> str:
    """The name under which a step gets the rows of the partitions that it looks back on."""
    return f"{dataset}_before"


@dataclass(frozen=True)
class Conform:
    """The first step of a queue or stream: one row per event id, in group order, each checked against ``contract``.

    ``contract`` names a pydantic model of the JSON body. Its output has the envelope columns ``event_id``,
    ``group``, ``sequence_number``, ``event_time``, ``sent_at`` and then the members of the model. What does not
    fit is quarantined verbatim with a reason.
    """

    name: str
    source: str
    contract: str

    @property
    def reads(self) -> tuple[Input, ...]:
        return (Input(self.source),)


@dataclass(frozen=True)
class Step:
    """One ordered transform; its output is a dataset of its own, partition by partition.

    ``run`` names a function of pandas DataFrames. It gets one keyword argument per input, named for the dataset,
    with this partition's rows; an input with a look-back adds ``<dataset>_before``. It returns this partition's
    rows and knows nothing of S3, SQS or Airflow.
    """

    name: str
    run: str
    reads: tuple[Input, ...]

    def __post_init__(self) -> None:
        check_tuple(f"step {self.name}", "reads", self.reads, Input, "Input('conform')")

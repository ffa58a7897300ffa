"""A verdict: what each model reached on the frozen test rows, which one should be live, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.declaration.gate import Gate
from sluice.errors import MissingResource, TrainingFailed
from sluice.evaluation.diagnosis import Diagnosis
from sluice.lake.journal import append, entry, entry_key, newest_first
from sluice.lake.store import Lake
from sluice.training.models import Model

Rule = float | tuple[str, ...] | None


class Figure(BaseModel):
    """The value of a metric, and the ends of its 95 % interval. None: the rows could not be judged by it."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float | None = None
    high: float | None = None


class Slice(BaseModel):
    """The gate's metric on the rows of one value of a column."""

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    rows: int
    reached: float | None


class Judgement(BaseModel):
    """What one model reached.

    ``scores`` is the folder of its answers, ``rows`` the number of test rows. ``metrics`` are those of the test rows,
    ``validation`` is the gate's metric on the validation rows. ``gain`` is by how much it is better than the champion
    at the gate's metric; None without a champion. ``diagnosis`` is how its answers differ from the labels. ``drift`` is
    how far the test rows have drifted from the rows that it was trained on, by feature, as
    :func:`sluice.dataset.profile.drift` defines it. ``objections`` are the rules that it breaks. ``lost`` is why it
    does not replace the champion; None if it may.
    """

    model_config = ConfigDict(frozen=True)

    model: Model
    scores: str
    rows: int
    metrics: Mapping[str, Figure]
    validation: float | None
    slices: tuple[Slice, ...] = ()
    gain: Figure | None = None
    diagnosis: Annotated[Diagnosis, Field(discriminator="kind")] | None = None
    drift: Mapping[str, float] = {}
    objections: tuple[str, ...] = ()
    lost: str | None = None

    @property
    def passes(self) -> bool:
        """Whether the model may go live."""
        return not self.objections and self.lost is None


class Verdict(BaseModel):
    """The verdict of one training.

    ``snapshot`` has the rows that all models were judged on. ``metric`` is the gate's, ``rules`` are its other members.
    ``challengers`` are the jobs of the models that were trained now, ``champion`` is that of the model that was live;
    None if there was none. ``winner`` is the job of the model that should be live; None if no model may be. ``reasons``
    say why, one sentence each.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    snapshot: str
    metric: str
    rules: Mapping[str, Rule]
    challengers: tuple[str, ...]
    champion: str | None
    judgements: tuple[Judgement, ...]
    winner: str | None
    reasons: tuple[str, ...]

    def by_rules_of(self, gate: Gate) -> bool:
        """Return whether the verdict was made by the rules of a gate."""
        return (self.metric, self.rules) == (gate.metric, rules_of(gate))

    def describe(self, number: int) -> str:
        """Return in one line which model should be live, and why.

        Args:
            number: The number of the verdict.
        """
        return f"verdict {number}: {'no model may be live; ' if self.winner is None else ''}{'; '.join(self.reasons)}"

    def judgement(self, job: str) -> Judgement:
        """Return what the model of a job reached.

        Raises:
            MissingResource: the verdict is not about it.
        """
        for judgement in self.judgements:
            if judgement.model.job == job:
                return judgement
        raise MissingResource(f"the verdict on snapshot {self.snapshot} is not about {job}; judge it again")


def shown(value: float, *, signed: bool = False) -> str:
    """Return the value of a metric for a sentence, whatever its unit is.

    Args:
        value: The value.
        signed: Whether a value above 0 has a sign.
    """
    form = ".4g" if 0 < abs(value) < 1e-3 or abs(value) >= 1e6 else ".4f"
    return f"{value:{'+' if signed else ''}{form}}"


def rules_of(gate: Gate) -> Mapping[str, Rule]:
    """Return the members of a gate without its metric."""
    return {name: value for name, value in asdict(gate).items() if name != "metric"}


def require_winner(verdict: Verdict) -> Judgement:
    """Return what the winner reached.

    Args:
        verdict: The verdict.

    Raises:
        TrainingFailed: no model may go live; the message has the reasons.
    """
    if verdict.winner is None:
        raise TrainingFailed(
            f"no model passes the gate, so nothing is deployed: {'; '.join(verdict.reasons)}; look at the data, or "
            f"change the gate in the declaration"
        )
    return verdict.judgement(verdict.winner)


def record_verdict(lake: Lake, verdict: Verdict) -> int:
    """Append a verdict to those of the pipeline. If it equals the newest one, nothing is written.

    Args:
        lake: The pipeline's lake.
        verdict: The verdict.

    Returns:
        The number of the verdict, from 1.

    Raises:
        ConflictingWrite: other runs keep writing verdicts.
    """
    return append(lake, lake.layout.verdicts(), verdict)


def read_verdict(lake: Lake, number: int) -> Verdict:
    """Return a verdict by its number, from 1.

    Args:
        lake: The pipeline's lake.
        number: The number.

    Raises:
        MissingResource: there is none.
    """
    try:
        found = entry(lake, lake.layout.verdicts(), number, Verdict)
    except MissingResource:
        found = None
    if found is None:
        raise MissingResource(f"{lake.uri(lake.layout.verdicts())} has no verdict {number}; run {lake.pipeline}_train")
    return found


def verdict_key(lake: Lake, number: int) -> str:
    """Return the key of a verdict.

    Args:
        lake: The pipeline's lake.
        number: The number of the verdict.
    """
    return entry_key(lake.layout.verdicts(), number)


def newest_number(lake: Lake) -> int | None:
    """Return the number of the newest verdict of the pipeline; None if there is none."""
    return next((number for number, _ in newest_first(lake, lake.layout.verdicts(), Verdict)), None)

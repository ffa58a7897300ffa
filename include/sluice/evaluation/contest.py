"""What a report shows of a verdict: the models, each with its name, its colour and its answers for the test rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle

import numpy as np
import pandas as pd

from sluice.dataset.snapshot import Snapshot, read_snapshot, snapshot_rows
from sluice.declaration.metrics import METRICS
from sluice.evaluation.answers import read_scores
from sluice.evaluation.importance import MOST_ROWS, Importance, importance, sampled
from sluice.evaluation.metrics import Groups, Numbers
from sluice.evaluation.rows import group_numbers
from sluice.evaluation.verdict import Judgement, Verdict
from sluice.lake.store import Lake
from sluice.training.models import Model
from sluice.workspace import Workspace

_CHAMPION = "#4d4d4d"
# Six that also a colour-blind reader tells apart: Okabe and Ito, "Color Universal Design", 2008.
_CHALLENGERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True)
class Contestant:
    """A model that was judged.

    Attributes:
        name: The name of its candidate, and whether it is the champion.
        colour: In all pictures.
        line: The style of its lines: the champion's are dashed, so that two curves in one place are both seen.
        judgement: What it reached.
        answers: For the test rows, of shape ``(rows,)`` or ``(rows, classes)``.
        importance: Which features its answers follow; None if they are the same for all rows.
    """

    name: str
    colour: str
    line: str
    judgement: Judgement
    answers: Numbers
    importance: Importance | None


@dataclass(frozen=True)
class SlicedRows:
    """The test rows that have one value in a column.

    Attributes:
        value: The value.
        rows: How many they are.
        reached: The gate's metric on them, by the name of the contestant; None where they can't be judged.
    """

    value: str
    rows: int
    reached: Mapping[str, float | None]


@dataclass(frozen=True)
class Contest:
    """The models of a verdict, and the test rows that they were judged on.

    Attributes:
        verdict: The verdict.
        snapshot: The snapshot of the test rows.
        rows: The raw test rows.
        contestants: The champion first, then those that were trained now.
        groups: The number of the group of each test row; None if the problem has no groups.
    """

    verdict: Verdict
    snapshot: Snapshot
    rows: pd.DataFrame
    contestants: tuple[Contestant, ...]
    groups: Groups | None

    @cached_property
    def labels(self) -> Numbers:
        """The labels of the test rows."""
        return self.rows[self.snapshot.label].to_numpy(np.float64)

    @property
    def champion(self) -> Contestant | None:
        """The model that was live when the verdict was made."""
        return self._of(self.verdict.champion)

    @property
    def winner(self) -> Contestant | None:
        """The model that should be live."""
        return self._of(self.verdict.winner)

    def slices(self) -> dict[str, list[SlicedRows]]:
        """Return what the models reach on each slice, by column; first those on which one of them is worst."""
        found: dict[str, list[SlicedRows]] = {}
        # All models were judged on the same slices, in the same order.
        for parts in zip(*(each.judgement.slices for each in self.contestants), strict=True):
            reached = {each.name: part.reached for each, part in zip(self.contestants, parts, strict=True)}
            found.setdefault(parts[0].column, []).append(SlicedRows(parts[0].value, parts[0].rows, reached))
        return {column: sorted(rows, key=self._worst) for column, rows in found.items()}

    def _worst(self, rows: SlicedRows) -> float:
        gain = METRICS[self.verdict.metric].gain
        return min((gain(value, 0) for value in rows.reached.values() if value is not None), default=math.inf)

    def drifts(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Yield how far the test rows have drifted, by feature, from each set of train rows, with that set's name."""
        of_snapshot = {each.judgement.model.snapshot: each.judgement.drift for each in self.contestants}
        yield "from the train rows of this snapshot", of_snapshot[self.snapshot.fingerprint]
        if self.champion and self.champion.judgement.model.snapshot != self.snapshot.fingerprint:
            yield "from the train rows of the champion", self.champion.judgement.drift

    def _of(self, job: str | None) -> Contestant | None:
        return next((each for each in self.contestants if each.judgement.model.job == job), None)


def read_contest(workspace: Workspace, verdict: Verdict) -> Contest:
    """Read what a report shows of a verdict.

    Args:
        workspace: The workspace of the pipeline that trained.
        verdict: The verdict.

    Raises:
        MissingResource: a snapshot or the answers of a model are gone.
        TrainingFailed: the answers are not those of the declared problem.
    """
    lake = workspace.lake
    rows = snapshot_rows(lake, verdict.snapshot, "test")
    contestants = []
    colours = cycle(_CHALLENGERS)
    for judgement in verdict.judgements:
        model, name, colour, line = judgement.model, judgement.model.candidate, _CHAMPION, "--"
        if model.job == verdict.champion:
            name += " (champion)"
        else:
            colour, line = next(colours), "-"
        answers = read_scores(workspace, model, judgement.scores, "test")
        followed = _importance(lake, model, rows, answers)
        contestants.append(Contestant(name, colour, line, judgement, answers, followed))
    groups = group_numbers(workspace.pipeline.require_training().problem, rows)
    return Contest(verdict, read_snapshot(lake, verdict.snapshot), rows, tuple(contestants), groups)


def _importance(lake: Lake, model: Model, rows: pd.DataFrame, answers: Numbers) -> Importance | None:
    encoding = read_snapshot(lake, model.snapshot).encoding
    some = sampled(len(rows), MOST_ROWS)
    columns = encoding.encode(rows.iloc[some], filled=not model.takes_missing).to_numpy(np.float64)
    return importance(columns, [column.feature for column in encoding.columns for _ in column.names], answers[some])

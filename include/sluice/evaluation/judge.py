"""Judges models on the test rows of a snapshot, and decides by the declared rules which one should be live."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sluice.dataset.profile import drift, read_profile
from sluice.dataset.snapshot import snapshot_rows
from sluice.declaration.gate import Gate
from sluice.declaration.metrics import METRICS
from sluice.errors import TrainingFailed
from sluice.evaluation.answers import read_scores
from sluice.evaluation.bootstrap import interval, resampled
from sluice.evaluation.diagnosis import diagnose
from sluice.evaluation.metrics import Numbers, measure
from sluice.evaluation.rows import Rows, read_rows
from sluice.evaluation.scoring import scores_folder
from sluice.evaluation.verdict import Figure, Judgement, Slice, Verdict, rules_of, shown
from sluice.training.models import Model
from sluice.workspace import Workspace


def judge(workspace: Workspace, models: Sequence[Model], champion: Model | None, fingerprint: str) -> Verdict:
    """Judge models by their answers for the rows of a snapshot, and decide which one should be live.

    Args:
        workspace: The workspace of the pipeline that trains.
        models: The challengers, each with answers in the lake.
        champion: The model that is live, with answers in the lake; None if there is none.
        fingerprint: The fingerprint of the snapshot.

    Raises:
        MissingResource: the rows or the answers do not exist.
        TrainingFailed: the answers are not those of the declared problem, or there is not one for each row.
    """
    training = workspace.pipeline.require_training()
    test, validation = (read_rows(workspace, fingerprint, channel) for channel in ("test", "validation"))
    contestants = {model.job: model for model in [*([champion] if champion else []), *models]}
    answers = {job: _answers(workspace, model, fingerprint, test) for job, model in contestants.items()}
    draws = resampled(training.problem.metrics, test.labels, answers, test.groups)
    drifts = _drifts(workspace, {model.snapshot for model in contestants.values()}, fingerprint)
    comparison = _Comparison(training.gate, test, answers, draws, champion.job if champion else None)
    judgements = [
        Judgement(
            model=model,
            scores=scores_folder(workspace, model, fingerprint),
            rows=len(test.labels),
            metrics={metric: comparison.figure(job, metric) for metric in training.problem.metrics},
            validation=_validation(workspace, model, fingerprint, validation),
            slices=tuple(comparison.slices(job)),
            gain=comparison.gain(job),
            diagnosis=diagnose(training.problem, test.labels, answers[job]),
            drift=drifts[model.snapshot],
        )
        for job, model in contestants.items()
    ]
    return decide(training.gate, fingerprint, [model.job for model in models], comparison.champion, judgements)


def _answers(workspace: Workspace, model: Model, fingerprint: str, rows: Rows) -> Numbers:
    answers = read_scores(workspace, model, scores_folder(workspace, model, fingerprint), "test")
    if len(answers) != len(rows.labels):
        raise TrainingFailed(
            f"the model of {model.job} answered {len(answers)} of {len(rows.labels)} test rows of snapshot "
            f"{fingerprint}; clear the task that scores"
        )
    return answers


def _validation(workspace: Workspace, model: Model, fingerprint: str, rows: Rows) -> float | None:
    scores = read_scores(workspace, model, scores_folder(workspace, model, fingerprint), "validation")
    return _number(measure(workspace.pipeline.require_training().gate.metric, rows.labels, scores, rows.groups))


def _drifts(workspace: Workspace, snapshots: Collection[str], fingerprint: str) -> dict[str, Mapping[str, float]]:
    """Return how far the test rows of a snapshot have drifted from the train rows of each of some snapshots."""
    lake = workspace.lake
    rows = snapshot_rows(lake, fingerprint, "test")
    return {snapshot: drift(read_profile(lake, snapshot), rows) for snapshot in snapshots}


@dataclass(frozen=True)
class _Comparison:
    """The answers of all models for the same rows, and each metric on the same draws of them."""

    gate: Gate
    test: Rows
    answers: Mapping[str, Numbers]
    draws: Mapping[str, Mapping[str, Numbers]]
    champion: str | None

    @cached_property
    def values(self) -> Mapping[str, Mapping[str, float]]:
        """Each metric on all rows, by model."""
        labels, groups = self.test.labels, self.test.groups
        return {
            job: {metric: measure(metric, labels, self.answers[job], groups) for metric in draws}
            for job, draws in self.draws.items()
        }

    def figure(self, job: str, metric: str) -> Figure:
        """Return the value and the interval of a metric.

        Args:
            job: The model.
            metric: The metric.
        """
        low, high = interval(self.draws[job][metric])
        return Figure(value=_number(self.values[job][metric]), low=_number(low), high=_number(high))

    def slices(self, job: str) -> Iterator[Slice]:
        """Yield what a model reaches on each slice that has enough rows."""
        for column, value, rows in self.test.slices(self.gate.rows):
            groups = None if self.test.groups is None else self.test.groups[rows]
            reached = measure(self.gate.metric, self.test.labels[rows], self.answers[job][rows], groups)
            yield Slice(column=column, value=value, rows=int(rows.sum()), reached=_number(reached))

    def gain(self, job: str) -> Figure | None:
        """Return by how much a model is better than the champion at the gate's metric, draw by draw."""
        if self.champion is None:
            return None
        name, metric = self.gate.metric, METRICS[self.gate.metric]
        own, other = (self.values[each][name] for each in (job, self.champion))
        draws = self.draws[job][name] - self.draws[self.champion][name]
        low, high = interval(draws if metric.more_is_better else -draws)
        return Figure(value=_number(metric.gain(own, other)), low=_number(low), high=_number(high))


def decide(
    gate: Gate, fingerprint: str, challengers: Sequence[str], champion: str | None, judgements: Sequence[Judgement]
) -> Verdict:
    """Return the verdict: the best challenger that passes wins; if all only lose to the champion, it stays.

    Args:
        gate: The declared rules.
        fingerprint: The fingerprint of the snapshot.
        challengers: The jobs of the models that were trained now. The champion may be one of them.
        champion: The job of the model that is live; None if there is none.
        judgements: What the challengers and the champion reached, without objections.
    """
    judged = [_with_objections(gate, champion, judgements, judgement) for judgement in judgements]
    able = [each for each in judged if each.model.job in challengers and not each.objections]
    best = max(
        (each for each in able if each.lost is None),
        key=lambda each: METRICS[gate.metric].gain(_reached(gate, each), 0),
        default=None,
    )
    winner = best.model.job if best else champion if able else None
    return Verdict(
        snapshot=fingerprint,
        metric=gate.metric,
        rules=rules_of(gate),
        challengers=tuple(challengers),
        champion=champion,
        judgements=tuple(judged),
        winner=winner,
        reasons=tuple(_reasons(gate, judged, winner)),
    )


def _reasons(gate: Gate, judged: Sequence[Judgement], winner: str | None) -> Iterator[str]:
    for each in judged:
        yield from (f"{each.model.job} {objection}" for objection in each.objections)
        if each.lost is not None:
            yield f"{each.model.job} {each.lost}"
        if each.passes and each.model.job != winner:
            yield f"{each.model.job} passes, too: its {gate.metric} is {shown(_reached(gate, each))}"
    for each in judged:
        if each.model.job == winner:
            yield f"{each.model.job} should be live: its {gate.metric} is {shown(_reached(gate, each))}"


def _with_objections(
    gate: Gate, champion: str | None, judgements: Sequence[Judgement], judgement: Judgement
) -> Judgement:
    lost = None
    if champion is not None and judgement.model.job != champion:
        other = next(each for each in judgements if each.model.job == champion)
        lost = _lost(gate, judgement, _reached(gate, other))
    return judgement.model_copy(update={"objections": tuple(_objections(gate, judgement)), "lost": lost})


def _objections(gate: Gate, judgement: Judgement) -> Iterator[str]:
    """Yield the absolute rules that a model breaks."""
    metric, reached = METRICS[gate.metric], _reached(gate, judgement)
    if judgement.rows < gate.rows:
        yield f"was tested on {judgement.rows} rows, and the gate asks for {gate.rows}"
    if not metric.reaches(reached, gate.bound):
        yield f"has {gate.metric} {shown(reached)} on the test rows, and the gate is at {gate.bound}"
    if gate.each_slice is not None:
        for each in judgement.slices:
            if each.reached is not None and not metric.reaches(each.reached, gate.each_slice):
                yield (
                    f"has {gate.metric} {shown(each.reached)} on the {each.rows} rows with {each.column}={each.value}, "
                    f"and each slice must reach {gate.each_slice}"
                )


def _lost(gate: Gate, judgement: Judgement, champion: float) -> str | None:
    """Return why a model does not replace the champion; None if the test rows support that it is good enough."""
    gain, most = judgement.gain, gate.margin * abs(champion)
    if gain is None or math.isnan(champion):
        return None  # a champion that can't be judged by these rows holds nobody back
    if gain.low is not None and gain.low >= -most:
        return None
    low, value = (math.nan if each is None else each for each in (gain.low, gain.value))
    return (
        f"may be worse than the champion by {shown(-low)} {gate.metric} (the difference is "
        f"{shown(value, signed=True)}, its interval begins at {shown(low, signed=True)}), and the margin is "
        f"{shown(most)}"
    )


def _reached(gate: Gate, judgement: Judgement) -> float:
    value = judgement.metrics[gate.metric].value
    return math.nan if value is None else value


def _number(value: float) -> float | None:
    """Return a number as JSON has it: None for NaN."""
    return None if math.isnan(value) else value

"""The pictures of a report: those of the problem, then those that every report has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluice.declaration.problems import Binary, Count, Multiclass, Problem, Ranking, Regression
from sluice.evaluation.breakdowns import drifts, importances, slices
from sluice.evaluation.contest import Contest, Contestant
from sluice.evaluation.diagnosis import confusion_counts, tenths
from sluice.evaluation.drawing import WIDTH, Picture, picture, shown
from sluice.evaluation.importance import sampled
from sluice.evaluation.metrics import Groups, Numbers

_MOST_POINTS = 1_500
_MOST_CELLS = 12  # classes whose shares are written into a confusion matrix
_IN_A_ROW = 3  # models side by side
_PLACES = 10  # of a ranking
_INNER = 99.0  # per cent of the residuals that a histogram shows


def pictures(problem: Problem, contest: Contest) -> Iterator[Picture]:
    """Yield the pictures of a report.

    Args:
        problem: What the labels mean.
        contest: What is shown.
    """
    for draw in PICTURES[type(problem)]:
        yield draw(contest)
    if any(each.judgement.slices for each in contest.contestants):
        yield slices(contest)
    yield drifts(contest)
    if any(each.importance for each in contest.contestants):
        yield importances(contest)


def roc(contest: Contest) -> Picture:
    """Draw the ROC curves of all models.

    Args:
        contest: Of a binary problem.
    """
    from sklearn.metrics import roc_curve

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot((0, 1), (0, 1), color="#b8bec6", linestyle=":", label="guessing")
        for each in contest.contestants:
            wrong, right, _ = roc_curve(contest.labels, each.answers)
            some = sampled(len(wrong), _MOST_POINTS)
            auc = each.judgement.metrics["auc"].value
            label = each.name if auc is None else f"{each.name}, AUC {auc:.4f}"
            axes.plot(wrong[some], right[some], each.line, color=each.colour, label=label)
        axes.set(xlabel="share of the rows with label 0 that are called 1", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set(ylabel="share of the rows with label 1 that are called 1", aspect="equal")
        axes.legend()

    caption = "Each threshold of the score is a point. The nearer a curve comes to the upper left corner, the better."
    return picture("ROC curve", caption, draw, height=4.9, width=4.75)


def calibration(contest: Contest) -> Picture:
    """Draw how often the label is 1 where a model says so with some probability, and a histogram of its scores.

    Args:
        contest: Of a binary problem.
    """

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, height_ratios=(3, 1), sharex=True)
        above.plot((0, 1), (0, 1), color="#b8bec6", linestyle=":", label="calibrated")
        for each in contest.contestants:
            bins = tenths(contest.labels, each.answers)
            answered, observed = [each.answered for each in bins], [each.observed for each in bins]
            above.plot(answered, observed, each.line, color=each.colour, marker="o", markersize=4, label=each.name)
            below.hist(each.answers, bins=np.linspace(0, 1, 26), histtype="step", color=each.colour, ls=each.line)
        above.set(ylabel="share of rows with label 1", ylim=(-0.01, 1.01))
        above.legend(loc="upper left")
        below.set(xlabel="predicted probability of label 1", ylabel="rows", xlim=(-0.01, 1.01))

    caption = (
        "The test rows in ten bins of equal count, by the predicted probability. On the dotted line, 30 % is said "
        "where it is 30 %. Below: how many rows get which probability."
    )
    return picture("Calibration", caption, draw, height=4.9, width=4.75)


def confusion(contest: Contest) -> Picture:
    """Draw the confusion matrix of each model, as shares of each row.

    Args:
        contest: Of a problem of several classes.
    """

    def draw_one(axes: Axes, each: Contestant) -> None:
        classes = each.answers.shape[1]
        counts = confusion_counts(contest.labels, each.answers)
        matrix = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set(xlabel="predicted class", ylabel="class of the label", title=shown(each.name))
        if classes <= _MOST_CELLS:
            axes.set(xticks=range(classes), yticks=range(classes))
            for (row, column), share in np.ndenumerate(matrix):
                colour = "white" if share > 0.5 else "#222222"
                axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)

    caption = "Each row has the test rows of one class: the shares of them that the model takes for each class."
    return _panels("Confusion matrix", caption, contest, draw_one, height=3.6)


def residuals(contest: Contest) -> Picture:
    """Draw the errors of each model against what it has predicted.

    Args:
        contest: Of a problem of numbers.
    """

    def draw_one(axes: Axes, each: Contestant) -> None:
        errors, some = contest.labels - each.answers, sampled(len(each.answers), _MOST_POINTS)
        axes.scatter(each.answers[some], errors[some], s=7, alpha=0.35, color=each.colour, linewidths=0)
        axes.axhline(0, color="#8a929c", linewidth=1)
        bins = tenths(contest.labels, each.answers)
        axes.plot(
            [one.answered for one in bins],
            [one.observed - one.answered for one in bins],
            color="#111111",
            marker="o",
            markersize=4,
            label="mean of a tenth",
        )
        name = shown(contest.snapshot.label)
        axes.set(xlabel=f"predicted {name}", ylabel=f"{name} - predicted", title=shown(each.name))
        axes.legend(loc="upper left")

    caption = (
        f"What is left of the label, in its unit: up to {_MOST_POINTS:,} of the test rows, and the mean of each tenth "
        f"of all. A mean away from 0 is an error that the model makes again and again."
    )
    return _panels("Residuals against the predicted value", caption, contest, draw_one, height=3.4)


def residual_histogram(contest: Contest) -> Picture:
    """Draw how the errors of all models are distributed.

    Args:
        contest: Of a problem of numbers.
    """
    errors = {each.name: contest.labels - each.answers for each in contest.contestants}
    rest = (100 - _INNER) / 2
    low, high = np.percentile(np.concatenate(list(errors.values())), (rest, 100 - rest))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for each in contest.contestants:
            axes.hist(
                errors[each.name],
                bins=41,
                range=(low, high),
                histtype="step",
                color=each.colour,
                ls=each.line,
                label=each.name,
            )
        axes.axvline(0, color="#8a929c", linewidth=1)
        axes.set(xlabel=f"{shown(contest.snapshot.label)} - predicted, in the unit of the label", ylabel="rows")
        axes.legend()

    return picture(
        "Histogram of residuals", f"{_INNER:g} % of the residuals; the outermost are left out.", draw, height=3
    )


def relevances(contest: Contest) -> Picture:
    """Draw the mean relevance of the rows that each model puts on each place, and that of the best order.

    Args:
        contest: Of a ranking.
    """
    groups = np.zeros(len(contest.labels), dtype=np.intp) if contest.groups is None else contest.groups

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        best = mean_relevances(contest.labels, contest.labels, groups)
        axes.plot(range(1, len(best) + 1), best, color="#b8bec6", linestyle=":", label="best order")
        for each in contest.contestants:
            found = mean_relevances(contest.labels, each.answers, groups)
            places = range(1, len(found) + 1)
            axes.plot(places, found, each.line, color=each.colour, marker="o", markersize=4, label=each.name)
        axes.set(xlabel="place in the order of the scores", ylabel=f"mean {shown(contest.snapshot.label)}")
        axes.set_xticks(range(1, len(best) + 1))
        axes.legend()

    caption = (
        f"The mean relevance of the rows on the first {_PLACES} places of the groups of the test. The further left a "
        f"model puts what is relevant, the better; no model can be above the dotted line on the first place."
    )
    return picture("Relevance by place", caption, draw, height=3.4, width=6)


def mean_relevances(labels: Numbers, scores: Numbers, groups: Groups) -> Numbers:
    """Return the mean label of the rows on each place, over the groups that have that place.

    Args:
        labels: The relevances, of shape ``(rows,)``.
        scores: The row with the highest one of a group is on the first place; of equal ones, the row that comes first.
        groups: The number of the group of each row, of shape ``(rows,)``.

    Returns:
        The shape ``(10,)``; fewer if no group has as many rows.
    """
    order = np.lexsort((-scores, groups))
    sizes = np.unique(groups, return_counts=True)[1]
    places = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.array([labels[order][places == place].mean() for place in range(min(_PLACES, sizes.max()))])


PICTURES: Mapping[type[Problem], tuple[Callable[[Contest], Picture], ...]] = {
    Binary: (roc, calibration),
    Multiclass: (confusion,),
    Regression: (residuals, residual_histogram),
    Count: (residuals, residual_histogram),
    Ranking: (relevances,),
}


def _panels(
    title: str, caption: str, contest: Contest, draw_one: Callable[[Axes, Contestant], None], *, height: float
) -> Picture:
    """Draw each model in a panel of its own, with the same axes."""
    models = contest.contestants
    columns = min(len(models), _IN_A_ROW)
    lines = -(-len(models) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
        for axes, each in zip(panels, models, strict=False):
            draw_one(axes, each)
        for axes in list(figure.axes)[len(models) :]:
            axes.remove()

    return picture(title, caption, draw, height=height * lines + 0.2, width=WIDTH / _IN_A_ROW * columns)

"""The pictures that every report has: by slices of the rows, and by features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from sluice.evaluation.contest import Contest
from sluice.evaluation.drawing import Picture, Series, bars, picture, rows_of, shown

MOST_VALUES = 30  # of a column that slices; also the most features of a picture
_DRIFTED = 0.25  # see sluice.dataset.profile.drift
_LIMIT = "#b3261e"  # the colour of bounds


def slices(contest: Contest) -> Picture:
    """Draw the gate's metric on each slice, for each model.

    Args:
        contest: With slices.
    """
    metric, bound = contest.verdict.metric, contest.verdict.rules["each_slice"]
    offsets = np.linspace(-0.2, 0.2, len(contest.contestants))
    columns = {column: found[:MOST_VALUES] for column, found in contest.slices().items()}

    def draw(figure: Figure) -> None:
        heights = [len(found) + 1 for found in columns.values()]
        panels = figure.subplots(len(columns), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (column, found) in zip(panels, columns.items(), strict=True):
            for each, offset in zip(contest.contestants, offsets, strict=True):
                reached = [np.nan if (value := one.reached[each.name]) is None else value for one in found]
                axes.plot(
                    reached, np.arange(len(found)) + offset, "o", color=each.colour, label=each.name, markersize=5
                )
            if isinstance(bound, float):
                axes.axvline(bound, color=_LIMIT, linewidth=1, linestyle="--", label="bound of each slice")
            axes.set_title(shown(column), loc="left")
            rows_of(axes, [f"{shown(one.value)} ({one.rows:,})" for one in found])
        panels[-1].set_xlabel(f"{metric} (in brackets: the number of test rows)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)

    caption = f"{metric} on the test rows of each value, the worst first; at most {MOST_VALUES} values of a column."
    height = 1 + sum(0.26 * len(found) + 0.5 for found in columns.values())
    return picture("Slices", caption, draw, height=height)


def drifts(contest: Contest) -> Picture:
    """Draw how far the test rows have drifted from the train rows of the models.

    Args:
        contest: What is shown.
    """
    colours = ("#0072b2", "#4d4d4d")
    series = [Series(name, colour, found) for (name, found), colour in zip(contest.drifts(), colours, strict=False)]

    caption = (
        f"How far the test rows have drifted from those that the models were trained on. 0 is no drift; above "
        f"{_DRIFTED} the rows are others, by the usual rule."
    )
    return _ranked("Drift of the features", caption, "population stability index", series, _DRIFTED)


def importances(contest: Contest) -> Picture:
    """Draw which features the answers of each model follow.

    Args:
        contest: What is shown.
    """
    found = [(each, each.importance) for each in contest.contestants if each.importance is not None]
    series = [
        Series(f"{each.name} (surrogate explains {one.explained:.0%})", each.colour, one.shares) for each, one in found
    ]
    caption = (
        "Not read from the models, but from their answers: a surrogate, a random forest, learns the answers of a model "
        "for the test rows. The bar is the share of a feature in what the surrogate explains. It counts little if the "
        "surrogate explains little of the answers' variance (on rows that it has not learned from)."
    )
    return _ranked("Importance of the features, by a surrogate", caption, "share", series)


def _ranked(title: str, caption: str, label: str, series: Sequence[Series], limit: float | None = None) -> Picture:
    """Draw bars, the name with the longest one first."""
    names = dict.fromkeys(name for each in series for name in each.values)
    longest = {name: max(each.values.get(name, 0.0) for each in series) for name in names}
    ranked = sorted(names, key=lambda name: -longest[name])[:MOST_VALUES]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        bars(axes, ranked, series)
        axes.set_xlabel(label)
        if limit is not None:
            axes.axvline(limit, color=_LIMIT, linewidth=1, linestyle="--", label=f"limit {limit:g}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)

    if len(ranked) < len(names):
        caption += f" The first {len(ranked)} of {len(names):,} features."
    return picture(title, caption, draw, height=1.1 + (0.12 + 0.16 * len(series)) * len(ranked))

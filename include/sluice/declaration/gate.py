"""What a model must reach before it goes live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sluice.declaration.checks import check_count, check_number, check_tuple
from sluice.declaration.metrics import METRICS
from sluice.errors import DeclarationError

MetricName = Literal[
    "auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "log_loss",
    "multiclass_log_loss",
    "rmse",
    "mae",
    "r2",
    "poisson_deviance",
    "ndcg",
]
_MOST_ROWS = 1_000_000_000


@dataclass(frozen=True)
class Gate:
    """The rules that decide whether a model goes live. All are about the snapshot's test rows.

    Args:
        metric: The metric that is compared: one of those of the problem.
        at_least: The lowest value that passes, for a metric of which more is better. An AUC of 0.5 is that of guessing.
        at_most: The highest value that passes, for an error or a loss.
        margin: By how much a model may be worse than the one that is live, as a share of that one's value. The test
            rows must support it: the low end of the 95 % interval of the difference counts.
        rows: The fewest test rows that decide anything. A slice with fewer rows is not judged.
        slices: Columns of the rows, such as ``("origin",)``. The rows of each of their values are judged separately.
        each_slice: The bound of the metric on each slice, on the same side as the bound on all rows; None: the slices
            are reported only.

    Raises:
        DeclarationError: the metric is unknown, or its bound is missing, out of its range or on the wrong side, or
            another member has a wrong form.
    """

    metric: MetricName
    at_least: float | None = None
    at_most: float | None = None
    margin: float = 0.02
    rows: int = 50
    slices: tuple[str, ...] = ()
    each_slice: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise DeclarationError(
                f"gate: metric={self.metric!r} is not measured; write one of {', '.join(METRICS)}, as in "
                f"Gate('auc', at_least=0.6)"
            )
        metric = METRICS[self.metric]
        bound, other = ("at_least", "at_most") if metric.more_is_better else ("at_most", "at_least")
        if getattr(self, other) is not None:
            better = "more" if metric.more_is_better else "less"
            raise DeclarationError(f"gate: {better} {self.metric} is better; write {bound} instead of {other}")
        check_number("gate", bound, getattr(self, bound), metric.lowest, metric.highest)
        check_number("gate", "margin", self.margin, 0, 1)
        check_count("gate", "rows", self.rows, 1, _MOST_ROWS)
        if self.slices != ():
            check_tuple("gate", "slices", self.slices, str, "'origin'")
        if self.each_slice is not None:
            check_number("gate", "each_slice", self.each_slice, metric.lowest, metric.highest)
            if not self.slices:
                raise DeclarationError("gate: each_slice needs slices; write it as slices=('origin',)")

    @property
    def bound(self) -> float:
        """The value that just passes."""
        return self.at_least if self.at_least is not None else self.at_most  # type: ignore[return-value]

"""Which features the answers of a model follow, measured from its answers: no artefact is opened (decision 17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sluice.evaluation.metrics import Numbers

MOST_ROWS = 5_000  # more make the forest slow, and the shares no better
_TREES, _DEPTH = 40, 8
_SEED = 2013


@dataclass(frozen=True)
class Importance:
    """How a surrogate explains the answers of a model.

    Attributes:
        shares: The share of each raw feature in the variance that the surrogate explains; they add up to 1.
        explained: The share of the answers' variance that the surrogate explains on rows that it has not learned from,
            at most 1. The shares mean little if it is far below 1.
    """

    shares: Mapping[str, float]
    explained: float


def importance(columns: Numbers, features: Sequence[str], answers: Numbers) -> Importance | None:
    """Return which features the answers of a model follow, by a random forest that learns the answers.

    Args:
        columns: What the model got, of shape ``(rows, columns)``; NaN where a value is missing.
        features: The raw feature of each column. Those of one feature count together.
        answers: Of shape ``(rows,)`` or ``(rows, classes)``.

    Returns:
        None if the answers are the same for all rows.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.metrics import r2_score

    if (answers == answers[0]).all():
        return None
    forest = RandomForestRegressor(_TREES, max_depth=_DEPTH, oob_score=True, random_state=_SEED)
    forest.fit(columns, answers)
    shares = dict.fromkeys(features, 0.0)
    for feature, share in zip(features, forest.feature_importances_, strict=True):
        shares[feature] += float(share)
    explained = r2_score(answers, forest.oob_prediction_, multioutput="variance_weighted")
    return Importance(shares, float(explained))


def sampled(rows: int, most: int) -> npt.NDArray[np.intp]:
    """Return the places of at most ``most`` rows, evenly spread, the first and the last included.

    Args:
        rows: How many rows there are.
        most: How many may be taken.
    """
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).round().astype(np.intp))

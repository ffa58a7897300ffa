"""``_kfold``: one model for each fold, and each row's prediction by the model that wasn't trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from localcloud.sagemaker.algorithms.xgboost.evaluation import check_finite

Array = npt.NDArray[Any]
History = dict[str, dict[str, list[float]]]

Train = Callable[[xgboost.DMatrix, int], tuple[xgboost.Booster, History]]
"""Trains on a matrix; takes the model's number too, and returns the model and each metric's values by data set."""


@dataclass(frozen=True)
class CrossValidation:
    """Rounds of folds.

    Attributes:
        folds: How many folds a round has.
        repeats: How many rounds there are.
        classification: Whether labels are classes, which each fold then has in the same mix.
        seed: Of the random folds; the container's differ each time.
    """

    folds: int
    repeats: int
    classification: bool
    seed: int

    def run(self, matrix: xgboost.DMatrix, train: Train, predictions: Path) -> tuple[list[xgboost.Booster], list[str]]:
        """Train all models.

        Args:
            matrix: All rows.
            train: Trains on a part of the rows.
            predictions: The file to write: label, probability (of a classification) and prediction of each row.

        Returns:
            The models, and the lines of the log with the mean metrics of each round.

        Raises:
            ValueError: There are too few rows for the folds, or the labels aren't classes.
        """
        labels = matrix.get_label()
        self._check(labels)
        boosters: list[xgboost.Booster] = []
        histories: list[History] = []
        rounds: list[Array] = []
        for parts in self._rounds(labels):
            unseen: Array | None = None
            for held_out in parts:
                kept = np.setdiff1d(np.arange(len(labels)), held_out)
                booster, history = train(matrix.slice(kept), len(boosters))
                scores = booster.predict(matrix.slice(held_out))
                unseen = np.zeros((len(labels), *scores.shape[1:])) if unseen is None else unseen
                unseen[held_out] = scores
                boosters.append(booster)
                histories.append(history)
            if unseen is not None:
                rounds.append(unseen)
        np.savetxt(predictions, self._columns(labels, rounds), delimiter=",", fmt="%f")
        return boosters, self._report(histories)

    def _check(self, labels: Array) -> None:
        """Refuse what scikit-learn, which makes the container's folds, refuses."""
        if self.folds > len(labels):
            raise ValueError(
                f"Cannot have number of splits n_splits={self.folds} greater than the number of samples: "
                f"n_samples={len(labels)}."
            )
        if not self.classification:
            return
        check_finite(labels, "Input y")
        if (labels % 1).any():
            raise ValueError("Supported target types are: ('binary', 'multiclass'). Got 'continuous' instead.")
        if self.folds > np.unique(labels, return_counts=True)[1].max():
            raise ValueError(f"n_splits={self.folds} cannot be greater than the number of members in each class.")

    def _rounds(self, labels: Array) -> Iterator[list[Array]]:
        """Yield the rows that each fold holds out, round by round."""
        random = np.random.default_rng(self.seed)
        for _ in range(self.repeats):
            groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
            if not self.classification:
                groups = [np.arange(len(labels))]
            shuffled = np.concatenate([random.permutation(group) for group in groups])
            yield [np.sort(shuffled[fold :: self.folds]) for fold in range(self.folds)]

    def _columns(self, labels: Array, rounds: list[Array]) -> Array:
        if not self.classification:
            return np.column_stack([labels, np.mean(rounds, axis=0)])
        several = rounds[0].ndim == 2
        chosen = np.stack([each.argmax(axis=1) if several else each > 0.5 for each in rounds], axis=1).astype(float)
        probability = np.mean([each.max(axis=1) if several else each for each in rounds], axis=0)
        votes = [np.unique(row, return_counts=True) for row in chosen]
        return np.column_stack([labels, probability, [values[counts.argmax()] for values, counts in votes]])

    def _report(self, histories: list[History]) -> list[str]:
        each_round = [_means(histories[start : start + self.folds]) for start in range(0, len(histories), self.folds)]
        return each_round + ([_means(histories)] if self.repeats > 1 else [])


def _means(histories: list[History]) -> str:
    return "".join(
        f"\t{data}-{metric}:{np.mean([history[data][metric][-1] for history in histories]):.5f}"
        for metric in histories[0]["train"]
        for data in histories[0]
    )

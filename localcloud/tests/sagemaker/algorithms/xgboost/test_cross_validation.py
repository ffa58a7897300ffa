"""``_kfold``: every row is predicted by a model that wasn't trained on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xgboost

from localcloud.sagemaker.algorithms.xgboost.cross_validation import CrossValidation, History

# Each row is its own feature, so that a model shows which rows it was trained on.
ROWS = np.arange(30, dtype=np.float32)
LABELS = (ROWS % 3 == 0).astype(np.float32)  # a third of them


def run(folder: Path, *, repeats: int = 1, classification: bool = True) -> tuple[list[list[int]], list[str]]:
    """Return the rows that each model was trained on, and the report."""
    seen: list[list[int]] = []

    def train(part: xgboost.DMatrix, number: int) -> tuple[xgboost.Booster, History]:
        assert number == len(seen)
        seen.append(part.get_data().toarray()[:, 0].astype(int).tolist())
        objective = "binary:logistic" if classification else "reg:squarederror"
        return xgboost.train({"objective": objective, "nthread": 1}, part, 2), {
            "train": {"error": [0.5, float(number)]}
        }

    matrix = xgboost.DMatrix(ROWS.reshape(-1, 1), label=LABELS)
    validation = CrossValidation(folds=3, repeats=repeats, classification=classification, seed=7)
    _, lines = validation.run(matrix, train, folder / "predictions.csv")
    return seen, lines


def test_each_row_is_held_out_once_in_each_round(tmp_path: Path) -> None:
    seen, _ = run(tmp_path, repeats=2)
    assert len(seen) == 6
    for models in (seen[:3], seen[3:]):
        held_out = [row for model in models for row in range(30) if row not in model]
        assert sorted(held_out) == list(range(30))
    assert seen[:3] != seen[3:], "each round has new folds"


def test_folds_of_a_classification_have_the_same_mix(tmp_path: Path) -> None:
    seen, _ = run(tmp_path)
    held_out = [[row for row in range(30) if row not in model] for model in seen]
    assert [sum(LABELS[row] for row in rows) for rows in held_out] == pytest.approx([10 / 3] * 3, abs=1)


def test_the_same_seed_draws_the_same_folds(tmp_path: Path) -> None:
    assert run(tmp_path) == run(tmp_path)


@pytest.mark.parametrize(("classification", "columns"), [(True, 3), (False, 2)])
def test_the_predictions_of_all_rows_are_written(tmp_path: Path, classification: bool, columns: int) -> None:
    run(tmp_path, repeats=2, classification=classification)
    written = np.loadtxt(tmp_path / "predictions.csv", delimiter=",")
    assert written.shape == (30, columns)
    assert written[:, 0].tolist() == LABELS.tolist()


def test_the_report_has_the_mean_of_each_round_and_of_all(tmp_path: Path) -> None:
    _, lines = run(tmp_path, repeats=2)
    assert lines == ["\ttrain-error:1.00000", "\ttrain-error:4.00000", "\ttrain-error:2.50000"]


def test_a_class_may_have_fewer_rows_than_there_are_folds(tmp_path: Path) -> None:
    labels = (ROWS == 4).astype(np.float32)
    validation = CrossValidation(folds=3, repeats=1, classification=True, seed=7)

    def train(part: xgboost.DMatrix, number: int) -> tuple[xgboost.Booster, History]:
        return xgboost.train({"nthread": 1}, part, 1), {"train": {"error": [0.0]}}

    boosters, _ = validation.run(
        xgboost.DMatrix(ROWS.reshape(-1, 1), label=labels), train, tmp_path / "predictions.csv"
    )
    assert len(boosters) == 3

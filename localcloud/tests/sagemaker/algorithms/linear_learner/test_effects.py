"""The effect of each hyperparameter on the outcome, beyond single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.sagemaker.algorithms.linear_learner.learning import (
    Array,
    Table,
    binary,
    multiclass,
    one,
    regression,
    table,
    trained,
)

from localcloud.sagemaker.algorithms.linear_learner.design import design
from localcloud.sagemaker.algorithms.linear_learner.fitting import Fitted
from localcloud.sagemaker.algorithms.linear_learner.grid import settings
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import validate
from localcloud.sagemaker.algorithms.linear_learner.losses import loss_of
from localcloud.sagemaker.algorithms.linear_learner.parallel import ParallelModels
from localcloud.sagemaker.algorithms.linear_learner.progress import Silent
from localcloud.sagemaker.algorithms.linear_learner.scaling import Scaling
from localcloud.sagemaker.algorithms.linear_learner.selection import Judge, Losses


class Recorder(Silent):
    """Records the epochs of a training."""

    def __init__(self) -> None:
        self.train: list[list[float]] = []
        self.validation: list[list[float]] = []
        self.criteria: list[tuple[str, float]] = []

    def trained(self, epoch: int, objective: str, losses: Losses) -> None:
        assert epoch == len(self.train)
        self.train.append(losses.tolist())

    def validated(self, epoch: int, objective: str, losses: Losses) -> None:
        self.validation.append(losses.tolist())

    def judged(self, epoch: int, criterion: str, value: float, improved: bool, waited: int) -> None:
        self.criteria.append((criterion, value))


def recorded(train: Table, kind: str, validation: Table | None = None, **given: str | float) -> tuple[Recorder, Fitted]:
    recorder = Recorder()
    return recorder, trained(train, kind, validation, recorder, **given)


def scores(fitted: Fitted, data: Table) -> Array:
    return fitted.model.scores(fitted.model.outputs(data.features))[:, 0]


def predictions(fitted: Fitted, data: Table) -> Array:
    return fitted.model.labels(fitted.model.outputs(data.features))


def precision_recall(fitted: Fitted, data: Table) -> tuple[float, float]:
    predicted, actual = predictions(fitted, data) == 1, data.labels == 1
    hits = float((predicted & actual).sum())
    return hits / max(predicted.sum(), 1), hits / actual.sum()


# The number of models and epochs.


def test_automatically_there_are_32_models() -> None:
    recorder, _ = recorded(binary(), "binary_classifier", epochs=1)
    assert len(recorder.train[0]) == 32
    assert len(set(recorder.train[0])) == 32


@pytest.mark.parametrize("number", [1, 3, 40])
def test_as_many_models_are_trained_as_requested(number: int) -> None:
    recorder, _ = recorded(multiclass(), "multiclass_classifier", num_models=number, epochs=1)
    assert len(set(recorder.train[0])) == number


@pytest.mark.parametrize(
    ("classes", "columns", "batch", "models"),
    [(3, 41, 1000, 32), (10_000, 41, 1000, 6), (1_000_000, 41, 1000, 1), (10, 2_000_000, 1000, 3), (3, 41, 10**6, 22)],
)
def test_automatically_there_are_fewer_models_if_they_are_large(
    classes: int, columns: int, batch: int, models: int
) -> None:
    given = {"predictor_type": "multiclass_classifier", "num_classes": str(classes), "mini_batch_size": str(batch)}
    assert len(settings(validate(given), columns=columns, negatives_per_positive=1.0)) == models
    requested = validate(given | {"num_models": "40"})
    assert len(settings(requested, columns=columns, negatives_per_positive=1.0)) == 40


def test_a_given_setting_is_the_same_for_all_models() -> None:
    given = {"learning_rate": 0.01, "wd": 0.5, "lr_scheduler_step": 7, "lr_scheduler_factor": 0.8}
    setting = trained(binary(), "binary_classifier", **given, l1=0.2, lr_scheduler_minimum_lr=0.001).setting
    assert (setting.learning_rate, setting.wd, setting.l1) == (0.01, 0.5, 0.2)
    assert (setting.lr_scheduler_step, setting.lr_scheduler_factor) == (7, 0.8)
    assert setting.lr_scheduler_minimum_lr == 0.001


@pytest.mark.parametrize("epochs", [1, 4])
def test_there_are_as_many_epochs_as_requested(epochs: int) -> None:
    recorder, _ = recorded(binary(), "binary_classifier", epochs=epochs, early_stopping_patience=epochs + 1)
    assert len(recorder.train) == epochs


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (3, 4), (100, 15)])
def test_training_ends_after_the_epochs_of_patience(patience: int, epochs: int) -> None:
    # No improvement is large enough, so the first epoch stays the best.
    given = {"early_stopping_patience": patience, "early_stopping_tolerance": 1e9}
    recorder, _ = recorded(regression(), "regressor", **given)
    assert len(recorder.train) == epochs


def test_an_improvement_counts_if_it_is_above_the_tolerance() -> None:
    slow: dict[str, str | float] = {"num_models": 1, "learning_rate": 0.001, "epochs": 30, "early_stopping_patience": 1}
    strict, _ = recorded(regression(), "regressor", **slow, early_stopping_tolerance=0.1)
    lenient, _ = recorded(regression(), "regressor", **slow, early_stopping_tolerance=1e-9)
    assert len(strict.train) < len(lenient.train) == 30


# Scaling.


def scaled(data: Table, factor: float = 1.0, shift: float = 0.0) -> Table:
    return Table((data.features * np.float32(factor) + np.float32(shift)), data.labels)


def test_normalized_data_may_have_any_size() -> None:
    data, large = regression(), scaled(regression(), factor=1024)
    expected = one(data, "regressor").model.outputs(data.features)
    assert one(large, "regressor").model.outputs(large.features) == pytest.approx(expected, rel=1e-4)
    plain = one(large, "regressor", normalize_data="false").model.outputs(large.features)
    assert plain != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize(("unbias", "same"), [("auto", True), ("true", True), ("false", False)])
def test_unbiased_data_may_have_any_mean(unbias: str, same: bool) -> None:
    data, far = regression(), scaled(regression(), shift=500)
    expected = one(data, "regressor", unbias_data=unbias).model.outputs(data.features)
    found = one(far, "regressor", unbias_data=unbias).model.outputs(far.features)
    assert (found == pytest.approx(expected, rel=1e-2)) is same


def test_automatically_data_is_unbiased_only_where_there_is_a_bias() -> None:
    model = one(regression(), "regressor", use_bias="false", normalize_label="false").model
    assert model.bias.tolist() == [0.0]


@pytest.mark.parametrize(("normalize", "same"), [("auto", True), ("true", True), ("false", False)])
def test_normalized_labels_may_have_any_size(normalize: str, same: bool) -> None:
    data = regression()
    large = Table(data.features, data.labels * 1024)
    expected = one(data, "regressor", normalize_label=normalize).model.outputs(data.features) * 1024
    found = one(large, "regressor", normalize_label=normalize).model.outputs(data.features)
    assert (found == pytest.approx(expected, rel=1e-3)) is same


@pytest.mark.parametrize(("unbias", "same"), [("auto", True), ("true", True), ("false", False)])
def test_unbiased_labels_may_have_any_mean(unbias: str, same: bool) -> None:
    data = regression()
    far = Table(data.features, data.labels + 1000)
    expected = one(data, "regressor", unbias_label=unbias).model.outputs(data.features) + 1000
    found = one(far, "regressor", unbias_label=unbias).model.outputs(data.features)
    assert (found == pytest.approx(expected, rel=1e-3)) is same


def test_labels_of_classes_are_never_normalized() -> None:
    data = binary()
    plain = one(data, "binary_classifier").model.weights
    assert one(data, "binary_classifier", normalize_label="true").model.weights.tolist() == plain.tolist()


def test_the_scaler_uses_the_first_rows() -> None:
    data = regression()
    data.features[100:] *= 50
    few = one(data, "regressor", num_point_for_scaler=100)
    all_rows = one(data, "regressor", num_point_for_scaler=400)
    start = {"learning_rate": 1e-12, "normalize_label": "false"}
    ratio = (
        one(data, "regressor", num_point_for_scaler=100, **start).model.weights
        / one(data, "regressor", num_point_for_scaler=400, **start).model.weights
    )
    assert few.model.weights.tolist() != all_rows.model.weights.tolist()
    assert ratio[:, 0] == pytest.approx(data.features.std(axis=0) / data.features[:100].std(axis=0), rel=1e-3)


# Classes.


def imbalanced(rows: int = 2000, seed: int = 0) -> Table:
    """Return rows of which about one in ten has label 1."""
    return binary(rows, seed, positive=4.0)


def by(criterion: str, **given: str | float) -> Fitted:
    return trained(
        imbalanced(),
        "binary_classifier",
        imbalanced(seed=1),
        binary_classifier_model_selection_criteria=criterion,
        **given,
    )


def test_the_criterion_decides_the_threshold() -> None:
    validation = imbalanced(seed=1)
    accuracy = {
        name: float((predictions(by(name), validation) == validation.labels).mean()) for name in ("accuracy", "f_beta")
    }
    f = {
        name: 2 * np.prod(found) / np.sum(found)
        for name in ("accuracy", "f_beta")
        for found in [precision_recall(by(name), validation)]
    }
    assert accuracy["accuracy"] > accuracy["f_beta"]
    assert f["f_beta"] > f["accuracy"]
    assert by("loss_function").model.threshold == 0


def test_beta_weighs_recall() -> None:
    validation = imbalanced(seed=1)
    recalls = [precision_recall(by("f_beta", f_beta=beta), validation)[1] for beta in (0.25, 1.0, 4.0)]
    assert recalls == sorted(recalls)
    assert recalls[0] + 0.2 < recalls[2]


@pytest.mark.parametrize("target", [0.3, 0.9])
def test_the_target_recall_is_reached_with_the_best_precision(target: float) -> None:
    _, recall = precision_recall(by("precision_at_target_recall", target_recall=target), imbalanced(seed=1))
    assert target <= recall < target + 0.05


@pytest.mark.parametrize("target", [0.4, 0.9])
def test_the_target_precision_is_reached_with_the_best_recall(target: float) -> None:
    precision, _ = precision_recall(by("recall_at_target_precision", target_precision=target), imbalanced(seed=1))
    assert target <= precision < target + 0.05


def test_an_unreachable_target_leaves_the_threshold_in_the_middle() -> None:
    hopeless = Table(np.zeros((400, 1), np.float32), np.tile(np.float32([0, 0, 0, 1]), 100))
    assert trained(hopeless, "binary_classifier").model.threshold == 0
    criterion = {"binary_classifier_model_selection_criteria": "recall_at_target_precision"}
    assert trained(hopeless, "binary_classifier", **criterion, target_precision=0.9).model.threshold == 0


def test_calibration_uses_as_many_rows_as_requested() -> None:
    validation = binary(400, seed=1)
    validation.labels[50:] = 1  # by the first rows alone, the threshold is in the middle
    few, many = (
        trained(binary(), "binary_classifier", validation, num_models=1, num_calibration_samples=number)
        for number in (50, 400)
    )
    assert 0.3 < predictions(few, validation).mean() < 0.7
    assert predictions(many, validation).mean() > 0.9


def test_positive_examples_have_the_given_weight() -> None:
    data = imbalanced()
    means = [
        scores(one(data, "binary_classifier", positive_example_weight_mult=weight, epochs=30), data).mean()
        for weight in (0.5, 1.0, 5.0, "balanced")
    ]
    assert means == sorted(means)
    assert means[1] == pytest.approx(data.labels.mean(), abs=0.02)
    balanced = scores(one(data, "binary_classifier", positive_example_weight_mult="balanced", epochs=30), data)
    both = [balanced[data.labels == label].mean() for label in (0, 1)]
    assert np.mean(both) == pytest.approx(0.5, abs=0.1)


def test_automatically_both_weights_are_tried() -> None:
    found = {
        by("f_beta", positive_example_weight_mult=weight).setting.positive_weight for weight in ("1.0", "balanced")
    }
    recorder, fitted = recorded(imbalanced(), "binary_classifier", positive_example_weight_mult="auto", num_models=2)
    assert fitted.setting.positive_weight in found
    assert recorder.train[0][0] != recorder.train[0][1]


def test_balanced_classes_have_the_same_weight() -> None:
    data = multiclass(2000, share=(0.9, 0.05, 0.05))
    plain, balanced = (
        one(data, "multiclass_classifier", balance_multiclass_weights=switch) for switch in ("false", "true")
    )
    rare = data.labels > 0
    assert (predictions(balanced, data)[rare] == data.labels[rare]).mean() > 0.7
    assert (predictions(plain, data)[rare] == data.labels[rare]).mean() < 0.65


# Losses.


def regressed(data: Table, loss: str, **given: Any) -> Array:
    fitted = one(data, "regressor", loss=loss, learning_rate=0.01, epochs=60, early_stopping_patience=100, **given)
    return np.asarray(fitted.model.outputs(data.features)[:, 0])


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_labels_are_above_their_quantile_with_its_probability(quantile: float) -> None:
    data = regression(2000, noise=5)
    assert (data.labels > regressed(data, "quantile_loss", quantile=quantile)).mean() == pytest.approx(
        quantile, abs=0.03
    )


def with_outliers() -> Table:
    data = regression()
    data.labels[::10] += 100
    return data


def test_huber_loss_is_squared_below_its_delta_and_absolute_above() -> None:
    data, clean = with_outliers(), regression()
    bias = {
        delta: float(np.median(regressed(data, "huber_loss", huber_delta=delta) - clean.labels))
        for delta in (0.01, 100)
    }
    assert bias[0.01] < 1 < 8 < bias[100] == pytest.approx(10, abs=2)


def test_absolute_loss_disregards_outliers_and_squared_loss_does_not() -> None:
    data, clean = with_outliers(), regression()
    assert abs(np.median(regressed(data, "absolute_loss") - clean.labels)) < 1
    assert np.median(regressed(data, "squared_loss") - clean.labels) == pytest.approx(10, abs=2)


@pytest.mark.parametrize("loss", ["eps_insensitive_squared_loss", "eps_insensitive_absolute_loss"])
def test_errors_below_the_insensitivity_change_nothing(loss: str) -> None:
    data = regression()
    start = one(data, "regressor", learning_rate=1e-12).model.weights
    insensitive = one(data, "regressor", loss=loss, loss_insensitivity=10).model.weights
    assert insensitive == pytest.approx(start, abs=1e-6)
    assert one(data, "regressor", loss=loss, loss_insensitivity=0.01).model.weights != pytest.approx(start, abs=0.1)


def test_the_margin_is_that_of_the_hinge() -> None:
    data = binary(noise=0.1)
    given: dict[str, Any] = {"loss": "hinge_loss", "learning_rate": 0.05, "epochs": 60, "early_stopping_patience": 100}
    near, far = (
        np.quantile(np.abs(one(data, "binary_classifier", margin=margin, **given).model.outputs(data.features)), 0.5)
        for margin in (0.1, 10)
    )
    assert far > 3 * near


def test_the_scores_of_the_hinge_are_no_probabilities() -> None:
    data = binary(noise=0.1)
    found = scores(one(data, "binary_classifier", loss="hinge_loss"), data)
    assert found.min() < -1
    assert found.max() > 1


# The choice of the model.


def test_the_best_epoch_is_kept() -> None:
    # A rate so high that training gets worse: the first epochs are the best.
    recorder, fitted = recorded(
        *(regression(noise=5), "regressor", regression(seed=1, noise=5)),
        num_models=1,
        learning_rate=3.0,
        use_lr_scheduler="false",
        early_stopping_patience=100,
    )
    validation = regression(seed=1, noise=5)
    kept = float(np.mean((fitted.model.outputs(validation.features)[:, 0] - validation.labels) ** 2))
    assert kept == pytest.approx(min(each[0] for each in recorder.validation), rel=1e-3)
    assert kept < recorder.validation[-1][0]


def test_the_best_of_the_models_is_chosen_on_validation_data() -> None:
    validation = regression(seed=1)
    recorder, fitted = recorded(regression(), "regressor", validation)
    kept = float(np.mean((fitted.model.outputs(validation.features)[:, 0] - validation.labels) ** 2))
    assert kept == pytest.approx(np.min(recorder.validation), rel=1e-3)
    assert {name for name, _ in recorder.criteria} == {"mse_objective"}
    assert recorder.criteria[-1][1] == pytest.approx(min(recorder.validation[-1]))


def test_of_epochs_with_the_same_criterion_the_one_with_the_least_loss_is_kept() -> None:
    random = np.random.default_rng(0)
    apart = table(random.normal(size=(200, 2)) + np.tile([[0], [9]], (100, 2)), np.tile([0, 1], 100))
    recorder, fitted = recorded(apart, "binary_classifier", apart, early_stopping_patience=5)
    assert [value for _, value in recorder.criteria] == [1.0] * 6
    outputs = fitted.model.outputs(apart.features)[:, 0]
    kept = float(np.log1p(np.exp(-np.where(apart.labels == 1, 1, -1) * outputs)).mean())
    assert kept == pytest.approx(min(recorder.validation[-1]), rel=1e-3)
    assert kept < min(recorder.validation[0]) / 2


@pytest.mark.parametrize(("criterion", "chosen"), [("accuracy", 1), ("loss_function", 0)])
def test_the_criterion_takes_precedence_over_the_loss(criterion: str, chosen: int) -> None:
    labels = np.tile([0, 1], 50)
    mostly = np.where(np.arange(100) < 10, 1 - labels, labels)
    data = table(np.column_stack([2 * mostly - 1, 2 * labels - 1]), labels)
    given = {"predictor_type": "binary_classifier", "num_models": "2", "normalize_data": "false"}
    values = validate({**given, "binary_classifier_model_selection_criteria": criterion})
    setting = settings(values, columns=3, negatives_per_positive=1.0)
    models = ParallelModels(values, setting, loss_of(values), 3)
    # The first model is mostly right, with small errors; the second is always right, with a threshold of 20.
    models.weights[:] = [[2, 0], [0, 0.1], [0, 20]]
    judge = Judge(values, design(data, Scaling.of(data, values)), data.labels, lambda outputs: outputs)
    found = judge.choose(models, judge.losses(models))
    assert found.number == chosen
    assert found.threshold == pytest.approx(20 if chosen else 0)


def test_the_criterion_is_watched_on_validation_data_and_the_loss_without() -> None:
    on_validation, _ = recorded(binary(), "binary_classifier", binary(seed=1))
    assert {name for name, _ in on_validation.criteria} == {"sampled_accuracy"}
    without, _ = recorded(binary(), "binary_classifier")
    assert {name for name, _ in without.criteria} == {"binary_classification_cross_entropy_objective"}
    assert without.criteria[-1][1] == min(without.train[-1])


def test_a_constant_feature_changes_nothing() -> None:
    data = binary()
    constant = np.full((data.rows, 1), 1e6, np.float32)
    fitted = trained(table(np.hstack([data.features, constant]), data.labels), "binary_classifier")
    assert np.isfinite(fitted.model.weights).all()
    assert (predictions(fitted, table(np.hstack([data.features, constant]), data.labels)) == data.labels).mean() > 0.75

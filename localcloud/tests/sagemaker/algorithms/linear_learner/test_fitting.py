"""Training as a whole: sparse rows equal dense ones, the outcome is reproducible, and it can end at any time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sagemaker.algorithms.linear_learner.learning import (
    DATA,
    KINDS,
    Table,
    binary,
    one,
    regression,
    table,
    trained,
)

from localcloud.sagemaker.algorithms.linear_learner import hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.fitting import fit
from localcloud.sagemaker.algorithms.linear_learner.progress import Silent
from localcloud.sagemaker.jobs.child import UserError


def sparse(data: Table) -> Table:
    return Table(scipy.sparse.csr_matrix(data.features), data.labels)


def with_zeros(data: Table) -> Table:
    features = data.features.copy()
    features[np.random.default_rng(5).uniform(size=features.shape) < 0.7] = 0
    return Table(features, data.labels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_gives_the_same_model_bit_by_bit(kind: str) -> None:
    first, second = (trained(DATA[kind](), kind, DATA[kind](seed=1)) for _ in range(2))
    assert first.model.weights.tobytes() == second.model.weights.tobytes()
    assert first.model.bias.tobytes() == second.model.bias.tobytes()
    assert (first.model.threshold, first.setting) == (second.model.threshold, second.setting)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unbias", ["true", "false"])
def test_sparse_rows_give_the_model_of_dense_ones(kind: str, unbias: str) -> None:
    data, validation = with_zeros(DATA[kind]()), with_zeros(DATA[kind](seed=1))
    dense = trained(data, kind, validation, unbias_data=unbias, num_models=2, epochs=3)
    found = trained(sparse(data), kind, sparse(validation), unbias_data=unbias, num_models=2, epochs=3)
    assert found.model.weights == pytest.approx(dense.model.weights, rel=1e-2, abs=1e-4)
    assert found.model.outputs(sparse(data).features) == pytest.approx(
        dense.model.outputs(data.features), rel=1e-2, abs=1e-3
    )


def test_automatically_sparse_rows_are_scaled_but_not_shifted() -> None:
    data = with_zeros(binary())
    automatic, shifted, unshifted = (
        one(sparse(data), "binary_classifier", unbias_data=unbias).model.weights.tolist()
        for unbias in ("auto", "true", "false")
    )
    assert automatic == unshifted != shifted


def test_an_empty_column_of_sparse_rows_has_no_effect() -> None:
    data = binary()
    wider = table(np.hstack([data.features, np.zeros((data.rows, 3))]), data.labels)
    model = one(sparse(wider), "binary_classifier", wd=0.1, epochs=40, early_stopping_patience=100).model
    assert np.isfinite(model.weights).all()
    assert (model.labels(model.outputs(wider.features)) == data.labels).mean() > 0.75


def test_rows_that_do_not_fill_a_mini_batch_are_left_out() -> None:
    data = regression(130)
    changed = Table(data.features.copy(), data.labels.copy())
    changed.features[120:] = 1e3
    given = {"num_point_for_scaler": 100}
    expected = one(data, "regressor", **given).model.weights
    assert one(changed, "regressor", **given).model.weights.tolist() == expected.tolist()
    assert one(changed, "regressor", **given, mini_batch_size=130).model.weights.tolist() != expected.tolist()


def test_a_mini_batch_may_not_be_larger_than_the_data() -> None:
    with pytest.raises(UserError) as refused:
        trained(binary(100), "binary_classifier", mini_batch_size=101)
    assert str(refused.value) == (
        "No training data processed. Either the training channel is empty or the mini-batch size is too high. Verify "
        "that training data contains non-empty files and the mini-batch size is less than the number of records per "
        "training host. (mini_batch_size is 101, there are 100 records.)"
    )
    trained(binary(100), "binary_classifier", mini_batch_size=100)


def test_a_training_that_diverges_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"Training diverged: no model's loss stayed finite\."):
        trained(regression(), "regressor", optimizer="sgd", learning_rate=1e30)


def test_weights_that_are_too_large_without_scaling_are_refused() -> None:
    rows = table(np.array([[0.0]] * 4 + [[0.03125]]), np.array([0.0] * 4 + [3e38]))
    with pytest.raises(UserError, match=r"the weights are too large for their 32 bits\."):
        trained(rows, "regressor", mini_batch_size=2, epochs=3)


def test_a_model_that_diverges_does_not_affect_the_others() -> None:
    data = regression(noise=0.1)
    # Without scaling, the large rates of the grid are far too large for the large feature; the small ones aren't.
    given = {"optimizer": "sgd", "momentum": 0, "normalize_data": "false", "unbias_data": "false", "epochs": 50}
    data.features[:, 1] -= 50
    model = trained(data, "regressor", **given).model
    assert np.std(model.outputs(data.features)[:, 0] - data.labels) < 0.5


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_stopped_training_ends_with_the_model_so_far(after: int) -> None:
    calls = 0

    def stopped() -> bool:
        nonlocal calls
        calls += 1
        return calls >= after

    data = regression()
    values = hyperparameters.validate({"predictor_type": "regressor", "mini_batch_size": "40", "epochs": "1000"})
    model = fit(values, data, None, Silent(), stopped).model
    assert after <= calls <= after + 1
    error = float(np.std(model.outputs(data.features)[:, 0] - data.labels))
    assert error < data.labels.std() * {1: 1.1, 7: 0.7, 40: 0.3}[after]


@settings(max_examples=60)
@given(data=st.data())
def test_any_finite_rows_give_a_finite_model_or_a_refusal(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    width = data.draw(st.integers(1, 4))
    numbers = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, 3e38, -3e38, 1e-38])
    features = data.draw(st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=4, max_size=12))
    labels = {"binary_classifier": st.integers(0, 1), "multiclass_classifier": st.integers(0, 2)}.get(kind, numbers)
    rows = table(
        np.array(features), np.array(data.draw(st.lists(labels, min_size=len(features), max_size=len(features))))
    )
    rows = sparse(rows) if data.draw(st.booleans()) else rows
    try:
        fitted = trained(rows, kind, mini_batch_size=2, epochs=3)
    except UserError:
        return
    assert np.isfinite(fitted.model.weights).all()
    assert np.isfinite(fitted.model.bias).all()

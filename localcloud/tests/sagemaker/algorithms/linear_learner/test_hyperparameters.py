"""Hyperparameters: their defaults, and the messages for invalid values."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import validate
from localcloud.sagemaker.jobs.child import UserError

BINARY = {"predictor_type": "binary_classifier"}


def refusal(given: dict[str, str]) -> str:
    with pytest.raises(UserError) as refused:
        validate(given)
    return str(refused.value)


def test_the_defaults_are_those_of_the_developer_guide() -> None:
    values = validate(BINARY)
    assert (values.epochs, values.mini_batch_size, values.num_models, values.feature_dim) == (15, 1000, None, None)
    assert (values.loss, values.optimizer, values.num_classes) == ("logistic", "adam", 1)
    assert (values.learning_rate, values.wd, values.l1, values.momentum) == (None, None, None, None)
    assert (values.use_lr_scheduler, values.use_bias, values.normalize_data) == (True, True, True)
    assert (values.normalize_label, values.unbias_data, values.unbias_label) == (None, None, None)
    assert (values.num_point_for_scaler, values.num_calibration_samples) == (10_000, None)
    assert (values.early_stopping_patience, values.early_stopping_tolerance) == (3, 0.001)
    assert (values.init_method, values.init_scale, values.init_sigma, values.init_bias) == ("uniform", 0.07, 0.01, 0.0)
    assert values.binary_classifier_model_selection_criteria == "accuracy"
    assert (values.target_precision, values.target_recall, values.f_beta) == (0.8, 0.8, 1.0)
    assert (values.positive_example_weight_mult, values.balance_multiclass_weights) == (1.0, False)
    assert (values.accuracy_top_k, values.margin, values.quantile) == (3, 1.0, 0.5)
    assert (values.loss_insensitivity, values.huber_delta) == (0.01, 1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {},
            "No value(s) were specified for 'predictor_type' which are required hyperparameter(s) "
            "(caused by ValidationError)\n\nCaused by: 'predictor_type' is a required property",
        ),
        (
            {"predictor_type": "multiclass_classifier"},
            "No value(s) were specified for 'num_classes' which are required hyperparameter(s) "
            "(caused by ValidationError)\n\nCaused by: 'num_classes' is a required property",
        ),
        (
            BINARY | {"eta": "1"},
            "Additional hyperparameters are not allowed ('eta' was unexpected) (caused by ValidationError)\n\n"
            "Caused by: Additional properties are not allowed ('eta' was unexpected)",
        ),
        (
            BINARY | {"eta": "1", "gamma": "1"},
            "Additional hyperparameters are not allowed ('eta', 'gamma' were unexpected) (caused by ValidationError)"
            "\n\nCaused by: Additional properties are not allowed ('eta', 'gamma' were unexpected)",
        ),
        (
            BINARY | {"optimizer": "adagrad"},
            "The value 'adagrad' is not valid for the 'optimizer' hyperparameter which accepts one of the following: "
            "'auto', 'adam', 'sgd', 'rmsprop' (caused by ValidationError)\n\n"
            "Caused by: 'adagrad' is not valid under any of the given schemas",
        ),
        (
            BINARY | {"wd": "-1"},
            "The value '-1' is not valid for the 'wd' hyperparameter which expects one of the following: a number of "
            "at least 0; or the string 'auto' (caused by ValidationError)\n\n"
            "Caused by: '-1' is not valid under any of the given schemas",
        ),
        (
            BINARY | {"loss": "huber_loss"},
            "The value 'huber_loss' is not valid for the 'loss' hyperparameter which with the predictor_type "
            "'binary_classifier' accepts one of the following: 'auto', 'logistic', 'hinge_loss' (caused by "
            "ValidationError)\n\nCaused by: 'huber_loss' is not valid under any of the given schemas",
        ),
    ],
)
def test_a_refusal_has_the_message_of_the_services_toolkit(given: dict[str, str], message: str) -> None:
    assert refusal(given) == message


POSITIVE_INTEGERS = ("epochs", "mini_batch_size", "num_point_for_scaler", "accuracy_top_k", "early_stopping_patience")
POSITIVE_INTEGERS_OR_AUTO = ("num_models", "feature_dim", "lr_scheduler_step", "num_calibration_samples")
POSITIVE = (
    *("init_scale", "init_sigma", "f_beta", "early_stopping_tolerance", "margin", "loss_insensitivity", "huber_delta"),
)
POSITIVE_OR_AUTO = ("learning_rate", "bias_lr_mult", "lr_scheduler_minimum_lr", "positive_example_weight_mult")
NOT_NEGATIVE_OR_AUTO = ("wd", "l1", "bias_wd_mult")
SWITCHES = ("use_bias", "use_lr_scheduler", "balance_multiclass_weights")
SWITCHES_OR_AUTO = ("normalize_data", "normalize_label", "unbias_data", "unbias_label")
CHOICES = ("predictor_type", "loss", "optimizer", "init_method", "binary_classifier_model_selection_criteria")
DECAYS = ("momentum", "beta_1", "beta_2")
UNITS = ("target_precision", "target_recall")

BAD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(POSITIVE_INTEGERS, ("0", "-1", "1.5", "auto", "", "ten", "1_0")),
    **dict.fromkeys(POSITIVE_INTEGERS_OR_AUTO, ("0", "-1", "1.5", "", "Auto")),
    **dict.fromkeys(POSITIVE, ("0", "-0.1", "nan", "inf", "auto", "")),
    **dict.fromkeys(POSITIVE_OR_AUTO, ("0", "-0.1", "nan", "inf", "", "1_0.5")),
    **dict.fromkeys(NOT_NEGATIVE_OR_AUTO, ("-0.1", "nan", "inf", "")),
    **dict.fromkeys(SWITCHES, ("auto", "yes", "1", "")),
    **dict.fromkeys(SWITCHES_OR_AUTO, ("yes", "1", "")),
    **dict.fromkeys(CHOICES, ("something", "")),
    **dict.fromkeys(DECAYS, ("-0.1", "1", "1.5", "nan", "")),
    **dict.fromkeys(UNITS, ("-0.1", "1.1", "auto", "nan", "")),
    "quantile": ("0", "1", "auto"),
    "lr_scheduler_factor": ("0", "1.1", "-1"),
    "init_bias": ("auto", "nan", ""),
    "num_classes": ("2", "1000001", "auto"),
}

GOOD: dict[str, tuple[tuple[str, Any], ...]] = {
    **dict.fromkeys(POSITIVE_INTEGERS, (("1", 1), ("20000", 20_000))),
    **dict.fromkeys(POSITIVE_INTEGERS_OR_AUTO, (("1", 1), ("auto", None))),
    **dict.fromkeys(POSITIVE, (("1e-9", 1e-9), ("7", 7.0))),
    **dict.fromkeys(POSITIVE_OR_AUTO[:-1], (("1e-9", 1e-9), ("auto", None))),
    **dict.fromkeys(NOT_NEGATIVE_OR_AUTO, (("0", 0.0), ("auto", None))),
    **dict.fromkeys(SWITCHES, (("true", True), ("false", False), ("False", False))),
    **dict.fromkeys(SWITCHES_OR_AUTO, (("true", True), ("false", False), ("auto", None))),
    **dict.fromkeys(DECAYS, (("0", 0.0), ("0.999", 0.999), ("auto", None))),
    **dict.fromkeys(UNITS, (("0", 0.0), ("1", 1.0))),
    "positive_example_weight_mult": (("auto", "auto"), ("balanced", "balanced"), ("2.5", 2.5)),
    "quantile": (("0.01", 0.01),),
    "lr_scheduler_factor": (("1", 1.0), ("auto", None)),
    "init_bias": (("-3", -3.0),),
    "num_classes": (("3", 3), ("1000000", 1_000_000)),
}


def of_kind(name: str) -> dict[str, str]:
    return {"predictor_type": "multiclass_classifier", "num_classes": "3"} if name == "num_classes" else BINARY


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_a_value_out_of_range_is_refused(name: str, text: str) -> None:
    assert f"The value {text!r} is not valid for the {name!r} hyperparameter" in refusal(of_kind(name) | {name: text})


@pytest.mark.parametrize(
    ("name", "text", "value"), [(name, text, value) for name, each in GOOD.items() for text, value in each]
)
def test_a_value_in_range_is_accepted(name: str, text: str, value: Any) -> None:
    assert getattr(validate(of_kind(name) | {name: text}), name) == value


def test_every_hyperparameter_is_tested() -> None:
    assert set(BAD) == set(vars(validate(BINARY)))


@pytest.mark.parametrize(
    ("kind", "losses"),
    [
        ("binary_classifier", ["logistic", "hinge_loss"]),
        ("multiclass_classifier", ["softmax_loss"]),
        (
            "regressor",
            [
                *("squared_loss", "absolute_loss", "eps_insensitive_squared_loss"),
                *("eps_insensitive_absolute_loss", "quantile_loss", "huber_loss"),
            ],
        ),
    ],
)
def test_each_kind_has_its_losses_and_the_first_is_automatic(kind: str, losses: list[str]) -> None:
    given = {"predictor_type": kind, "num_classes": "3"}
    assert validate(given).loss == losses[0]
    assert [validate(given | {"loss": loss}).loss for loss in losses] == losses


def test_the_number_of_classes_is_ignored_where_there_are_no_classes_to_count() -> None:
    assert validate(BINARY | {"num_classes": "7"}).num_classes == 1


def test_a_job_of_the_tuner_trains_one_model() -> None:
    tuned = BINARY | {"_tuning_objective_metric": "validation:objective_loss", "num_models": "8"}
    assert validate(tuned).num_models == 1

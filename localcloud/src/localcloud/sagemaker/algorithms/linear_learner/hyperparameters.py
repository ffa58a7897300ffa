"""The hyperparameters: their defaults, allowed values and error messages.

The names, ranges and defaults are the developer guide's. The messages are those of the toolkit that the service's own
algorithms share, as far as reports of failed jobs show them; the descriptions of ranges are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.algorithms.linear_learner.rules import (
    ANY,
    AUTO,
    DECAY,
    FACTOR,
    INSIDE,
    NOT_NEGATIVE,
    POSITIVE,
    UNIT,
    Rule,
    choice,
    integer,
    number,
    switch,
)
from localcloud.sagemaker.jobs.child import UserError

_LOSSES = {
    "binary_classifier": ("logistic", "hinge_loss"),
    "multiclass_classifier": ("softmax_loss",),
    "regressor": (
        *("squared_loss", "absolute_loss", "eps_insensitive_squared_loss", "eps_insensitive_absolute_loss"),
        *("quantile_loss", "huber_loss"),
    ),
}


@dataclass(frozen=True)
class Hyperparameters:
    """The values of the hyperparameters; None is ``auto``.

    ``num_classes`` is 1 except for a multiclass classifier; ``loss`` and ``optimizer`` are never auto.
    """

    predictor_type: str
    num_classes: int
    loss: str
    optimizer: str
    epochs: int
    mini_batch_size: int
    num_models: int | None
    feature_dim: int | None
    learning_rate: float | None
    wd: float | None
    l1: float | None
    momentum: float | None
    beta_1: float | None
    beta_2: float | None
    bias_lr_mult: float | None
    bias_wd_mult: float | None
    use_bias: bool
    use_lr_scheduler: bool
    lr_scheduler_step: int | None
    lr_scheduler_factor: float | None
    lr_scheduler_minimum_lr: float | None
    init_method: str
    init_scale: float
    init_sigma: float
    init_bias: float
    normalize_data: bool | None
    normalize_label: bool | None
    unbias_data: bool | None
    unbias_label: bool | None
    num_point_for_scaler: int
    num_calibration_samples: int | None
    binary_classifier_model_selection_criteria: str
    target_precision: float
    target_recall: float
    f_beta: float
    positive_example_weight_mult: float | str
    balance_multiclass_weights: bool
    accuracy_top_k: int
    early_stopping_patience: int
    early_stopping_tolerance: float
    margin: float
    quantile: float
    loss_insensitivity: float
    huber_delta: float


_RULES: Mapping[str, Rule] = {
    "predictor_type": choice(None, *_LOSSES),
    "num_classes": integer("1"),
    "loss": choice(AUTO, AUTO, *(loss for losses in _LOSSES.values() for loss in losses)),
    "optimizer": choice(AUTO, AUTO, "adam", "sgd", "rmsprop"),
    "epochs": integer("15"),
    "mini_batch_size": integer("1000"),
    "num_models": integer(AUTO, auto=True),
    "feature_dim": integer(AUTO, auto=True),
    "learning_rate": number(AUTO, POSITIVE, AUTO),
    "wd": number(AUTO, NOT_NEGATIVE, AUTO),
    "l1": number(AUTO, NOT_NEGATIVE, AUTO),
    "momentum": number(AUTO, DECAY, AUTO),
    "beta_1": number(AUTO, DECAY, AUTO),
    "beta_2": number(AUTO, DECAY, AUTO),
    "bias_lr_mult": number(AUTO, POSITIVE, AUTO),
    "bias_wd_mult": number(AUTO, NOT_NEGATIVE, AUTO),
    "use_bias": switch("true"),
    "use_lr_scheduler": switch("true"),
    "lr_scheduler_step": integer(AUTO, auto=True),
    "lr_scheduler_factor": number(AUTO, FACTOR, AUTO),
    "lr_scheduler_minimum_lr": number(AUTO, POSITIVE, AUTO),
    "init_method": choice("uniform", "uniform", "normal"),
    "init_scale": number("0.07", POSITIVE),
    "init_sigma": number("0.01", POSITIVE),
    "init_bias": number("0.0", ANY),
    "normalize_data": switch("true", auto=True),
    "normalize_label": switch(AUTO, auto=True),
    "unbias_data": switch(AUTO, auto=True),
    "unbias_label": switch(AUTO, auto=True),
    "num_point_for_scaler": integer("10000"),
    "num_calibration_samples": integer(AUTO, auto=True),
    "binary_classifier_model_selection_criteria": choice(
        "accuracy",
        *("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"),
    ),
    "target_precision": number("0.8", UNIT),
    "target_recall": number("0.8", UNIT),
    "f_beta": number("1.0", POSITIVE),
    "positive_example_weight_mult": number("1.0", POSITIVE, AUTO, "balanced"),
    "balance_multiclass_weights": switch("false"),
    "accuracy_top_k": integer("3"),
    "early_stopping_patience": integer("3"),
    "early_stopping_tolerance": number("0.001", POSITIVE),
    "margin": number("1.0", POSITIVE),
    "quantile": number("0.5", INSIDE),
    "loss_insensitivity": number("0.01", POSITIVE),
    "huber_delta": number("1.0", POSITIVE),
}
_CLASSES = integer(None, 3, 1_000_000)

# Undocumented ones, which the service's tuner and its own tests pass. Only the first has a meaning here: a job of
# the tuner trains one model.
_TUNING = "_tuning_objective_metric"
_PRIVATE = (_TUNING, "_num_gpus", "_num_kv_servers", "_kvstore", "_log_level", "_enable_profiler", "_ftp_port")


def defaults() -> dict[str, str]:
    """Return the default configuration by name, as text; a request's hyperparameters replace its values."""
    return {name: rule.default for name, rule in _RULES.items() if rule.default is not None}


def validate(given: Mapping[str, str]) -> Hyperparameters:
    """Return the values of a request's hyperparameters, which are given as text by name.

    Raises:
        UserError: One is missing, unknown, or has an invalid value.
    """
    unknown = [name for name in given if name not in _RULES and name not in _PRIVATE]
    if unknown:
        listed = f"({', '.join(f'{name!r}' for name in unknown)} {'was' if len(unknown) == 1 else 'were'} unexpected)"
        raise _refusal(
            f"Additional hyperparameters are not allowed {listed}",
            f"Additional properties are not allowed {listed}",
        )
    if "predictor_type" not in given:
        raise _missing("predictor_type")
    values = {name: _read(name, rule, given.get(name, rule.default or "")) for name, rule in _RULES.items()}
    values["num_classes"] = _classes(given)
    values["loss"] = _loss(values["predictor_type"], values["loss"])
    values["optimizer"] = "adam" if values["optimizer"] == AUTO else values["optimizer"]
    if given.get(_TUNING):
        values["num_models"] = 1
    return Hyperparameters(**values)


def _read(name: str, rule: Rule, text: str) -> Any:
    try:
        return rule.read(text)
    except ValueError as error:
        raise _invalid(name, text, rule.expected) from error


def _classes(given: Mapping[str, str]) -> int:
    if given["predictor_type"] != "multiclass_classifier":
        return 1
    if "num_classes" not in given:
        raise _missing("num_classes")
    return int(_read("num_classes", _CLASSES, given["num_classes"]))


def _loss(predictor_type: str, loss: str) -> str:
    known = _LOSSES[predictor_type]
    if loss == AUTO:
        return known[0]
    if loss not in known:
        raise _invalid(
            "loss", loss, f"with the predictor_type {predictor_type!r} {choice(None, AUTO, *known).expected}"
        )
    return loss


def _missing(name: str) -> UserError:
    return _refusal(
        f"No value(s) were specified for {name!r} which are required hyperparameter(s)",
        f"{name!r} is a required property",
    )


def _invalid(name: str, text: str, expected: str) -> UserError:
    return _refusal(
        f"The value {text!r} is not valid for the {name!r} hyperparameter which {expected}",
        f"{text!r} is not valid under any of the given schemas",
    )


def _refusal(message: str, cause: str) -> UserError:
    """Return an error of the toolkit's form: a message for the user, and the schema's own."""
    return UserError(f"{message} (caused by ValidationError)\n\nCaused by: {cause}")

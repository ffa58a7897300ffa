"""The hyperparameters: their defaults, what each may be, and the words that refuse it.

The names, ranges and defaults are the developer guide's; the words are those of the toolkit that the
service's own algorithms share, as captures of failed jobs show them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from localcloud.sagemaker.job_child import UserError

AUTO = "auto"
Automatic = Literal["auto"]

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
    """Typed values; None stands for ``auto``.

    ``num_classes`` is 1 unless the job is a multiclass classifier's; ``loss`` and ``optimizer`` are never auto.
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


@dataclass(frozen=True)
class _Rule:
    """One hyperparameter: its default, how it is read, and what is expected of it, in words."""

    default: str | None
    read: Callable[[str], Any]
    expected: str


def _choice(default: str | None, *values: str) -> _Rule:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return _Rule(default, read, f"accepts one of the following: {', '.join(f'{value!r}' for value in values)}")


def _switch(default: str, *, auto: bool = False) -> _Rule:
    known: dict[str, bool | None] = {"true": True, "false": False} | ({AUTO: None} if auto else {})
    words = ", ".join(f"{word!r}" for word in sorted(known))

    def read(text: str) -> bool | None:
        if text.lower() not in known:
            raise ValueError(text)
        return known[text.lower()]

    return _Rule(default, read, f"accepts one of the following: {words}")


def _without_underscores(text: str) -> str:
    """What Python reads as a number and the service's patterns don't: ``1_000``."""
    if "_" in text:
        raise ValueError(text)
    return text


def _integer(default: str | None, low: int = 1, high: int | None = None, *, auto: bool = False) -> _Rule:
    def read(text: str) -> int | None:
        if auto and text == AUTO:
            return None
        value = int(_without_underscores(text))
        if value < low or (high is not None and value > high):
            raise ValueError(text)
        return value

    span = f"an integer between {low} and {high}" if high is not None else f"an integer of at least {low}"
    return _Rule(default, read, _expects(span, *([AUTO] if auto else [])))


@dataclass(frozen=True)
class _Interval:
    """A range of numbers with its name; the ends belong to it unless they are open."""

    words: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below


_ANY = _Interval("a number")
_POSITIVE = _Interval("a number greater than 0", 0.0, low_open=True)
_NOT_NEGATIVE = _Interval("a number of at least 0", 0.0)
_UNIT = _Interval("a number between 0 and 1", 0.0, 1.0)
_DECAY = _Interval("a number from 0 to below 1", 0.0, 1.0, high_open=True)
_FACTOR = _Interval("a number above 0 and at most 1", 0.0, 1.0, low_open=True)
_INSIDE = _Interval("a number between 0 and 1, exclusive", 0.0, 1.0, low_open=True, high_open=True)


def _number(default: str, interval: _Interval, *words: str) -> _Rule:
    """A number in a range, or one of the words; ``auto`` is read as None, any other word as itself."""

    def read(text: str) -> float | str | None:
        if text in words:
            return None if words == (AUTO,) else text
        value = float(_without_underscores(text))
        if not math.isfinite(value) or value not in interval:
            raise ValueError(text)
        return value

    return _Rule(default, read, _expects(interval.words, *words))


def _expects(span: str, *words: str) -> str:
    if not words:
        return f"expects {span}"
    return f"expects one of the following: {'; or '.join([span, *(f'the string {word!r}' for word in words)])}"


_RULES: Mapping[str, _Rule] = {
    "predictor_type": _choice(None, *_LOSSES),
    "num_classes": _integer("1"),
    "loss": _choice(AUTO, AUTO, *(loss for losses in _LOSSES.values() for loss in losses)),
    "optimizer": _choice(AUTO, AUTO, "adam", "sgd", "rmsprop"),
    "epochs": _integer("15"),
    "mini_batch_size": _integer("1000"),
    "num_models": _integer(AUTO, auto=True),
    "feature_dim": _integer(AUTO, auto=True),
    "learning_rate": _number(AUTO, _POSITIVE, AUTO),
    "wd": _number(AUTO, _NOT_NEGATIVE, AUTO),
    "l1": _number(AUTO, _NOT_NEGATIVE, AUTO),
    "momentum": _number(AUTO, _DECAY, AUTO),
    "beta_1": _number(AUTO, _DECAY, AUTO),
    "beta_2": _number(AUTO, _DECAY, AUTO),
    "bias_lr_mult": _number(AUTO, _POSITIVE, AUTO),
    "bias_wd_mult": _number(AUTO, _NOT_NEGATIVE, AUTO),
    "use_bias": _switch("true"),
    "use_lr_scheduler": _switch("true"),
    "lr_scheduler_step": _integer(AUTO, auto=True),
    "lr_scheduler_factor": _number(AUTO, _FACTOR, AUTO),
    "lr_scheduler_minimum_lr": _number(AUTO, _POSITIVE, AUTO),
    "init_method": _choice("uniform", "uniform", "normal"),
    "init_scale": _number("0.07", _POSITIVE),
    "init_sigma": _number("0.01", _POSITIVE),
    "init_bias": _number("0.0", _ANY),
    "normalize_data": _switch("true", auto=True),
    "normalize_label": _switch(AUTO, auto=True),
    "unbias_data": _switch(AUTO, auto=True),
    "unbias_label": _switch(AUTO, auto=True),
    "num_point_for_scaler": _integer("10000"),
    "num_calibration_samples": _integer(AUTO, auto=True),
    "binary_classifier_model_selection_criteria": _choice(
        "accuracy",
        *("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"),
    ),
    "target_precision": _number("0.8", _UNIT),
    "target_recall": _number("0.8", _UNIT),
    "f_beta": _number("1.0", _POSITIVE),
    "positive_example_weight_mult": _number("1.0", _POSITIVE, AUTO, "balanced"),
    "balance_multiclass_weights": _switch("false"),
    "accuracy_top_k": _integer("3"),
    "early_stopping_patience": _integer("3"),
    "early_stopping_tolerance": _number("0.001", _POSITIVE),
    "margin": _number("1.0", _POSITIVE),
    "quantile": _number("0.5", _INSIDE),
    "loss_insensitivity": _number("0.01", _POSITIVE),
    "huber_delta": _number("1.0", _POSITIVE),
}
_CLASSES = _integer(None, 3, 1_000_000)

# What the service's tuner and its own tests pass beside the documented ones. Only the first has a meaning
# here: a job of the tuner trains one model.
_TUNING = "_tuning_objective_metric"
_PRIVATE = (_TUNING, "_num_gpus", "_num_kv_servers", "_kvstore", "_log_level", "_enable_profiler", "_ftp_port")


def defaults() -> dict[str, str]:
    """The configuration that a request's hyperparameters are merged into, as text."""
    return {name: rule.default for name, rule in _RULES.items() if rule.default is not None}


def validate(given: Mapping[str, str]) -> Hyperparameters:
    """The typed values of a request's hyperparameters.

    Raises:
        UserError: one is missing, unknown, or has a value that it can't have.
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


def _read(name: str, rule: _Rule, text: str) -> Any:
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
            "loss", loss, f"with the predictor_type {predictor_type!r} {_choice(None, AUTO, *known).expected}"
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


def _refusal(told: str, cause: str) -> UserError:
    """An error as the toolkit words it: what is wrong for the user, and what its schema said."""
    return UserError(f"{told} (caused by ValidationError)\n\nCaused by: {cause}")

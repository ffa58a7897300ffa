"""The hyperparameters and their allowed values, checked in the container's order, with its messages."""

from __future__ import annotations

import ast
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from localcloud.sagemaker.algorithms.xgboost.definitions import MAXIMIZED, MINIMIZED
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError

Values = dict[str, Any]

_ALIASES = {
    "learning_rate": "eta",
    "min_split_loss": "gamma",
    "reg_lambda": "lambda",
    "reg_alpha": "alpha",
}


@dataclass(frozen=True)
class Interval:
    """A range of numbers, with its ends unless they are open; None for an end that is infinite."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: Any) -> bool:
        """Compare as the container does: what isn't beyond an end is within, and so is NaN."""
        return not (
            (self.low is not None and (value <= self.low if self.low_open else value < self.low))
            or (self.high is not None and (value >= self.high if self.high_open else value > self.high))
        )

    def __str__(self) -> str:
        low = "(-inf, " if self.low is None else f"{'(' if self.low_open else '['}{self.low}, "
        return low + ("+inf)" if self.high is None else f"{self.high}{')' if self.high_open else ']'}")


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter.

    Attributes:
        parse: Parses its text.
        allowed: Its allowed values.
        items: Returns the parts of its value, each of which has to be allowed; None if the value is one part.
    """

    parse: Callable[[str], Any]
    allowed: Container[Any]
    items: Callable[[Any], Iterable[Any]] | None = None

    def check(self, name: str, value: Any) -> None:
        """Check a value.

        Args:
            name: The hyperparameter's name, for the message.
            value: The value, parsed.

        Raises:
            UserError: The value isn't allowed.
            AlgorithmError: The value can't be compared.
        """
        try:
            if self.items is None:
                if value not in self.allowed:
                    raise UserError(f"Hyperparameter {name}: {value} is not in {self.allowed}")
            elif any(item not in self.allowed for item in self.items(value)):
                raise UserError(f"Hyperparameter {name}: value {value} not in range {self.allowed}")
        except TypeError as error:
            raise AlgorithmError(
                f"Hyperparameter {name}: unexpected failure when validating {value} (caused by TypeError)"
            ) from error


class _Metrics:
    """The names that eval_metric may have; error, ndcg and map may have a threshold (``error@0.7``)."""

    _names: ClassVar = [*MAXIMIZED, *MINIMIZED]
    _with_threshold = ("error", "ndcg", "map")

    def __contains__(self, metric: object) -> bool:
        if "<function" in str(metric):
            raise UserError(f"User defined evaluation metric {metric} is not supported yet.")
        name, *thresholds = str(metric).split("@")
        if not thresholds:
            return metric in self._names
        if name.strip() not in self._with_threshold:
            raise UserError(
                f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized threshold should "
                "be one of these options: 'error', 'ndcg', 'map'."
            )
        try:
            float(thresholds[0])
        except ValueError as error:
            raise UserError(f"Threshold value 't' in '{name.strip()}@t' expects float input.") from error
        return True

    def __str__(self) -> str:
        return str(self._names)


def _integer(low: int | None = None, high: int | None = None, *, low_open: bool = False) -> Hyperparameter:
    return Hyperparameter(int, Interval(low, high, low_open))


def _number(
    low: float | None = None, high: float | None = None, *, low_open: bool = False, high_open: bool = False
) -> Hyperparameter:
    return Hyperparameter(float, Interval(low, high, low_open, high_open))


def _choice(*values: str) -> Hyperparameter:
    return Hyperparameter(str, list(values))


def _tuple(text: str) -> Any:
    """Parse a literal, where the container evaluates an expression; it fails as an expression does."""
    try:
        return ast.literal_eval(text)
    except ValueError as error:
        raise AlgorithmError(f"monotone_constraints isn't a tuple such as (1,0,-1): {text}") from error


_UPDATERS = [
    *("grow_colmaker", "distcol", "grow_histmaker", "grow_skmaker", "sync", "refresh", "prune"),
    *("grow_colmaker", "distcol", "grow_histmaker", "grow_colmaker", "shotgun", "coord_descent", "refresh", "prune"),
]
_OBJECTIVES = (
    *("aft_loss_distribution", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson"),
    *("multi:softmax", "multi:softprob", "rank:pairwise", "rank:ndcg", "rank:map", "reg:linear"),
    *("reg:squarederror", "reg:logistic", "reg:gamma", "reg:pseudohubererror", "reg:squaredlogerror"),
    *("reg:absoluteerror", "reg:tweedie", "survival:aft", "survival:cox"),
)

_HYPERPARAMETERS: Mapping[str, Hyperparameter] = {
    "num_round": _integer(1),
    "csv_weights": _integer(0, 1),
    "early_stopping_rounds": _integer(1),
    "booster": _choice("gbtree", "gblinear", "dart"),
    "verbosity": _integer(0, 3),
    "nthread": _integer(1),
    "eta": _number(0, 1),
    "gamma": _number(0),
    "max_depth": _integer(0),
    "min_child_weight": _number(0),
    "max_delta_step": _number(0),
    "subsample": _number(0, 1, low_open=True),
    "colsample_bytree": _number(0, 1, low_open=True),
    "colsample_bylevel": _number(0, 1, low_open=True),
    "colsample_bynode": _number(0, 1, low_open=True),
    "lambda": _number(0),
    "alpha": _number(0),
    "tree_method": _choice("auto", "exact", "approx", "hist", "gpu_hist"),
    "sketch_eps": _number(0, 1, low_open=True, high_open=True),
    "scale_pos_weight": _number(0, low_open=True),
    "updater": Hyperparameter(lambda text: text.split(","), _UPDATERS, items=iter),
    "dsplit": _choice("row", "col"),
    "refresh_leaf": _integer(0, 1),
    "process_type": _choice("default", "update"),
    "grow_policy": _choice("depthwise", "lossguide"),
    "max_leaves": _integer(0),
    "max_bin": _integer(0),
    "predictor": _choice("auto", "cpu_predictor", "gpu_predictor"),
    "monotone_constraints": Hyperparameter(_tuple, [-1, 0, 1], items=iter),
    "interaction_constraints": Hyperparameter(
        ast.literal_eval, Interval(1), items=lambda groups: (feature for group in groups for feature in group)
    ),
    "sample_type": _choice("uniform", "weighted"),
    "normalize_type": _choice("tree", "forest"),
    "rate_drop": _number(0, 1),
    "one_drop": _integer(0, 1),
    "skip_drop": _number(0, 1),
    "lambda_bias": _number(0, 1),
    "tweedie_variance_power": _number(1, 2, low_open=True, high_open=True),
    "objective": _choice(*_OBJECTIVES),
    "num_class": _integer(2),
    "base_score": _number(0),
    "_kfold": _integer(2),
    "_num_cv_round": _integer(1),
    "_tuning_objective_metric": _choice(*(f"validation:{metric}" for metric in (*MAXIMIZED, *MINIMIZED))),
    "eval_metric": Hyperparameter(lambda text: text.split(","), _Metrics(), items=iter),
    "seed": Hyperparameter(int, Interval(-(2**31), 2**31 - 1, low_open=True, high_open=True)),
    "num_parallel_tree": _integer(1),
    "save_model_on_termination": _choice("true", "false"),
    "aft_loss_distribution": _choice("normal", "logistic", "extreme"),
    "aft_loss_distribution_scale": _number(0),
    "deterministic_histogram": _choice("true", "false"),
    "sampling_method": _choice("uniform", "gradient_based"),
    "prob_buffer_row": Hyperparameter(int, Interval(1.0, low_open=True)),
    "use_dask_gpu_training": _choice("true", "false"),
}


def validate(given: Mapping[str, str]) -> Values:
    """Return the values of the hyperparameters by name, without aliases.

    The checks are in the container's order: required ones; names and texts, as given; ranges; dependencies.

    Args:
        given: The request's hyperparameters.

    Raises:
        UserError: With the container's message.
        AlgorithmError: The container fails by itself.
        SyntaxError: The container fails by itself, as constraints aren't Python.
    """
    named = {_ALIASES.get(name, name): text for name, text in given.items()}
    if "num_round" not in named:
        raise UserError("Missing required hyperparameter: num_round")
    values = {name: _parsed(name, text) for name, text in named.items()}
    for name, value in values.items():
        _HYPERPARAMETERS[name].check(name, value)
    for name in values:
        if name in _DEPENDENCIES:
            _DEPENDENCIES[name](values)
    return values


def _parsed(name: str, text: str) -> Any:
    if name not in _HYPERPARAMETERS:
        raise UserError(f"Extraneous hyperparameter found: {name}")
    try:
        return _HYPERPARAMETERS[name].parse(text)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value (caused by ValueError)") from error


def _check_objective(values: Values) -> None:
    if values["objective"] in ("multi:softmax", "multi:softprob") and "num_class" not in values:
        raise UserError("Require input for parameter 'num_class' for multi-classification")


def _check_eval_metric(values: Values) -> None:
    if "objective" not in values:
        raise AlgorithmError("'objective': eval_metric can't be checked without the hyperparameter objective")
    # The container checks what a check depends on first.
    _check_objective(values)
    metrics, objective = values["eval_metric"], values["objective"]
    if "auc" in metrics and not objective.startswith(("binary:", "rank:")):
        raise UserError("Metric 'auc' can only be applied for classification and ranking problems.")
    if "aft-nloglik" in metrics and objective != "survival:aft":
        raise UserError("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.")


def _check_monotone_constraints(values: Values) -> None:
    if values.get("tree_method") not in ("exact", "hist"):
        raise UserError(
            "monotone_constraints can be used only when the tree_method parameter is set to either 'exact' or 'hist'."
        )


def _check_interaction_constraints(values: Values) -> None:
    if values.get("tree_method") not in ("exact", "hist", "approx"):
        raise UserError(
            "interaction_constraints can be used only when the tree_method parameter is set to "
            "either 'exact', 'hist' or 'approx'."
        )


_TREE_UPDATERS = (
    *("grow_colmaker", "distcol", "grow_histmaker", "grow_skmaker", "sync", "refresh", "prune"),
    "grow_quantile_histmaker",
)
_TREE_BUILDERS = ("grow_colmaker", "distcol", "grow_histmaker", "grow_quantile_histmaker")
_LINEAR_UPDATERS = ("shotgun", "coord_descent")


def _check_updater(values: Values) -> None:
    updaters = values["updater"]
    if values.get("booster") == "gblinear":
        if not (len(updaters) == 1 and updaters[0] in _LINEAR_UPDATERS):
            raise UserError("Linear updater should be one of these options: 'shotgun', 'coord_descent'.")
    elif values.get("process_type") == "update":
        if not all(updater in ("refresh", "prune") for updater in updaters):
            raise UserError("process_type 'update' can only be used with updater 'refresh' and 'prune'")
    elif not all(updater in _TREE_UPDATERS for updater in updaters):
        raise UserError(
            "Tree updater should be selected from these options: 'grow_colmaker', 'distcol', 'grow_histmaker', "
            "'grow_skmaker', 'grow_quantile_histmaker', 'sync', 'refresh', 'prune', 'shortgun', 'coord_descent'."
        )
    elif sum(updater in _TREE_BUILDERS for updater in updaters) > 1:
        raise UserError(
            "Only one tree grow plugin can be selected. Choose one from the"
            "following: 'grow_colmaker', 'distcol', 'grow_histmaker', 'grow_skmaker'"
        )


_DEPENDENCIES: Mapping[str, Callable[[Values], None]] = {
    "objective": _check_objective,
    "eval_metric": _check_eval_metric,
    "monotone_constraints": _check_monotone_constraints,
    "interaction_constraints": _check_interaction_constraints,
    "updater": _check_updater,
}

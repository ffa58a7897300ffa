"""SageMaker's built-in XGBoost, as a candidate.

Sources: the developer guide, "XGBoost hyperparameters"; the code of aws/sagemaker-xgboost-container, where it is
stricter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from typing_extensions import TypedDict, override

from sluice.declaration.candidates import Candidate, ChannelFormat, Objection, Objective
from sluice.declaration.hyperparameters import (
    AtLeastOne,
    Flag,
    Inside,
    NotNegative,
    Positive,
    Range,
    Share,
    ShareAboveZero,
    Whole,
    ZeroOrOne,
)
from sluice.declaration.problems import Binary, Count, Multiclass, Problem, Ranking, Regression
from sluice.declaration.tuning import Categorical, Continuous, Integer, Search

XGBoostObjective = Literal[
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:linear",
    "reg:squarederror",
    "reg:logistic",
    "reg:gamma",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:tweedie",
    "survival:aft",
    "survival:cox",
]

# As functions, since `lambda` is a keyword of Python.
XGBoostHyperparameters = TypedDict(
    "XGBoostHyperparameters",
    {
        "num_round": AtLeastOne,  # required, but a tuning may search it
        "objective": XGBoostObjective,
        "eval_metric": str,
        "num_class": Annotated[int, Range(2)],
        "booster": Literal["gbtree", "gblinear", "dart"],
        "eta": Share,
        "learning_rate": Share,
        "gamma": NotNegative,
        "min_split_loss": NotNegative,
        "max_depth": Whole,
        "min_child_weight": NotNegative,
        "max_delta_step": NotNegative,
        "subsample": ShareAboveZero,
        "sampling_method": Literal["uniform", "gradient_based"],
        "colsample_bytree": ShareAboveZero,
        "colsample_bylevel": ShareAboveZero,
        "colsample_bynode": ShareAboveZero,
        "lambda": NotNegative,
        "reg_lambda": NotNegative,
        "alpha": NotNegative,
        "reg_alpha": NotNegative,
        "lambda_bias": Share,
        "tree_method": Literal["auto", "exact", "approx", "hist", "gpu_hist"],
        "grow_policy": Literal["depthwise", "lossguide"],
        "max_leaves": Whole,
        "max_bin": Whole,
        "num_parallel_tree": AtLeastOne,
        "sketch_eps": Inside,
        "scale_pos_weight": Positive,
        "base_score": NotNegative,
        "early_stopping_rounds": AtLeastOne,
        "seed": Annotated[int, Range(-(2**31), 2**31 - 1, above=True, below=True)],
        "nthread": AtLeastOne,
        "verbosity": Annotated[int, Range(0, 3)],
        "csv_weights": ZeroOrOne,
        "sample_type": Literal["uniform", "weighted"],
        "normalize_type": Literal["tree", "forest"],
        "rate_drop": Share,
        "one_drop": ZeroOrOne,
        "skip_drop": Share,
        "tweedie_variance_power": Annotated[float, Range(1, 2, above=True, below=True)],
        "aft_loss_distribution": Literal["normal", "logistic", "extreme"],
        "aft_loss_distribution_scale": NotNegative,
        "monotone_constraints": str,
        "interaction_constraints": str,
        "updater": str,
        "process_type": Literal["default", "update"],
        "refresh_leaf": ZeroOrOne,
        "predictor": Literal["auto", "cpu_predictor", "gpu_predictor"],
        "dsplit": Literal["row", "col"],
        "prob_buffer_row": Annotated[int, Range(1, above=True)],
        "deterministic_histogram": Flag,
        "use_dask_gpu_training": Flag,
        "save_model_on_termination": Flag,
        "_kfold": Annotated[int, Range(2)],
        "_num_cv_round": AtLeastOne,
    },
    total=False,
)

_METRICS = frozenset(
    (
        *("accuracy", "aft-nloglik", "auc", "aucpr", "balanced_accuracy", "cox-nloglik", "error", "f1", "f1_binary"),
        *("f1_macro", "gamma-deviance", "gamma-nloglik", "interval-regression-accuracy", "logloss", "mae", "map"),
        *("mape", "merror", "mlogloss", "mphe", "mse", "ndcg", "poisson-nloglik", "precision", "precision_macro"),
        *("precision_micro", "r2", "recall", "recall_macro", "recall_micro", "rmse", "rmsle", "tweedie-nloglik"),
    )
)
_WITH_THRESHOLD = ("error", "map", "ndcg")  # such as error@0.7
_RANKED = ("binary:", "rank:")  # objectives whose scores have an AUC


# The first objective of a problem is the one that a message names. Those that answer no probability are left out.
_OBJECTIVES: Mapping[type[Problem], tuple[str, ...]] = {
    Binary: ("binary:logistic",),
    Multiclass: ("multi:softprob",),
    Regression: (
        "reg:squarederror",
        "reg:linear",
        "reg:pseudohubererror",
        "reg:squaredlogerror",
        "reg:absoluteerror",
        "reg:gamma",
    ),
    Count: ("count:poisson", "reg:tweedie"),
    Ranking: ("rank:ndcg", "rank:pairwise", "rank:map"),
}
_ALIASES = {"learning_rate": "eta", "min_split_loss": "gamma", "reg_lambda": "lambda", "reg_alpha": "alpha"}

# Developer guide, "Tune an XGBoost model"; the categories are in its examples of ranges.
_TUNABLE: Mapping[str, type[Search]] = {
    "alpha": Continuous,
    "booster": Categorical,
    "colsample_bylevel": Continuous,
    "colsample_bynode": Continuous,
    "colsample_bytree": Continuous,
    "eta": Continuous,
    "gamma": Continuous,
    "lambda": Continuous,
    "max_delta_step": Integer,
    "max_depth": Integer,
    "min_child_weight": Continuous,
    "num_round": Integer,
    "subsample": Continuous,
    "tree_method": Categorical,
}
_ERROR = (Objective("validation:rmse", "Minimize"), Objective("validation:mae", "Minimize"))
# There too. The container's own metrics of labels, accuracy and f1, are left out: XGBoost 3 has made them wrong.
_TUNED_FOR: Mapping[type[Problem], tuple[Objective, ...]] = {
    Binary: (
        Objective("validation:auc", "Maximize"),
        Objective("validation:logloss", "Minimize"),
        Objective("validation:error", "Minimize"),
    ),
    Multiclass: (Objective("validation:mlogloss", "Minimize"), Objective("validation:merror", "Minimize")),
    Regression: _ERROR,
    Count: _ERROR,
    Ranking: (Objective("validation:ndcg", "Maximize"),),
}


@dataclass(frozen=True)
class XGBoost(Candidate):
    """SageMaker's built-in XGBoost. The hyperparameters are checked against version 3.2.

    Args:
        hyperparameters: Values by the names that SageMaker's XGBoost gives them. ``num_round`` is required, unless it
            is searched, and an ``objective`` that fits the problem, such as ``binary:logistic``.
        name: A part of the names of training jobs: at most 19 of a-z, 0-9 and ``_``, starting with a letter.
        version: The version of the algorithm's image.
        instance_type: The SageMaker instance type of its jobs; it begins with ``ml.``.
        volume_gb: The size of a job's disk in GB, 1 to 16,384.
        spot: Train on spare capacity, which is cheaper and may be taken away: the longest time of a job from its start
            to its end, waits included, up to 28 days. None: on demand.
        channel_format: The format of the files that it trains on: ``csv``, ``libsvm``, ``parquet`` or ``recordio``. A
            ranking needs ``libsvm``.
        tuning: Search for some of the hyperparameters. None: train once, with those that are given.

    Raises:
        DeclarationError: a hyperparameter is missing or unknown, or the container would refuse its value.
    """

    algorithm: ClassVar[str] = "sluice.training.algorithms.xgboost:XGBoostAlgorithm"
    takes_missing: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    kind: ClassVar[Any] = XGBoostHyperparameters
    required: ClassVar[tuple[str, ...]] = ("num_round",)
    versions: ClassVar[tuple[str, ...]] = ("1.7-1", "3.0-5", "3.2-0")
    formats: ClassVar[tuple[ChannelFormat, ...]] = ("csv", "libsvm", "parquet", "recordio")
    tunable: ClassVar[Mapping[str, type[Search]]] = _TUNABLE
    objectives: ClassVar[Mapping[type[Problem], tuple[Objective, ...]]] = _TUNED_FOR

    hyperparameters: XGBoostHyperparameters
    name: str = "xgboost"
    version: str = "3.2-0"

    @override
    def objections(self) -> Iterator[Objection]:
        given: Mapping[str, Any] = {**self.hyperparameters}
        objective, method = given.get("objective", ""), given.get("tree_method")
        for alias, name in _ALIASES.items():
            if alias in given and name in given:
                yield Objection(alias, f"is another name of {name}, which is given too; leave one of the two out")
        if objective.startswith("multi:") and "num_class" not in given:
            yield Objection("objective", "needs num_class, the number of classes")
        if "eval_metric" in given:
            for metric in given["eval_metric"].split(","):
                yield from (Objection("eval_metric", reason) for reason in _against(metric, objective))
        if "monotone_constraints" in given and method not in ("exact", "hist"):
            yield Objection("monotone_constraints", "needs tree_method 'exact' or 'hist'")
        if "interaction_constraints" in given and method not in ("exact", "hist", "approx"):
            yield Objection("interaction_constraints", "needs tree_method 'exact', 'hist' or 'approx'")
        if "early_stopping_rounds" in given and "eval_metric" not in given:
            yield Objection("early_stopping_rounds", "has no effect in SageMaker's container without eval_metric")

    @override
    def problem_objections(self, problem: Problem) -> Iterator[Objection]:
        right = _OBJECTIVES.get(type(problem), ())
        if self.hyperparameters.get("objective") not in right:
            yield Objection("objective", f"does not fit {problem}; write it as {' or '.join(map(repr, right))}")
        elif isinstance(problem, Multiclass) and self.hyperparameters.get("num_class") != problem.classes:
            yield Objection("num_class", f"must be that of {problem}: {problem.classes}")
        elif isinstance(problem, Ranking) and problem.highest > 1:
            yield from self._of_relevances()

    def _of_relevances(self) -> Iterator[Objection]:
        """Yield what XGBoost measures by relevant or not only, and refuses for relevances above 1."""
        given: Mapping[str, Any] = {**self.hyperparameters}
        metrics = {each.partition("@")[0] for each in given.get("eval_metric", "").split(",")}
        for name, needs in (("objective", given["objective"] == "rank:map"), ("eval_metric", "map" in metrics)):
            if needs:
                yield Objection(name, "takes relevances of 0 and 1 only; declare highest=1, or write ndcg for map")


def _against(metric: str, objective: str) -> Iterator[str]:
    """Yield the reasons why the container refuses a metric beside an objective."""
    name, _, threshold = metric.partition("@")
    if not objective:
        yield "needs an objective beside it"
    elif name not in _METRICS or (threshold and name not in _WITH_THRESHOLD):
        yield f"has {metric!r}, which SageMaker's XGBoost does not measure"
    elif name == "auc" and not objective.startswith(_RANKED):
        yield f"has auc, which the objective {objective!r} does not have"
    elif name == "aft-nloglik" and objective != "survival:aft":
        yield "has aft-nloglik, which only the objective 'survival:aft' has"

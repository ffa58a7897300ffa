"""SageMaker's built-in Linear Learner, as a candidate.

Source: the developer guide, "Linear learner hyperparameters". The algorithm is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Required

from typing_extensions import TypedDict, override

from sluice.declaration.candidates import Candidate, ChannelFormat, Objection, Objective
from sluice.declaration.hyperparameters import (
    AtLeastOne,
    Auto,
    Flag,
    Inside,
    NotNegative,
    Positive,
    Range,
    Share,
    ShareAboveZero,
)
from sluice.declaration.problems import Binary, Multiclass, Problem, Regression
from sluice.declaration.tuning import Categorical, Continuous, Integer, Search

LinearLearnerLoss = Literal[
    "auto",
    "logistic",
    "hinge_loss",
    "softmax_loss",
    "squared_loss",
    "absolute_loss",
    "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss",
    "quantile_loss",
    "huber_loss",
]
_Decay = Annotated[float, Range(0, 1, below=True)]


class LinearLearnerHyperparameters(TypedDict, total=False):
    """The hyperparameters, by SageMaker's names."""

    predictor_type: Required[Literal["binary_classifier", "multiclass_classifier", "regressor"]]
    num_classes: Annotated[int, Range(3, 1_000_000)]
    loss: LinearLearnerLoss
    optimizer: Literal["auto", "adam", "sgd", "rmsprop"]
    epochs: AtLeastOne
    mini_batch_size: AtLeastOne
    num_models: AtLeastOne | Auto
    feature_dim: AtLeastOne | Auto
    learning_rate: Positive | Auto
    wd: NotNegative | Auto
    l1: NotNegative | Auto
    momentum: _Decay | Auto
    beta_1: _Decay | Auto
    beta_2: _Decay | Auto
    bias_lr_mult: Positive | Auto
    bias_wd_mult: NotNegative | Auto
    use_bias: Flag
    use_lr_scheduler: Flag
    lr_scheduler_step: AtLeastOne | Auto
    lr_scheduler_factor: ShareAboveZero | Auto
    lr_scheduler_minimum_lr: Positive | Auto
    init_method: Literal["uniform", "normal"]
    init_scale: Positive
    init_sigma: Positive
    init_bias: float
    normalize_data: Flag | Auto
    normalize_label: Flag | Auto
    unbias_data: Flag | Auto
    unbias_label: Flag | Auto
    num_point_for_scaler: AtLeastOne
    num_calibration_samples: AtLeastOne | Auto
    binary_classifier_model_selection_criteria: Literal[
        "accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision", "loss_function"
    ]
    target_precision: Share
    target_recall: Share
    f_beta: Positive
    positive_example_weight_mult: Positive | Literal["auto", "balanced"]
    balance_multiclass_weights: Flag
    accuracy_top_k: AtLeastOne
    early_stopping_patience: AtLeastOne
    early_stopping_tolerance: Positive
    margin: Positive
    quantile: Inside
    loss_insensitivity: Positive
    huber_delta: Positive


_PREDICTORS: Mapping[type[Problem], str] = {
    Binary: "binary_classifier",
    Multiclass: "multiclass_classifier",
    Regression: "regressor",
}
_LOSSES: Mapping[str, tuple[str, ...]] = {
    "binary_classifier": ("auto", "logistic"),  # the score of hinge_loss is no probability
    "multiclass_classifier": ("auto", "softmax_loss"),
    "regressor": (
        "auto",
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
}
_BATCH = 1000  # the algorithm's own default

# Developer guide, "Tune a linear learner model".
_TUNABLE: Mapping[str, type[Search]] = {
    "l1": Continuous,
    "learning_rate": Continuous,
    "mini_batch_size": Integer,
    "positive_example_weight_mult": Continuous,
    "use_bias": Categorical,
    "wd": Continuous,
}
_LOSS = Objective("validation:objective_loss", "Minimize")
_TUNED_FOR: Mapping[type[Problem], tuple[Objective, ...]] = {
    Binary: (
        Objective("validation:roc_auc_score", "Maximize"),
        Objective("validation:binary_classification_accuracy", "Maximize"),
        Objective("validation:binary_f_beta", "Maximize"),
        _LOSS,
    ),
    Multiclass: (
        _LOSS,
        Objective("validation:multiclass_accuracy", "Maximize"),
        Objective("validation:macro_f_beta", "Maximize"),
    ),
    Regression: (
        Objective("validation:mse", "Minimize"),
        Objective("validation:absolute_loss", "Minimize"),
        _LOSS,
    ),
}


@dataclass(frozen=True)
class LinearLearner(Candidate):
    """SageMaker's built-in Linear Learner. It takes no missing values: they are filled with the mean of the train rows.

    Args:
        hyperparameters: Values by the names that SageMaker gives them. ``predictor_type`` is required.
        name: A part of the names of training jobs: at most 19 of a-z, 0-9 and ``_``, starting with a letter.
        version: The version of the algorithm's image.
        instance_type: The SageMaker instance type of its jobs; it begins with ``ml.``.
        volume_gb: The size of a job's disk in GB, 1 to 16,384.
        spot: Train on spare capacity, which is cheaper and may be taken away: the longest time of a job from its start
            to its end, waits included, up to 28 days. None: on demand.
        channel_format: The format of the files that it trains on: ``csv`` or ``recordio``.
        tuning: Search for some of the hyperparameters. None: train once, with those that are given.

    Raises:
        DeclarationError: a hyperparameter is missing or unknown, or the algorithm would refuse its value.
    """

    algorithm: ClassVar[str] = "sluice.training.algorithms.linear_learner:LinearLearnerAlgorithm"
    takes_missing: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    kind: ClassVar[Any] = LinearLearnerHyperparameters
    required: ClassVar[tuple[str, ...]] = ("predictor_type",)
    versions: ClassVar[tuple[str, ...]] = ("1",)
    formats: ClassVar[tuple[ChannelFormat, ...]] = ("csv", "recordio")
    tunable: ClassVar[Mapping[str, type[Search]]] = _TUNABLE
    objectives: ClassVar[Mapping[type[Problem], tuple[Objective, ...]]] = _TUNED_FOR

    hyperparameters: LinearLearnerHyperparameters
    name: str = "linear"
    version: str = "1"

    @property
    @override
    def fewest_rows(self) -> int:
        """The size of a mini-batch, the largest that a tuning tries: rows that fill none are not trained on."""
        searched: Any = self.tuning.ranges.get("mini_batch_size") if self.tuning else None
        return max(searched.ends) if searched else self.hyperparameters.get("mini_batch_size", _BATCH)

    @override
    def objections(self) -> Iterator[Objection]:
        given: Mapping[str, Any] = {**self.hyperparameters}
        predictor = given["predictor_type"]
        if predictor == "multiclass_classifier" and "num_classes" not in given:
            yield Objection("predictor_type", "needs num_classes, the number of classes")
        loss = given.get("loss", "auto")
        if loss not in _LOSSES[predictor]:
            yield Objection("loss", f"does not fit a {predictor}; write one of {', '.join(_LOSSES[predictor])}")

    @override
    def problem_objections(self, problem: Problem) -> Iterator[Objection]:
        right = _PREDICTORS.get(type(problem))
        if right is None:
            yield Objection("predictor_type", f"has none for {problem}; leave this candidate out")
        elif self.hyperparameters["predictor_type"] != right:
            yield Objection("predictor_type", f"does not fit {problem}; write it as {right!r}")
        elif isinstance(problem, Multiclass) and self.hyperparameters.get("num_classes") != problem.classes:
            yield Objection("num_classes", f"must be that of {problem}: {problem.classes}")

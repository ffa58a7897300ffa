"""The metrics of Linear Learner, the expressions by which the service finds them in the log, and what can be tuned."""

from __future__ import annotations

from localcloud.sagemaker.jobs.metrics import MetricDefinition

_SCORES = {
    "binary_classification_accuracy": "binary_classification_accuracy",
    "binary_f_beta": r"binary_f_\S+",
    "precision": "precision",
    "recall": "recall",
    "roc_auc_score": "roc_auc_score",
    "multiclass_accuracy": "multiclass_accuracy",
    "multiclass_top_k_accuracy": r"multiclass_top_k_accuracy_\S+",
    "dcg": "dcg",
    "macro_recall": "macro_recall",
    "macro_precision": "macro_precision",
    "macro_f_beta": r"macro_f_\S+",
}
_LOSSES = ("mse", "absolute_loss")
# The service has at most 40 definitions for a job, so only these for the training data.
_OF_TRAIN = ("binary_classification_accuracy", "binary_f_beta", "precision", "recall")


def _of_model(channel: str, scores: tuple[str, ...]) -> list[MetricDefinition]:
    """Return the definitions of the chosen model's metrics on a channel's data."""
    return [
        *(
            MetricDefinition(
                f"{channel}:{name}", rf"#quality_metric: host=\S+, {channel} {_SCORES[name]} <score>=(\S+)"
            )
            for name in scores
        ),
        *(
            MetricDefinition(f"{channel}:{name}", rf"#quality_metric: host=\S+, {channel} {name} <loss>=(\S+)")
            for name in _LOSSES
        ),
    ]


def _objective(name: str, channel: str, epoch: str = "") -> MetricDefinition:
    return MetricDefinition(name, rf"#quality_metric: host=\S+, {epoch}{channel} \S+_objective <loss>=(\S+)")


METRICS = (
    *_of_model("train", _OF_TRAIN),
    *_of_model("validation", tuple(_SCORES)),
    *_of_model("test", tuple(_SCORES)),
    _objective("train:objective_loss", "train", r"epoch=\S+, "),
    _objective("validation:objective_loss", "validation", r"epoch=\S+, "),
    _objective("train:objective_loss:final", "train"),
    _objective("validation:objective_loss:final", "validation"),
    _objective("test:objective_loss", "test"),
    MetricDefinition("train:progress", r"#progress_metric: host=\S+, completed (\S+) %"),
    MetricDefinition("train:throughput", r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"),
)

# Developer guide, "Tune a linear learner model".
OBJECTIVES = tuple(
    f"{channel}:{metric}" for channel in ("validation", "test") for metric in (*_SCORES, *_LOSSES, "objective_loss")
)
TUNABLE = ("wd", "l1", "learning_rate", "mini_batch_size", "use_bias", "positive_example_weight_mult")

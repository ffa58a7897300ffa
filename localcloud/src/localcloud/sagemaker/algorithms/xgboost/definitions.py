"""The metrics of XGBoost, the expressions by which the service finds them in the log, and what can be tuned."""

from __future__ import annotations

from localcloud.sagemaker.jobs.metrics import MetricDefinition

MAXIMIZED = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map", "ndcg"),
    *("precision", "r2", "recall", "precision_macro", "precision_micro", "recall_macro", "recall_micro"),
)
MINIMIZED = (
    *("aft-nloglik", "cox-nloglik", "error", "gamma-deviance", "gamma-nloglik"),
    *("interval-regression-accuracy", "logloss", "mae", "mape", "merror", "mlogloss", "mphe", "mse"),
    *("poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik"),
)

# The service has at most 40 definitions for a job: these names for each of the two channels.
_REPORTED = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "logloss", "mae", "map", "mape"),
    *("merror", "mlogloss", "mse", "ndcg", "poisson-nloglik", "precision", "r2", "recall", "rmse", "rmsle"),
)

METRICS = tuple(
    MetricDefinition(
        name=f"{channel}:{metric}",
        regex=rf".*\[[0-9]+\].*#011{channel}-{metric}:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*",
    )
    for channel in ("train", "validation")
    for metric in _REPORTED
)

# Developer guide, "Tune an XGBoost model".
OBJECTIVES = tuple(
    f"validation:{metric}"
    for metric in (
        *("accuracy", "auc", "error", "f1", "logloss", "mae", "map", "merror", "mlogloss", "mse", "ndcg", "rmse"),
    )
)
# There too, but for the last two: the guide's other pages search them as categories ("Define hyperparameter ranges").
TUNABLE = (
    *("alpha", "colsample_bylevel", "colsample_bynode", "colsample_bytree", "eta", "gamma", "lambda", "max_delta_step"),
    *("max_depth", "min_child_weight", "num_round", "subsample", "booster", "tree_method"),
)

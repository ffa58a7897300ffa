"""The metrics of XGBoost and the expressions by which the service finds them in the log."""

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

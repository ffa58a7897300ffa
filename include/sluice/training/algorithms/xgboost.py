"""SageMaker's built-in XGBoost."""

from __future__ import annotations

from typing_extensions import override

from sluice.training.algorithms.contract import Algorithm
from sluice.training.images import builtin_image


class XGBoostAlgorithm(Algorithm):
    """XGBoost. It answers one score a row, or a probability for each class, with commas between them.

    A batch transform writes several numbers as a list in brackets, an endpoint does not
    (aws/sagemaker-xgboost-container, ``algorithm_mode/serve.py``).
    """

    accept = "text/csv"
    repository = "sagemaker-xgboost"

    @override
    def image(self, version: str, region: str) -> str:
        return builtin_image("xgboost", version, region)

    @override
    def read_answer(self, line: str) -> list[float]:
        return [float(score) for score in line.strip().removeprefix("[").removesuffix("]").split(",")]

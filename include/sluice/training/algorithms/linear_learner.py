"""SageMaker's built-in Linear Learner."""

from __future__ import annotations

import json

from typing_extensions import override

from sluice.training.algorithms.contract import Algorithm
from sluice.training.images import builtin_image


class LinearLearnerAlgorithm(Algorithm):
    """Linear Learner. It answers one JSON object a row (developer guide, "Linear learner response formats")."""

    accept = "application/jsonlines"
    repository = "linear-learner"

    @override
    def image(self, version: str, region: str) -> str:
        return builtin_image("linear-learner", version, region)

    @override
    def read_answer(self, line: str) -> list[float]:
        answer = json.loads(line)
        if not isinstance(answer, dict) or "score" not in answer:
            raise ValueError(f"{line[:80]!r} has no score")
        score = answer["score"]
        return [float(each) for each in score] if isinstance(score, list) else [float(score)]

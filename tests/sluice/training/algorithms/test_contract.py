"""A candidate names its algorithm; nothing else has a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from sluice.declaration import XGBoost
from sluice.declaration.candidates import Candidate
from sluice.errors import DeclarationError
from sluice.training.algorithms.contract import algorithm_of
from sluice.training.algorithms.xgboost import XGBoostAlgorithm


@dataclass(frozen=True)
class Unknown(Candidate):
    algorithm: ClassVar[str] = "sluice.training.algorithms.nowhere:Nothing"

    name: str = "unknown"


def test_candidate_names_its_algorithm() -> None:
    algorithm = algorithm_of(XGBoost({"num_round": 1}))

    assert isinstance(algorithm, XGBoostAlgorithm)
    assert (algorithm.content_type, algorithm.repository) == ("text/csv", "sagemaker-xgboost")
    assert algorithm.read_answer("0.25\n0.5\n") == [0.25, 0.5]


def test_missing_algorithm_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"unknown: its algorithm 'sluice\.training\.algorithms\.nowhere"):
        algorithm_of(Unknown({}))

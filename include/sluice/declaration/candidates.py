"""Candidates: what may be trained. Each built-in algorithm is a class of its own, in a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Candidate:
    """The base of built-in algorithms with their hyperparameters.

    Args:
        hyperparameters: Values by the names that the algorithm's container gives them.
        name: A part of the names of training jobs: at most 19 of a-z, 0-9 and ``_``, starting with a letter.

    Attributes:
        algorithm: ``"module:Class"`` of the code that trains and scores. It is imported only when that is done, because
            a declaration must be cheap to parse.
    """

    algorithm: ClassVar[str]

    hyperparameters: Mapping[str, object]
    name: str

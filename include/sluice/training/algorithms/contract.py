"""What training, evaluation and serving ask of an algorithm. To add one, write a declared class and this class."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sluice.declaration.training import Candidate
from sluice.errors import DeclarationError

Scores = npt.NDArray[np.float64]


class UnreadableModel(Exception):
    """An artefact holds no model that the algorithm can read; the message is the cause."""


class Algorithm(ABC):
    """A built-in algorithm, and how its models are scored and answer.

    ``content_type`` is that of its channels and of the rows that its endpoint is sent. ``repository`` is where AWS
    keeps its image.
    """

    content_type: ClassVar[str] = "text/csv"
    repository: ClassVar[str]

    @abstractmethod
    def image(self, region: str) -> str:
        """The URI of its image in a region. Raises MissingResource where AWS does not keep it."""

    @abstractmethod
    def scores(self, archive: bytes, rows: Sequence[str]) -> Scores:
        """Score rows with the model of an artefact, as the container that serves it does.

        Args:
            archive: the bytes of a ``model.tar.gz``.
            rows: features as CSV, a missing value an empty field.

        Returns:
            One score for each row, of shape ``(len(rows),)``.

        Raises:
            UnreadableModel: there is no such model in it.
        """

    @abstractmethod
    def read_answer(self, body: str) -> list[float]:
        """The scores in the body of an endpoint's answer. Raises ValueError if it holds something else."""


def algorithm_of(candidate: Candidate) -> Algorithm:
    """The algorithm that a declared candidate names.

    Raises:
        DeclarationError: it can't be imported.
    """
    module, _, name = candidate.algorithm.partition(":")
    try:
        found: type[Algorithm] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeclarationError(
            f"candidate {candidate.name}: its algorithm {candidate.algorithm!r} can't be imported ({error}); write it "
            f"as 'module:Class'"
        ) from error
    return found()

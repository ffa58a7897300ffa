"""What training, evaluation and serving need of an algorithm. To add one, write a declared class and an Algorithm."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sluice.declaration.candidates import Candidate
from sluice.errors import DeclarationError

Scores = npt.NDArray[np.float64]


class UnreadableModel(Exception):
    """An artefact has no model that the algorithm can read. The message completes "the artefact holds …"."""


class Algorithm(ABC):
    """A built-in algorithm: its image, and the scores of its models.

    Attributes:
        content_type: The format of the channels, and of the rows that an endpoint gets.
        repository: The name of the ECR repository that has the image.
    """

    content_type: ClassVar[str] = "text/csv"
    repository: ClassVar[str]

    @abstractmethod
    def image(self, region: str) -> str:
        """Return the URI of the image in a region.

        Raises:
            MissingResource: AWS does not keep the image in that region.
        """

    @abstractmethod
    def scores(self, archive: bytes, rows: Sequence[str]) -> Scores:
        """Score rows with the model of an artefact, as the container that serves it does.

        Args:
            archive: The bytes of a ``model.tar.gz``.
            rows: Features as CSV, a missing value an empty field.

        Returns:
            One score for each row, of shape ``(len(rows),)``.

        Raises:
            UnreadableModel: the artefact has no model that can score these rows.
        """

    @abstractmethod
    def read_answer(self, body: str) -> list[float]:
        """Return the scores in the body of an endpoint's answer.

        Raises:
            ValueError: the body has something that is no score.
        """


def algorithm_of(candidate: Candidate) -> Algorithm:
    """Return the algorithm that a declared candidate names.

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

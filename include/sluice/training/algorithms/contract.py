"""What training, evaluation and serving need of an algorithm. To add one, write a declared class and an Algorithm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sluice.declaration.references import imported


class Algorithm(ABC):
    """A built-in algorithm: its image, the format of the rows that it scores, and how its answers are read.

    Attributes:
        content_type: The format of the rows that a model scores.
        accept: The format of the answers: one line for each row.
        repository: The name of the ECR repository that has the image.
    """

    content_type: ClassVar[str] = "text/csv"
    accept: ClassVar[str]
    repository: ClassVar[str]

    @abstractmethod
    def image(self, version: str, region: str) -> str:
        """Return the URI of the image in a region.

        Args:
            version: The version of the image, as the candidate declares it.
            region: The AWS region.

        Raises:
            MissingResource: AWS does not keep the image in that region.
        """

    @abstractmethod
    def read_answer(self, line: str) -> list[float]:
        """Return the numbers that a model answers for one row.

        Args:
            line: One line of the body of an answer.

        Raises:
            ValueError: the line has something else.
        """


def algorithm_named(reference: str) -> Algorithm:
    """Return the algorithm of a declared candidate.

    Args:
        reference: The ``algorithm`` of the candidate, as ``"module:Class"``.

    Raises:
        DeclarationError: it can't be imported.
    """
    algorithm: type[Algorithm] = imported(reference, "the algorithm of a candidate")
    return algorithm()

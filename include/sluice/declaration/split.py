"""Which partitions train, which validate, and which test."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.declaration.checks import check_share
from sluice.errors import DeclarationError


@dataclass(frozen=True)
class TimeSplit:
    """A split of the partitions in time order: the oldest train, those after them validate, the newest test.

    Of three partitions or more, each part gets at least one, however small its share is.

    Args:
        validation: The share that validates, between 0 and 1.
        test: The share that tests, between 0 and 1.

    Raises:
        DeclarationError: a share is out of its range, or the two leave nothing to train on.
    """

    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        for member in ("validation", "test"):
            check_share("split", member, getattr(self, member), below_one=True)
        if self.validation + self.test >= 1:
            raise DeclarationError(
                f"split: validation={self.validation} and test={self.test} leave nothing to train on; write shares "
                f"whose sum is below 1, such as TimeSplit(0.15, 0.15)"
            )

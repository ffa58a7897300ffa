"""What writing a channel needs of a file format. To add one, write a class, and its name in the declaration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from sluice.dataset.values import Numbers


@dataclass(frozen=True)
class Block:
    """Some rows of a channel.

    Attributes:
        labels: Of shape ``(rows,)``.
        features: What the model gets, of shape ``(rows, columns)``; NaN where a value is missing.
        groups: The number of the group of each row, of shape ``(rows,)``; None if the problem has no groups.
    """

    labels: Numbers
    features: Numbers
    groups: npt.NDArray[np.intp] | None = None


class Format(ABC):
    """A file format. An instance writes one file, and holds one block at a time. The same blocks give the same bytes.

    Args:
        file: Where the rows go.

    Attributes:
        extension: The end of the file's name, without a dot.
        content_type: What a training job calls the format.
        counts_columns: Whether a reader knows a column only by its values, so that the last one needs a value.
    """

    extension: ClassVar[str]
    content_type: ClassVar[str]
    counts_columns: ClassVar[bool] = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @abstractmethod
    def write(self, block: Block) -> None:
        """Write some rows behind those before them.

        Args:
            block: The rows. All blocks of a file have as many columns.
        """

    def close(self) -> None:  # noqa: B027  # most formats have no end
        """Write what ends the file, which stays open. A subclass may override it."""

"""Labelled rows, as read from a channel's files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import scipy.sparse  # type: ignore[import-untyped]

Floats = npt.NDArray[Any]  # of float32
Matrix = Any  # Floats of two dimensions, or scipy.sparse.csr_matrix


@dataclass(frozen=True)
class Table:
    """Rows of features with a label each.

    Attributes:
        features: Rows x features, float32, dense or sparse (CSR).
        labels: One for each row, float32.
    """

    features: Matrix
    labels: Floats

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.features.shape[0])

    @property
    def feature_dim(self) -> int:
        """The number of features."""
        return int(self.features.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether the features are sparse."""
        return bool(scipy.sparse.issparse(self.features))

    def head(self, rows: int) -> Table:
        """Return the first ``rows`` rows, or all if there are fewer."""
        return self if rows >= self.rows else Table(self.features[:rows], self.labels[:rows])

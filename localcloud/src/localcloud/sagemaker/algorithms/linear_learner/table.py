"""Labelled rows, as a channel's files give them."""

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

    ``features`` is a matrix of float32 of rows x features, dense or sparse (CSR); ``labels`` has a float32 a row.
    """

    features: Matrix
    labels: Floats

    @property
    def rows(self) -> int:
        return int(self.features.shape[0])

    @property
    def feature_dim(self) -> int:
        return int(self.features.shape[1])

    @property
    def sparse(self) -> bool:
        return bool(scipy.sparse.issparse(self.features))

    def head(self, rows: int) -> Table:
        """The first rows, at most all of them."""
        return self if rows >= self.rows else Table(self.features[:rows], self.labels[:rows])

"""The design matrix: scaled rows with a column of ones, multiplied by the weights of all models at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]

from localcloud.sagemaker.algorithms.linear_learner.scaling import Scaling
from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Matrix, Table


class Design(Protocol):
    """Rows x (features + 1). Weights are (features + 1) x columns; their last row is the biases."""

    rows: int
    columns: int

    def outputs(self, rows: slice, weights: Floats, out: Floats) -> Floats:
        """Write the rows times the weights into ``out`` (rows x columns), and return it."""
        ...

    def gradient(self, rows: slice, errors: Floats, out: Floats) -> Floats:
        """Write the transposed rows times the errors (rows x columns) into ``out``, and return it."""
        ...


def design(table: Table, scaling: Scaling) -> Design:
    """Return the design matrix of a table's scaled features."""
    return _Sparse(table, scaling) if table.sparse else _Dense(table, scaling)


class _Dense:
    def __init__(self, table: Table, scaling: Scaling) -> None:
        self.rows, self.columns = table.rows, table.feature_dim + 1
        self._matrix: Floats = np.empty((self.rows, self.columns), np.float32)
        features = self._matrix[:, :-1]
        np.divide(table.features, scaling.deviation, out=features)
        features -= scaling.shift
        self._matrix[:, -1] = 1.0

    def outputs(self, rows: slice, weights: Floats, out: Floats) -> Floats:
        return np.dot(self._matrix[rows], weights, out=out)

    def gradient(self, rows: slice, errors: Floats, out: Floats) -> Floats:
        return np.dot(self._matrix[rows].T, errors, out=out)


class _Sparse:
    """Keeps the rows sparse: the shift, which is the same for all rows, is subtracted from the products instead."""

    def __init__(self, table: Table, scaling: Scaling) -> None:
        self.rows, self.columns = table.rows, table.feature_dim + 1
        scaled = table.features @ scipy.sparse.diags_array(1.0 / scaling.deviation)
        ones = np.ones((self.rows, 1), np.float32)
        self._matrix: Matrix = scipy.sparse.hstack([scaled, ones], format="csr", dtype=np.float32)
        self._shift = np.append(scaling.shift, np.float32(0.0))
        self._shifted = bool(scaling.shift.any())

    def outputs(self, rows: slice, weights: Floats, out: Floats) -> Floats:
        out[:] = self._matrix[rows] @ weights
        if self._shifted:
            out -= self._shift @ weights
        return out

    def gradient(self, rows: slice, errors: Floats, out: Floats) -> Floats:
        out[:] = self._matrix[rows].T @ errors
        if self._shifted:
            out -= np.outer(self._shift, errors.sum(axis=0))
        return out

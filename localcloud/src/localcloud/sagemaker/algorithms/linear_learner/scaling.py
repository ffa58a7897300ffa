"""Scales features and labels to a mean of zero and a standard deviation of one, by a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters
from localcloud.sagemaker.algorithms.linear_learner.table import Floats, Matrix, Table


@dataclass(frozen=True)
class Scaling:
    """Scaled features are ``features / deviation - shift``, scaled labels ``(label - label_mean) / label_deviation``.

    ``deviation`` and ``shift`` have a value for each feature. The shift is in scaled units, so that sparse rows can
    stay sparse: see `design`.
    """

    deviation: Floats
    shift: Floats
    label_mean: float
    label_deviation: float

    @classmethod
    def of(cls, train: Table, hyperparameters: Hyperparameters) -> Scaling:
        """Return the scaling by the first ``num_point_for_scaler`` rows.

        ``auto`` shifts features only if rows are dense and there is a bias, and scales labels only of a regression.

        Args:
            train: The rows to train on.
            hyperparameters: The hyperparameters; they switch each part of the scaling on or off.
        """
        sample = train.head(hyperparameters.num_point_for_scaler)
        mean, deviation = _moments(sample)
        if hyperparameters.normalize_data is False:
            deviation = np.ones_like(deviation)
        shifts = hyperparameters.unbias_data
        if shifts is None:
            shifts = hyperparameters.use_bias and not train.sparse and hyperparameters.normalize_data is not False
        label_mean, label_deviation = _label_moments(sample.labels, hyperparameters)
        shift = mean / deviation if shifts else np.zeros_like(mean)
        return cls(deviation, shift.astype(np.float32), label_mean, label_deviation)

    def labels(self, labels: Floats) -> Floats:
        """Return the scaled labels."""
        return (labels - np.float32(self.label_mean)) / np.float32(self.label_deviation)

    def unscaled_labels(self, labels: Floats) -> Floats:
        """Return labels, or predictions of labels, in the unit of the data."""
        return labels * np.float32(self.label_deviation) + np.float32(self.label_mean)

    def unscaled_model(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Return the weights and biases that have the same outputs for unscaled features.

        Args:
            weights: Features x outputs.
            bias: One for each output.
        """
        plain = bias - self.shift @ weights
        if self.label_deviation != 1.0 or self.label_mean != 0.0:
            plain = self.unscaled_labels(plain)
            weights = weights * np.float32(self.label_deviation)
        return weights / self.deviation[:, None], plain


def _moments(sample: Table) -> tuple[Floats, Floats]:
    """Return mean and deviation of each feature; the deviation of a constant one is 1."""
    if sample.sparse:
        features: Matrix = sample.features.astype(np.float64)
        mean = np.asarray(features.mean(axis=0)).ravel()
        variance = np.asarray(features.multiply(features).mean(axis=0)).ravel() - mean**2
    else:
        mean = sample.features.mean(axis=0, dtype=np.float64)
        variance = sample.features.var(axis=0, dtype=np.float64)
    # A variance that comes from rounding only is that of a constant.
    constant = variance <= 1e-12 * (mean**2 + 1e-12)
    deviation = np.sqrt(np.where(constant, 1.0, variance))
    return mean.astype(np.float32), deviation.astype(np.float32)


def _label_moments(labels: Floats, hyperparameters: Hyperparameters) -> tuple[float, float]:
    if hyperparameters.predictor_type != "regressor":
        return 0.0, 1.0
    normal = hyperparameters.normalize_label is not False
    unbiased = hyperparameters.unbias_label
    if unbiased is None:
        unbiased = hyperparameters.use_bias and normal
    deviation = float(labels.std(dtype=np.float64))
    return (
        float(labels.mean(dtype=np.float64)) if unbiased else 0.0,
        deviation if normal and deviation > 0 else 1.0,
    )

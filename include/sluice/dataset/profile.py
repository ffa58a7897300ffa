"""What the values of the train rows look like, and how far other rows have drifted from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from sluice.dataset.raw_rows import RawRows
from sluice.dataset.values import Numbers, categories, numbers
from sluice.declaration.features import Category
from sluice.lake.parsing import parsed
from sluice.lake.store import Lake

_MOST_ROWS = 100_000
_MOST_VALUES = 100  # of a category; the rarer ones count together
_DECILES = np.arange(1, 10) / 10
_LEAST_SHARE = 1e-4  # in place of 0, which has no logarithm


class FeatureProfile(BaseModel, ABC):
    """The shares of a feature's values in the train rows."""

    model_config = ConfigDict(frozen=True)

    @property
    @abstractmethod
    def expected(self) -> Sequence[float]:
        """The share of each bin in the train rows, missing values included."""

    @abstractmethod
    def actual(self, column: pd.Series[Any]) -> Sequence[float]:
        """Return the share of each bin in other rows.

        Args:
            column: The raw values, at least one.

        Raises:
            Unreadable: some are of another kind.
        """


class NumberProfile(FeatureProfile):
    """The shares of the numbers between the deciles.

    Attributes:
        edges: The deciles; equal ones count once. A number that is equal to an edge is in the bin below it.
        shares: The share of each bin: up to the first edge, between two, and above the last.
        missing: The share of missing values.
    """

    kind: Literal["number"] = "number"
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    missing: float

    @property
    @override
    def expected(self) -> Sequence[float]:
        """The share of each bin in the train rows, missing values included."""
        return (*self.shares, self.missing)

    @override
    def actual(self, column: pd.Series[Any]) -> Sequence[float]:
        return _binned(numbers(column), self.edges)

    @classmethod
    def of(cls, column: pd.Series[float]) -> NumberProfile:
        """Return the profile of a column.

        Args:
            column: Numbers, NaN where one is missing; at least one row.
        """
        present = column.dropna().to_numpy()
        deciles = np.quantile(present, _DECILES, method="inverted_cdf") if len(present) else ()
        edges = tuple(np.unique(deciles).tolist())
        *shares, missing = _binned(numbers(column), edges)
        return cls(edges=edges, shares=tuple(shares), missing=missing)


def _binned(values: Numbers, edges: Sequence[float]) -> list[float]:
    """Return the share of each bin between the edges, then that of missing values."""
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)
    return [*(counts / len(values)).tolist(), 1 - len(present) / len(values)]


class CategoryProfile(FeatureProfile):
    """The shares of the values of a category.

    Attributes:
        whole: Whether the values are whole numbers and truth values, not text.
        shares: The shares of the most frequent values.
        other: The share of all other values.
        missing: The share of missing values.
    """

    kind: Literal["category"] = "category"
    whole: bool
    shares: Mapping[str, float]
    other: float
    missing: float

    @property
    @override
    def expected(self) -> Sequence[float]:
        """The share of each bin in the train rows, missing values included."""
        return (*self.shares.values(), self.other, self.missing)

    @override
    def actual(self, column: pd.Series[Any]) -> Sequence[float]:
        counts = Counter(categories(column, whole=self.whole).tolist())
        missing = counts.pop(None, 0)
        own = [counts.pop(value, 0) for value in self.shares]
        return [count / len(column) for count in (*own, counts.total(), missing)]

    @classmethod
    def of(cls, column: pd.Series[Any], *, whole: bool) -> CategoryProfile:
        """Return the profile of a column.

        Args:
            column: The texts that name categories; at least one row.
            whole: Whether they name whole numbers and truth values.
        """
        counts = Counter(column.dropna())
        frequent = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_VALUES]
        bins = cls(whole=whole, shares=dict.fromkeys(frequent, 0.0), other=0, missing=0)
        *shares, other, missing = bins.actual(column)
        return cls(whole=whole, shares=dict(zip(frequent, shares, strict=True)), other=other, missing=missing)


class Profile(BaseModel):
    """The content of ``profile.json``.

    Attributes:
        features: The profile of each raw feature.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    features: Mapping[str, Annotated[NumberProfile | CategoryProfile, Field(discriminator="kind")]]


class Sample:
    """At most 100,000 of the train rows: every n-th, so that the same rows give the same sample.

    Args:
        rows: What reads the rows.
        most: How many rows there may be in all.
    """

    def __init__(self, rows: RawRows, most: int) -> None:
        self._rows = rows
        self._step = max(1, -(-most // _MOST_ROWS))
        self._seen = 0
        self._frames: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        """Take the rows of a partition that are of the sample.

        Args:
            frame: The rows, as :class:`RawRows` reads them.
        """
        self._frames.append(frame.iloc[-self._seen % self._step :: self._step])
        self._seen += len(frame)

    def profile(self) -> Profile:
        """Return the profile of the sample, which has at least one row."""
        sample = pd.concat(self._frames, ignore_index=True)
        return Profile(
            features={
                each.name: CategoryProfile.of(sample[each.name], whole=self._rows.is_whole(each.name))
                if isinstance(each, Category)
                else NumberProfile.of(sample[each.name])
                for each in self._rows.training.inputs
            }
        )


def read_profile(lake: Lake, fingerprint: str) -> Profile:
    """Return the profile of a snapshot's train rows.

    Args:
        lake: The lake of the snapshot.
        fingerprint: Its fingerprint.

    Raises:
        MissingResource: there is none.
    """
    key = lake.layout.profile(fingerprint)
    return parsed(lake.uri(key), lake.get(key), Profile)


def drift(profile: Profile, frame: pd.DataFrame) -> Mapping[str, float]:
    """Return how far rows have drifted from the train rows: the population stability index of each feature.

    It is the sum over the bins of ``(a - e) * ln(a / e)``, with the share ``a`` of a bin in the rows and its share
    ``e`` in the train rows, each at least 0.0001. 0 is no drift; above 0.25, by the usual rule, the rows are others.
    Source: N. Siddiqi, Credit Risk Scorecards, Wiley 2006, chapter "Scorecard Implementation".

    Args:
        profile: That of the train rows.
        frame: Raw rows, at least one, as :func:`sluice.dataset.snapshot.snapshot_rows` returns them.

    Returns:
        The index by feature, for those features of the profile that the rows have.

    Raises:
        Unreadable: values are of another kind than the feature's.
    """
    return {
        name: float(stability_index(each.expected, each.actual(frame[name])))
        for name, each in profile.features.items()
        if name in frame.columns
    }


def stability_index(expected: Sequence[float], actual: Sequence[float] | Numbers) -> Numbers:
    """Return the population stability index, as :func:`drift` defines it.

    Args:
        expected: The share of each bin in the train rows.
        actual: The share of each bin in other rows, of shape ``(bins,)`` or ``(draws, bins)``.

    Returns:
        The index, of shape ``()`` or ``(draws,)``.
    """
    wanted, found = (np.maximum(shares, _LEAST_SHARE) for shares in (expected, actual))
    index: Numbers = np.sum((found - wanted) * np.log(found / wanted), axis=-1)
    return index

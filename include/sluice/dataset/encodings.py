"""How raw rows become the numbers that a model gets. It is fitted on the train rows, and stored with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from sluice.dataset.values import Numbers, Texts, Unreadable, categories, category, number, numbers
from sluice.errors import DeclarationError

Raw = npt.NDArray[Any]


class ColumnEncoding(BaseModel, ABC):
    """How one feature becomes columns.

    Attributes:
        feature: The name of the raw column.
        raw_type: The type of the raw values in arrays.
    """

    model_config = ConfigDict(frozen=True)
    raw_type: ClassVar[type]

    feature: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the model gets."""
        return (self.feature,)

    @abstractmethod
    def read_column(self, column: pd.Series[Any]) -> Raw:
        """Return raw values in the form that :meth:`columns` takes, of shape ``(rows,)``.

        Args:
            column: Values of any type.

        Raises:
            Unreadable: some of them can't be read.
        """

    @abstractmethod
    def read_value(self, value: object) -> object:
        """Return one raw value in the form that :meth:`columns` takes.

        Args:
            value: A value as JSON gives it, or one that this method has returned.

        Raises:
            Unreadable: it can't be read.
        """

    @abstractmethod
    def read_text(self, cell: str) -> object:
        """Return the raw value that a cell of CSV holds, in the form that :meth:`columns` takes.

        Args:
            cell: The text; an empty one is a missing value.

        Raises:
            Unreadable: it can't be read.
        """

    @abstractmethod
    def columns(self, raw: Raw, *, filled: bool) -> Numbers:
        """Return what the model gets.

        Args:
            raw: Values that the methods above have returned, of shape ``(rows,)``.
            filled: Whether numbers stand for missing values; if not, these are NaN.

        Returns:
            The columns, of shape ``(rows, len(names))``.
        """


class NumberEncoding(ColumnEncoding):
    """A number, which stays as it is.

    Attributes:
        fill: What stands for a missing value.
    """

    raw_type: ClassVar[type] = np.float64

    kind: Literal["number"] = "number"
    fill: float

    @override
    def read_column(self, column: pd.Series[Any]) -> Raw:
        return numbers(column)

    @override
    def read_value(self, value: object) -> float:
        return number(value)

    @override
    def read_text(self, cell: str) -> float:
        try:
            value = float(cell) if cell else None
        except ValueError as error:
            raise Unreadable("a number", cell) from error
        return number(value)

    @override
    def columns(self, raw: Raw, *, filled: bool) -> Numbers:
        return (np.where(np.isnan(raw), self.fill, raw) if filled else raw).reshape(-1, 1)


class CategoryEncoding(ColumnEncoding):
    """The base of the encodings of categories.

    Attributes:
        whole: Whether the categories are whole numbers and truth values, not text.
        values: The categories that count as their own, as :func:`sluice.dataset.values.category` names them.
    """

    raw_type: ClassVar[type] = np.object_

    whole: bool
    values: tuple[str, ...]

    @override
    def read_column(self, column: pd.Series[Any]) -> Raw:
        return categories(column, whole=self.whole)

    @override
    def read_value(self, value: object) -> str | None:
        return category(value, whole=self.whole)

    @override
    def read_text(self, cell: str) -> str | None:
        return category(cell, whole=self.whole)

    def _places(self, raw: Texts) -> npt.NDArray[np.intp]:
        """Return the place of each value in :attr:`values`; -1 for other ones and missing ones."""
        return self._index.get_indexer(pd.Index(raw, dtype=object))

    @cached_property
    def _index(self) -> pd.Index[Any]:
        return pd.Index(self.values, dtype=object)


class OneHotEncoding(CategoryEncoding):
    """A column for each category, which is 1 in its rows and else 0; the last one is for all other values.

    A missing value is 0 in all columns.
    """

    kind: Literal["one_hot"] = "one_hot"

    @property
    @override
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the model gets."""
        return (*(f"{self.feature}={value}" for value in self.values), f"{self.feature} (other)")

    @override
    def columns(self, raw: Raw, *, filled: bool) -> Numbers:
        found = np.zeros((len(raw), len(self.names)))
        present = ~pd.isna(raw)
        found[present, self._places(raw)[present]] = 1  # the place -1 is the last column
        return found


class NumberedEncoding(CategoryEncoding):
    """A number for each category, and one for all other values.

    Attributes:
        other: The number of all other values. Where missing values are filled, it stands for them, too.
    """

    other: float

    @property
    @abstractmethod
    def _numbers(self) -> Sequence[float]:
        """The number of each of the values, in their order."""

    @override
    def columns(self, raw: Raw, *, filled: bool) -> Numbers:
        found = np.array([*self._numbers, self.other], dtype=np.float64)[self._places(raw)]
        return np.where(pd.isna(raw), self.other if filled else np.nan, found).reshape(-1, 1)


class OrdinalEncoding(NumberedEncoding):
    """The categories are numbered from 1 in their order: whole numbers by size, text by its letters."""

    kind: Literal["ordinal"] = "ordinal"
    other: float = 0

    @property
    @override
    def _numbers(self) -> Sequence[float]:
        return range(1, len(self.values) + 1)


class TargetMeanEncoding(NumberedEncoding):
    """The mean label of the category's train rows, drawn towards the mean of all.

    Attributes:
        means: The number of each of the values, in their order.
    """

    kind: Literal["target_mean"] = "target_mean"
    means: tuple[float, ...]

    @property
    @override
    def _numbers(self) -> Sequence[float]:
        return self.means


AnyEncoding = Annotated[
    NumberEncoding | OneHotEncoding | OrdinalEncoding | TargetMeanEncoding, Field(discriminator="kind")
]


class Encoding(BaseModel):
    """How raw rows become what a model gets.

    Attributes:
        columns: The encoding of each feature, in the declared order.
    """

    model_config = ConfigDict(frozen=True)

    columns: tuple[AnyEncoding, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the raw columns."""
        return tuple(column.feature for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the model gets, such as ``carrier=UA``, in order."""
        return tuple(name for column in self.columns for name in column.names)

    def encode(self, frame: pd.DataFrame, *, filled: bool) -> pd.DataFrame:
        """Return what the model gets of raw rows.

        Args:
            frame: The rows, with a column for each feature; others are ignored.
            filled: Whether numbers stand for missing values; if not, these are NaN.

        Returns:
            Floats, a row for each row and a column for each of :attr:`names`.

        Raises:
            DeclarationError: the rows lack a feature.
            Unreadable: a value is of a wrong kind.
        """
        missing = [feature for feature in self.features if feature not in frame.columns]
        if missing:
            raise DeclarationError(
                f"the rows have no column {', '.join(missing)}, which the model takes; declare it as a feature again, "
                f"or train a model without it"
            )
        return self._encoded([column.read_column(frame[column.feature]) for column in self.columns], filled=filled)

    def encode_rows(self, rows: Sequence[Mapping[str, object]], *, filled: bool) -> pd.DataFrame:
        """Return what the model gets of single raw rows; :meth:`encode` returns the same for the same rows.

        Args:
            rows: The values of each row by the names of the features, as JSON gives them; one that is left out is
                missing.
            filled: As for :meth:`encode`.

        Returns:
            As :meth:`encode` does.

        Raises:
            Unreadable: a value is of a wrong kind.
        """
        raw: list[Raw] = [
            np.array([column.read_value(row.get(column.feature)) for row in rows], dtype=column.raw_type)
            for column in self.columns
        ]
        return self._encoded(raw, filled=filled)

    def _encoded(self, raw: Sequence[Raw], *, filled: bool) -> pd.DataFrame:
        parts = [column.columns(values, filled=filled) for column, values in zip(self.columns, raw, strict=True)]
        return pd.DataFrame(np.hstack(parts), columns=pd.Index(self.names))

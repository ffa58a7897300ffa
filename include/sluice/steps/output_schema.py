"""Checks the rows of a step against the schema that it declares, by pandera (https://pandera.readthedocs.io)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sluice.errors import DeclarationError, SluiceError

_EXAMPLES = 3
_LONGEST_EXAMPLE = 60  # characters


@dataclass(frozen=True)
class CheckedRows:
    """What a schema makes of rows.

    Attributes:
        rows: Those that fit, with the types of the schema.
        quarantined: The others, each value as text, with a ``reason``.
        rejected: How many were rejected, by reason.
    """

    rows: pd.DataFrame
    quarantined: pa.Table
    rejected: dict[str, int]


class OutputSchema:
    """The schema of the rows that a step returns.

    Args:
        where: The step, for messages.
        reference: How the declaration names the schema.
        schema: A ``DataFrameModel`` or a ``DataFrameSchema`` of pandera.

    Raises:
        DeclarationError: it is neither.
    """

    def __init__(self, where: str, reference: str, schema: Any) -> None:
        pandera = import_module("pandera.pandas")  # takes a second, which most steps need not wait
        is_model = isinstance(schema, type) and issubclass(schema, pandera.DataFrameModel)
        if not is_model and not isinstance(schema, pandera.DataFrameSchema):
            raise DeclarationError(
                f"{where} names {reference!r}, which is no DataFrameModel or DataFrameSchema of pandera"
            )
        self._where, self._schema, self._errors = where, schema, pandera.errors.SchemaErrors

    def check(self, rows: pd.DataFrame, most_rejected: float) -> CheckedRows:
        """Separate the rows that break the schema.

        Args:
            rows: What the step has returned.
            most_rejected: The share of them that may break it.

        Raises:
            SluiceError: more of them do, or the columns themselves break it.
        """
        rows = rows.reset_index(drop=True)
        broken: dict[int, str] = {}
        kept, cases = self._validated(rows)
        while kept is None:  # each time with fewer rows: a value of a wrong type hides what others break
            of_rows = cases[cases["index"].notna()]
            if of_rows.empty:
                raise self._failure("the rows as a whole", cases)
            for column, rule, place in zip(of_rows["column"], of_rows["check"], of_rows["index"], strict=True):
                broken.setdefault(int(place), f"{column}: {rule}")
            if len(broken) > most_rejected * len(rows):
                share = f"{len(broken):,} of {len(rows):,} rows, more than most_rejected={most_rejected}"
                raise self._failure(share, of_rows)
            kept, cases = self._validated(rows.drop(index=list(broken)))
        return CheckedRows(kept, _as_text(rows, broken), dict(sorted(Counter(broken.values()).items())))

    def _validated(self, rows: pd.DataFrame) -> tuple[pd.DataFrame | None, pd.DataFrame]:
        """Return the rows with the types of the schema, or None and each failure with the place of its row."""
        try:
            return self._schema.validate(rows, lazy=True), pd.DataFrame()
        except self._errors as error:
            return None, error.failure_cases

    def _failure(self, what: str, cases: pd.DataFrame) -> SluiceError:
        """Return an error that names each column and rule with its count and three examples."""
        rules = [
            f"{column} breaks {rule} {len(found):,} times, such as {_examples(found)}"
            for (column, rule), found in cases.groupby(["column", "check"], sort=False)
        ]
        return SluiceError(
            f"{self._where} breaks its output schema in {what}: {'; '.join(rules)}; correct the step or its schema, "
            f"then clear this task"
        )


def _examples(cases: pd.DataFrame) -> str:
    values = cases["failure_case"].head(_EXAMPLES).tolist()
    return ", ".join(
        repr(value.item() if isinstance(value, np.generic) else value)[:_LONGEST_EXAMPLE] for value in values
    )


def _as_text(rows: pd.DataFrame, broken: dict[int, str]) -> pa.Table:
    """Return broken rows as text, because a value of a wrong type fits no column."""
    places = sorted(broken)
    columns = {
        str(name): pa.array([None if value is None else str(value) for value in rows[name].iloc[places]], pa.string())
        for name in rows.columns
    }
    return pa.table({**columns, "reason": pa.array([broken[place] for place in places], pa.string())})

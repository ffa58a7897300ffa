"""CSV without a header: one row per line, the label first."""

from __future__ import annotations

import io
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from typing_extensions import override

from sluice.dataset.formats.contract import Block, Format

_PLAIN = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")


def csv_rows(frame: pd.DataFrame) -> list[str]:
    """Return rows as a model takes them: CSV, a missing value an empty field.

    The only field of a row is ``nan`` if it is missing, because an empty line is no row.

    Args:
        frame: Floats, as :meth:`Encoding.encode` returns them.
    """
    columns = [pa.array(frame.iloc[:, place].to_numpy(np.float64), from_pandas=True) for place in range(frame.shape[1])]
    written = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns, names=[str(n) for n in range(len(columns))]), written, _PLAIN)
    return [row or "nan" for row in written.getvalue().decode("ascii").splitlines()]


class Csv(Format):
    """CSV: the label, then the columns, as :func:`csv_rows` writes them, but for the last one.

    That is ``nan`` if it is missing: XGBoost takes the last field that is not empty in any row for the last column, so
    the train rows would have fewer columns than others.
    """

    extension: ClassVar[str] = "csv"
    content_type: ClassVar[str] = "text/csv"

    @override
    def write(self, block: Block) -> None:
        labels, rows = (csv_rows(pd.DataFrame(cells)) for cells in (block.labels, block.features))
        whole = (f"{row}nan" if row.endswith(",") else row for row in rows)
        self._file.write("".join(f"{label},{row}\n" for label, row in zip(labels, whole, strict=True)).encode("ascii"))

"""LIBSVM: ``label qid:group index:value …``, the only format in which SageMaker's XGBoost finds groups."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from sluice.dataset.formats.contract import Block, Format
from sluice.dataset.values import Numbers

_joined: Any = pc.binary_join_element_wise  # its type stubs know no text beside arrays


class Libsvm(Format):
    """A line for each row, its columns by their places from 0. A zero is written, and a missing value is left out."""

    extension: ClassVar[str] = "libsvm"
    content_type: ClassVar[str] = "text/libsvm"
    counts_columns: ClassVar[bool] = True

    @override
    def write(self, block: Block) -> None:
        cells = [_texts(block.labels)]
        if block.groups is not None:
            cells.append(_joined("qid:", pa.array(block.groups).cast(pa.string()), ""))
        # A text is null where its value is.
        cells += [_joined(f"{place}:", _texts(column), "") for place, column in enumerate(block.features.T)]
        lines = _joined(*cells, " ", null_handling="skip")
        self._file.write("".join(f"{line}\n" for line in lines.to_pylist()).encode("ascii"))


def _texts(numbers: Numbers) -> Any:
    """Return the texts of numbers, as CSV has them; null for NaN."""
    return pa.array(numbers, from_pandas=True).cast(pa.string())

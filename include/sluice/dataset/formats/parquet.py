"""Parquet: the label is the first column, then the columns that the model gets."""

from __future__ import annotations

from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from sluice.dataset.formats.contract import Block, Format


class Parquet(Format):
    """Parquet of 32-bit numbers, with which XGBoost computes. A missing value is null. Each block is a row group.

    The container reads columns by their place, so these are named as XGBoost names them: two features of a pipeline may
    have columns of one name, which Parquet's readers refuse.
    """

    extension: ClassVar[str] = "parquet"
    content_type: ClassVar[str] = "application/x-parquet"

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._writer: pq.ParquetWriter | None = None

    @override
    def write(self, block: Block) -> None:
        names = ["label", *(f"f{place}" for place in range(block.features.shape[1]))]
        columns = [block.labels, *block.features.T]
        table = pa.table([pa.array(each.astype(np.float32), from_pandas=True) for each in columns], names=names)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    @override
    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

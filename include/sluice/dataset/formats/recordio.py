"""RecordIO-protobuf: a framed protobuf message for each row.

Sources: the developer guide, "Common data formats for training", for the message ``aialgs.data.Record``; the protobuf
encoding; the frame of the SageMaker Python SDK, ``sagemaker/amazon/common.py``, which SageMaker's algorithms read.
"""

from __future__ import annotations

import struct
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from sluice.dataset.formats.contract import Block, Format
from sluice.dataset.values import Numbers

_MAGIC = 0xCED7230A
_ENTRY = b"values"  # the key under which algorithms look, among the features and among the labels
# The numbers of the fields of Record, of the entry of a map, of Value, and of Float32Tensor.
_FEATURES, _LABEL = 1, 2
_KEY, _VALUE = 1, 2
_FLOAT32_TENSOR = 2
_VALUES = 1


class RecordIO(Format):
    """A record for each row: ``float32_tensor`` of its columns, and of its label. A missing value is NaN.

    SageMaker's XGBoost takes NaN as missing; Linear Learner gets rows without missing values. All records of a file
    have one length, so a block is written as one array of bytes.
    """

    extension: ClassVar[str] = "recordio"
    content_type: ClassVar[str] = "application/x-recordio-protobuf"

    @override
    def write(self, block: Block) -> None:
        rows, columns = block.features.shape
        features, label = _before(_FEATURES, columns), _before(_LABEL, 1)
        length = len(features) + 4 * columns + len(label) + 4
        parts = (
            _each(struct.pack("<II", _MAGIC, length) + features, rows),
            _floats(block.features),
            _each(label, rows),
            _floats(block.labels.reshape(-1, 1)),
            _each(bytes(-length % 4), rows),
        )
        self._file.write(np.hstack(parts).tobytes())


def _before(field: int, numbers: int) -> bytes:
    """Return the bytes of a map's entry up to its numbers, which end it.

    Args:
        field: The map: the features, or the label.
        numbers: How many 32-bit numbers the entry has.
    """
    size, before = 4 * numbers, b""
    for number, others in ((_VALUES, b""), (_FLOAT32_TENSOR, b""), (_VALUE, _bytes_of(_KEY, _ENTRY)), (field, b"")):
        before = others + _key(number) + _varint(size + len(before)) + before
    return before


def _bytes_of(field: int, content: bytes) -> bytes:
    return _key(field) + _varint(len(content)) + content


def _key(field: int) -> bytes:
    return _varint(field << 3 | 2)  # 2: what follows is a length and as many bytes


def _varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first; the highest bit says that more follow."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _each(content: bytes, rows: int) -> npt.NDArray[np.uint8]:
    return np.tile(np.frombuffer(content, np.uint8), (rows, 1))


def _floats(numbers: Numbers) -> npt.NDArray[np.uint8]:
    small = numbers.astype("<f4", order="C")
    small[np.isnan(small)] = np.nan  # there are many, and the same rows have the same bytes
    return small.view(np.uint8)

"""The letters of many texts at once, as Arrow keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def letters_of(texts: pa.Array[Any]) -> npt.NDArray[np.uint8]:
    """Return the letters of texts, in UTF-8, one text behind the other. They are not copied.

    Args:
        texts: An array of strings.
    """
    buffers: Any = texts.buffers()
    _, places, letters = buffers
    if letters is None:
        return np.empty(0, dtype=np.uint8)
    first, last = np.frombuffer(places, np.int32)[[texts.offset, texts.offset + len(texts)]]
    found: npt.NDArray[np.uint8] = np.frombuffer(letters, np.uint8)[first:last]
    return found

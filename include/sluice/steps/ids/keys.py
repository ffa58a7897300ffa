"""The keys of a partition: the ids that it accepts by itself, and the place of each. Which of two copies comes first.

Copies of one id are in the order in which ``conform`` has those of one partition: by group, then sequence number, then
the time of sending. Of copies that are equal in all of these, the one in the earlier partition is first.
"""

from __future__ import annotations

import io
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.contracts.reading import ENVELOPE
from sluice.lake.manifests import digest_of
from sluice.records.record import SCHEMA
from sluice.steps.content import content_digest

_PLACE = ("group", "sequence_number", "sent_at")
KEYS = pa.schema([SCHEMA.field(name) for name in ENVELOPE if name in {"event_id", *_PLACE}])
Ids: TypeAlias = "pa.Array[Any]"
NO_IDS: Ids = pa.array([], pa.string())


def keys_of(rows: pa.Table) -> pa.Table:
    """Return the keys of rows, in their order.

    Args:
        rows: What a partition accepts by itself: each id once.
    """
    return rows.select(KEYS.names)


def key_file_bytes(keys: pa.Table) -> bytes:
    """Return keys as Parquet.

    Args:
        keys: The keys.
    """
    buffer = io.BytesIO()
    # Each value of the other columns is there once. The stubs do not know that names of columns are taken, too.
    pq.write_table(keys, buffer, compression="zstd", use_dictionary=["group"])  # type: ignore[arg-type]
    return buffer.getvalue()


# No key file is as good as one without a key.
DIGEST_OF_NONE = content_digest(KEYS.empty_table())


def repeated(earlier: pa.Table, later: pa.Table) -> tuple[Ids, Ids]:
    """Compare the keys of two partitions. Both have each id once.

    Args:
        earlier: The keys of the earlier partition.
        later: Those of the later one.

    Returns:
        The ids of which the earlier partition has the second copy, and those of which the later one has it; in order.
    """
    common = _with_ids(later, earlier["event_id"])
    if not common.num_rows:
        return NO_IDS, NO_IDS
    ones = _with_ids(earlier, common["event_id"]).sort_by("event_id")
    others = common.sort_by("event_id")
    ids, later_is_first = others["event_id"].combine_chunks(), _less(others, ones)
    return ids.filter(pa.array(later_is_first)), ids.filter(pa.array(~later_is_first))


def digest_of_ids(ids: Ids) -> str:
    """Return the digest of ids, as sixteen hexadecimal digits.

    Args:
        ids: The ids, in order.
    """
    return digest_of(ids.to_pylist())[:16]


def _with_ids(keys: pa.Table, ids: pa.ChunkedArray[Any]) -> pa.Table:
    return keys.filter(pc.is_in(keys["event_id"], value_set=ids.combine_chunks()))


def _less(ones: pa.Table, others: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which places are before their counterparts."""
    less, same = np.zeros(ones.num_rows, dtype=bool), np.ones(ones.num_rows, dtype=bool)
    for name in _PLACE:
        less |= same & pc.less(ones[name], others[name]).to_numpy()
        same &= pc.equal(ones[name], others[name]).to_numpy()
    return less

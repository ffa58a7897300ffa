"""Which of two copies of an id comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.steps.ids.keys import DIGEST_OF_NONE, KEYS, digest_of_ids, keys_of, repeated

AT = datetime(2013, 1, 1, tzinfo=UTC)
Place = tuple[str, str, int]


def keys(places: dict[str, Place]) -> pa.Table:
    rows = [
        {"event_id": id_, "group": group, "sequence_number": number, "sent_at": AT + timedelta(milliseconds=sent)}
        for id_, (group, number, sent) in places.items()
    ]
    return pa.Table.from_pylist(rows, schema=KEYS)


PLACES = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from("gh"), st.sampled_from("12"), st.integers(0, 1))
)


@given(PLACES, PLACES)
def test_first_in_group_order_is_first_and_of_equal_places_the_earlier_partition(
    earlier: dict[str, Place], later: dict[str, Place]
) -> None:
    common = sorted(earlier.keys() & later.keys())

    in_earlier, in_later = repeated(keys(earlier), keys(later))

    assert in_earlier.to_pylist() == [each for each in common if later[each] < earlier[each]]
    assert in_later.to_pylist() == [each for each in common if earlier[each] <= later[each]]


def test_text_is_compared_by_its_bytes() -> None:
    """As where conform sorts a partition."""
    in_earlier, in_later = repeated(keys({"r": ("é", "1", 0)}), keys({"r": ("z", "1", 0)}))

    assert (in_earlier.to_pylist(), in_later.to_pylist()) == (["r"], [])


def test_keys_are_columns_of_rows_and_none_have_the_digest_of_no_key_file() -> None:
    rows = keys({"r": ("g", "1", 0)}).append_column("value", pa.array([1]))

    assert keys_of(rows).schema == KEYS
    assert len(DIGEST_OF_NONE) == 16


@pytest.mark.parametrize(("ids", "same"), [(["a", "b"], True), (["ab"], False), (["a"], False)])
def test_digest_of_ids_tells_them_apart(ids: list[str], same: bool) -> None:
    assert (digest_of_ids(pa.array(ids)) == digest_of_ids(pa.array(["a", "b"]))) is same

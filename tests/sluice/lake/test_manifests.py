"""The digest of a manifest depends on its content, and on nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.lake.manifests import File, Manifest, digest_of, earliest, latest

A = File(key="p/raw/events/dt=2013-01-01/part-1.parquet", size=1, etag="a", rows=1)
B = File(key="p/raw/events/dt=2013-01-01/part-2.parquet", size=2, etag="b", rows=2)
WRITTEN = datetime(2013, 1, 2, tzinfo=UTC)


def manifest(**members: Any) -> Manifest:
    defaults: dict[str, Any] = {"dataset": "raw/events", "partition": "dt=2013-01-01", "state": "open"}
    return Manifest(**{**defaults, "files": (A, B), "written_at": WRITTEN, **members})


@pytest.mark.parametrize(
    "members",
    [
        {"files": (B, A)},
        {"state": "closed", "revision": 3},
        {"written_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"rows_in": 5, "rejected": {"not_json": 5}},
        {"code": "other"},
        {"carried": B},
        # S3 returns another ETag at each put of the same encrypted bytes; the key holds the digest of the content.
        {"files": (A, B.model_copy(update={"etag": "c"}))},
    ],
)
def test_members_that_a_reader_of_the_rows_can_not_see_do_not_change_the_digest(members: dict[str, Any]) -> None:
    assert manifest(**members).digest == manifest().digest


@pytest.mark.parametrize(
    "members",
    [
        {"files": (A,)},
        {"files": (A, B.model_copy(update={"key": "x"}))},
        {"partition": "dt=2013-01-02"},
        {"dataset": "conform"},
    ],
)
def test_other_content_has_another_digest(members: dict[str, Any]) -> None:
    assert manifest(**members).digest != manifest().digest


def test_state_has_a_digest_of_its_own_and_without_one_a_manifest_does_not_tell_of_it() -> None:
    states = [manifest(carried=file).carried_digest for file in (A, B, B.model_copy(update={"etag": "c"}), None)]

    assert states[0] != states[1] == states[2]
    assert states[3] is None
    assert "carried" not in manifest().model_dump_json()
    assert Manifest.model_validate_json(manifest(carried=A).model_dump_json()).carried == A


def test_manifest_is_read_as_it_was_written() -> None:
    full = manifest(
        state="closed",
        revision=2,
        quarantined=(B,),
        inputs={"raw/events/dt=2013-01-01": "f" * 64},
        rejected={"not_json": 1},
        first_event_time=WRITTEN,
        last_event_time=WRITTEN,
    )

    assert Manifest.model_validate_json(full.model_dump_json()) == full


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_digest_of_a_value_does_not_depend_on_the_order_of_its_members(value: dict[str, Any]) -> None:
    assert digest_of(dict(reversed(list(value.items())))) == digest_of(value)


def test_earliest_and_latest_ignore_unknown_times() -> None:
    later = datetime(2013, 1, 3, tzinfo=UTC)

    assert (earliest([None, later, WRITTEN]), latest([WRITTEN, None, later])) == (WRITTEN, later)
    assert (earliest([None]), latest([])) == (None, None)

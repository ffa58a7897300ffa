"""A snapshot is named by what it holds: same revisions, same bytes; split by time, no row in two channels (P4)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.lake_contents import body_of, keys_below, put_rows
from tests.sluice.toy import TOY

from sluice.dataset.snapshot import (
    CHANNELS,
    Snapshot,
    channel_partitions,
    make_snapshot,
    read_rows,
    read_snapshot,
    split_by_time,
)
from sluice.declaration.split import TimeSplit
from sluice.errors import DeclarationError, MissingResource, SluiceError
from sluice.lake.partitions import Partition, between
from sluice.lake.store import Lake

FIRST = Partition(datetime(2013, 1, 1, tzinfo=UTC), "day")


def rows(day: int, **columns: Any) -> pd.DataFrame:
    """Return three rows of a day; ``total`` is missing in one of them."""
    defaults = {"late": [0, 1, 0], "value": [day, day + 1, day + 2], "total": [day / 3, None, 1e-7]}
    return pd.DataFrame({"event_id": [f"{day}-{n}" for n in range(3)], **defaults, **columns})


def put_days(lake: Lake, days: Sequence[int]) -> None:
    for day in days:
        put_rows(lake, "running", f"2013-01-{day:02d}", rows(day))


def channels(lake: Lake, snapshot: Snapshot) -> dict[str, str]:
    prefix = f"toy/snapshots/{snapshot.fingerprint}"
    return {channel: body_of(lake, f"{prefix}/{channel}/part-0.csv").decode() for channel in CHANNELS}


def test_channels_hold_label_first_and_nothing_else_but_the_features(lake: Lake) -> None:
    put_days(lake, range(1, 5))

    snapshot = make_snapshot(workspace_of(lake, TOY))

    assert channels(lake, snapshot) == {
        "train": "0,1,0.3333333333333333\n1,2,\n0,3,1e-07\n0,2,0.6666666666666666\n1,3,\n0,4,1e-07\n",
        "validation": "0,3,1.0\n1,4,\n0,5,1e-07\n",
        "test": "0,4,1.3333333333333333\n1,5,\n0,6,1e-07\n",
    }
    assert snapshot.rows == {"train": 6, "validation": 3, "test": 3}
    assert snapshot.partitions == {
        "train": "dt=2013-01-01..dt=2013-01-02",
        "validation": "dt=2013-01-03",
        "test": "dt=2013-01-04",
    }
    assert read_snapshot(lake, snapshot.fingerprint) == snapshot
    assert [each.key for each in channel_partitions(snapshot, "test")] == ["dt=2013-01-04"]


def test_order_of_landing_does_not_change_the_snapshot(cloud: Cloud, lake: Lake) -> None:
    """The same revisions, written in another order into another bucket: same fingerprint, same bytes."""
    days = list(range(1, 21))
    put_days(lake, days)
    other = Lake(lake.s3, f"{lake.bucket[:50]}-other", "toy")
    lake.s3.create_bucket(Bucket=other.bucket)
    put_days(other, random.Random(7).sample(days, len(days)))

    one, two = make_snapshot(workspace_of(lake, TOY)), make_snapshot(workspace_of(other, TOY))

    assert one == two
    assert channels(lake, one) == channels(other, two)


def test_existing_snapshot_is_used_and_not_written_again(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    first = make_snapshot(workspace_of(lake, TOY))
    lake.s3.put_object(Bucket=lake.bucket, Key=f"toy/snapshots/{first.fingerprint}/train/part-0.csv", Body=b"as it was")

    assert make_snapshot(workspace_of(lake, TOY)) == first
    assert channels(lake, first)["train"] == "as it was"


def test_two_makers_at_once_agree(cloud: Cloud, lake: Lake) -> None:
    put_days(lake, range(1, 9))

    def make(_: int) -> Snapshot:
        return make_snapshot(workspace_of(Lake(cloud.client("s3"), lake.bucket, "toy"), TOY))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))

    assert len({snapshot.model_dump_json() for snapshot in made}) == 1
    assert len(keys_below(lake, "toy/snapshots/")) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda training: replace(training, features=("total", "value")),
        lambda training: replace(training, features=("value",)),
        lambda training: replace(training, split=TimeSplit(0.3, 0.3)),
    ],
)
def test_another_declaration_is_another_snapshot(lake: Lake, change: Any) -> None:
    put_days(lake, range(1, 9))

    assert make_snapshot(workspace_of(lake, replace(TOY, training=change(TOY.training)))) != make_snapshot(
        workspace_of(lake, TOY)
    )


def test_other_rows_are_another_snapshot_and_the_old_one_stays(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    first = make_snapshot(workspace_of(lake, TOY))
    before = channels(lake, first)
    put_rows(lake, "running", "2013-01-01", rows(30))

    second = make_snapshot(workspace_of(lake, TOY))

    assert second.fingerprint != first.fingerprint
    assert channels(lake, first) == before
    assert channels(lake, second)["train"].startswith("0,30,")


def test_bounds_include_both_ends_and_open_or_empty_partitions_are_left_out(lake: Lake) -> None:
    put_days(lake, range(1, 9))
    put_rows(lake, "running", "2013-01-05", rows(5).iloc[:0])
    put_rows(lake, "running", "2013-01-06", rows(6), state="open")

    snapshot = make_snapshot(workspace_of(lake, TOY), "2013-01-03", "2013-01-07")

    assert sorted(snapshot.revisions) == ["dt=2013-01-03", "dt=2013-01-04", "dt=2013-01-07"]
    with pytest.raises(SluiceError, match="'soon' is not a date"):
        make_snapshot(workspace_of(lake, TOY), "soon")


def test_rows_without_a_label_are_left_out(lake: Lake) -> None:
    put_days(lake, range(1, 4))
    put_rows(lake, "running", "2013-01-01", rows(1, late=pd.array([0, None, 1], dtype="Int64")))

    snapshot = make_snapshot(workspace_of(lake, TOY))

    assert snapshot.rows["train"] == 2
    assert channels(lake, snapshot)["train"] == "0,1,0.3333333333333333\n1,3,1e-07\n"


def test_booleans_become_numbers_and_a_feature_without_any_value_stays_empty(lake: Lake) -> None:
    put_days(lake, range(1, 4))
    put_rows(
        lake,
        "running",
        "2013-01-01",
        rows(
            1,
            late=[True, False, True],
            value=pd.array([True, None, False], dtype="boolean"),
            total=[None] * 3,
        ),
    )

    assert channels(lake, make_snapshot(workspace_of(lake, TOY)))["train"] == "1,1,\n0,,\n1,0,\n"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"value": ["a", "b", "c"]}, "step 'running' writes 'value' as str; training takes numbers"),
        ({"late": ["yes", "no", "no"]}, "writes 'late' as str"),
        ({"total": pd.to_datetime(["2013-01-01"] * 3)}, "writes 'total' as datetime64"),
    ],
)
def test_value_that_is_no_number_is_refused_before_a_job_is_paid_for(
    lake: Lake, columns: dict[str, Any], message: str
) -> None:
    put_days(lake, range(1, 4))
    put_rows(lake, "running", "2013-01-02", rows(2, **columns))

    with pytest.raises(DeclarationError, match=message):
        make_snapshot(workspace_of(lake, TOY))


def test_missing_column_is_named(lake: Lake) -> None:
    put_days(lake, range(1, 4))
    training = replace(TOY.training, features=("value", "nothing"))

    with pytest.raises(DeclarationError, match="step 'running' writes no column nothing, which training declares"):
        make_snapshot(workspace_of(lake, replace(TOY, training=training)))


@pytest.mark.parametrize("days", [0, 1, 2])
def test_fewer_than_three_partitions_are_refused(lake: Lake, days: int) -> None:
    put_days(lake, range(1, days + 1))

    with pytest.raises(MissingResource, match=rf"has {days} closed partitions .*run toy_transform on more"):
        make_snapshot(workspace_of(lake, TOY))


@pytest.mark.parametrize(
    ("late", "message"),
    [([1, 1, 1], "have one label only"), (pd.array([None] * 3, dtype="Int64"), "have no label")],
)
@pytest.mark.parametrize(("day", "channel"), [(1, "train"), (2, "validation"), (3, "test")])
def test_channel_with_one_label_is_refused(lake: Lake, day: int, channel: str, late: Any, message: str) -> None:
    """An AUC of one class does not exist: better no job than one whose model can't be judged."""
    put_days(lake, range(1, 4))
    put_rows(lake, "running", f"2013-01-0{day}", rows(day, late=late))

    with pytest.raises(MissingResource, match=f"the {channel} rows dt=2013-01-0{day} of .* {message}"):
        make_snapshot(workspace_of(lake, TOY))
    assert not [key for key in keys_below(lake, "toy/snapshots/") if key.endswith("snapshot.json")]


SHARES = st.tuples(st.floats(1e-6, 0.499), st.floats(1e-6, 0.5))


@given(st.sets(st.integers(0, 400), max_size=60), SHARES, st.randoms())
def test_split_follows_time_and_takes_every_partition_once(
    days: set[int], shares: tuple[float, float], order: random.Random
) -> None:
    partitions = [FIRST.shift(day) for day in days]
    order.shuffle(partitions)

    split = split_by_time(partitions, TimeSplit(*shares))

    in_order = [partition for channel in CHANNELS for partition in split[channel]]
    assert in_order == sorted(partitions)
    if len(partitions) >= 3:
        assert all(split.values()), "at least one partition for each"


@pytest.mark.parametrize(
    ("count", "split", "sizes"),
    [
        (100, TimeSplit(), (70, 15, 15)),
        (14, TimeSplit(), (10, 2, 2)),
        (3, TimeSplit(), (1, 1, 1)),
        (12, TimeSplit(0.25, 0.5), (3, 3, 6)),
    ],
)
def test_shares_of_the_split_count_partitions(count: int, split: TimeSplit, sizes: tuple[int, int, int]) -> None:
    parts = split_by_time(list(between(FIRST, FIRST.shift(count - 1))), split)

    assert tuple(len(parts[channel]) for channel in CHANNELS) == sizes


def test_rows_are_read_partition_by_partition(lake: Lake) -> None:
    put_days(lake, [1, 3])

    frames = list(read_rows(lake, "running", [FIRST, FIRST.shift(1), FIRST.shift(2)]))

    assert [frame["value"].tolist() for frame in frames] == [[1, 2, 3], [3, 4, 5]]


def test_missing_snapshot_is_reported(lake: Lake) -> None:
    with pytest.raises(MissingResource, match=r"snapshots/nothing/snapshot.json is gone"):
        read_snapshot(lake, "nothing")

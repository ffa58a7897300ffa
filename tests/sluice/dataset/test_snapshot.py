"""A snapshot is named by what it holds: same revisions, same bytes; split by time, no row in two channels (P4)."""

from __future__ import annotations

import io
import random
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.draining import workspace_of
from tests.sluice.lake_contents import body_of, keys_below, put_raw, put_rows
from tests.sluice.toy import EVENTS, TOY, message

from sluice.aws.failures import is_transient
from sluice.dataset import raw_rows
from sluice.dataset.snapshot import (
    CHANNELS,
    Snapshot,
    channel_partitions,
    make_snapshot,
    read_rows,
    read_snapshot,
    snapshot_rows,
)
from sluice.declaration import (
    Category,
    DateSplit,
    Gate,
    LinearLearner,
    Number,
    Pipeline,
    Regression,
    TimeSplit,
    XGBoost,
)
from sluice.declaration.steps import Input
from sluice.errors import DeclarationError, MissingResource, NotEnoughData, SluiceError
from sluice.lake.partitions import Calendar, Partition
from sluice.lake.store import Lake
from sluice.workspace import Workspace

FIRST = Partition.containing(datetime(2013, 1, 1, tzinfo=UTC), Calendar("day"))
REGRESSION = XGBoost({"objective": "reg:squarederror", "num_round": 5})
LINEAR = LinearLearner({"predictor_type": "binary_classifier", "mini_batch_size": 2})
EVERY_FORMAT = tuple(
    replace(candidate, name=f"{candidate.name}_{each}", channel_format=each)
    for candidate in (*TOY.require_training().candidates, LINEAR)
    for each in candidate.formats
)


def meters(**changes: Any) -> Pipeline:
    """Return the toy with some members of its training changed."""
    return replace(TOY, training=replace(TOY.require_training(), **changes))


def made(lake: Lake, *bounds: str, **changes: Any) -> Snapshot:
    return make_snapshot(workspace_of(lake, meters(**changes)), *bounds)


def rows(day: int, **columns: Any) -> pd.DataFrame:
    """Return three rows of a day; ``total`` is missing in one of them."""
    defaults = {"late": [0, 1, 0], "value": [day, day + 1, day + 2], "total": [day / 3, None, 1e-7]}
    return pd.DataFrame({"event_id": [f"{day}-{n}" for n in range(3)], **defaults, **columns})


def put_whole_days(lake: Lake, days: Sequence[int]) -> None:
    """As :func:`put_days`, but ``total`` is a whole number."""
    for day in days:
        put_rows(lake, "running", f"2013-01-{day:02d}", rows(day, total=[day, day + 1, 0]))


def put_days(lake: Lake, days: Sequence[int]) -> None:
    for day in days:
        put_rows(lake, "running", f"2013-01-{day:02d}", rows(day))


def channels(lake: Lake, snapshot: Snapshot, form: str = "gaps") -> dict[str, str]:
    prefix = f"toy/snapshots/{snapshot.fingerprint}/{form}"
    return {channel: body_of(lake, f"{prefix}/{channel}/part-0.csv").decode() for channel in CHANNELS}


def test_channels_hold_label_first_and_nothing_else_but_the_features(lake: Lake) -> None:
    put_days(lake, range(1, 5))

    snapshot = made(lake)

    assert channels(lake, snapshot) == {
        "train": "0,1,0.3333333333333333\n1,2,nan\n0,3,1e-7\n0,2,0.6666666666666666\n1,3,nan\n0,4,1e-7\n",
        "validation": "0,3,1\n1,4,nan\n0,5,1e-7\n",
        "test": "0,4,1.3333333333333333\n1,5,nan\n0,6,1e-7\n",
    }
    assert snapshot.rows == {"train": 6, "validation": 3, "test": 3}
    assert snapshot.partitions == {
        "train": "dt=2013-01-01..dt=2013-01-02",
        "validation": "dt=2013-01-03",
        "test": "dt=2013-01-04",
    }
    assert read_snapshot(lake, snapshot.fingerprint) == snapshot
    assert [each.key for each in channel_partitions(FIRST.calendar, snapshot, "test")] == ["dt=2013-01-04"]


def test_order_of_landing_does_not_change_the_snapshot(cloud: Cloud, lake: Lake) -> None:
    """The same revisions, written in another order into another bucket: same fingerprint, same bytes."""
    days = list(range(1, 21))
    put_days(lake, days)
    other = Lake(lake.s3, f"{lake.bucket[:50]}-other", "toy")
    lake.s3.create_bucket(Bucket=other.bucket)
    put_days(other, random.Random(7).sample(days, len(days)))

    one, two = made(lake), made(other)

    assert one == two
    assert channels(lake, one) == channels(other, two)


def test_existing_snapshot_is_used_and_not_written_again(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    first = made(lake)
    lake.s3.put_object(
        Bucket=lake.bucket, Key=f"toy/snapshots/{first.fingerprint}/gaps/train/part-0.csv", Body=b"as it was"
    )

    assert made(lake) == first
    assert channels(lake, first)["train"] == "as it was"


def test_two_makers_at_once_agree(cloud: Cloud, lake: Lake) -> None:
    put_days(lake, range(1, 9))

    def make(_: int) -> Snapshot:
        return made(Lake(cloud.client("s3"), lake.bucket, "toy"))

    with ThreadPoolExecutor(4) as pool:
        snapshots = list(pool.map(make, range(4)))

    assert len({snapshot.model_dump_json() for snapshot in snapshots}) == 1
    assert len(keys_below(lake, "toy/snapshots/")) == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ("total", "value")},
        {"features": ("value",)},
        {"features": ("value", Number("total", fill=0))},
        {"features": ("value", Category("total", at_least=0.5))},
        {"problem": Regression(), "gate": Gate("rmse", at_most=1, rows=1), "candidates": (REGRESSION,)},
        {"split": TimeSplit(0.3, 0.3)},
        {"candidates": (*TOY.require_training().candidates, LINEAR)},
        {"candidates": (LINEAR,)},
        {"gate": Gate("auc", at_least=0.6, rows=1, slices=("event_id",))},
    ],
)
def test_another_declaration_is_another_snapshot(lake: Lake, changes: dict[str, Any]) -> None:
    put_whole_days(lake, range(1, 9))

    assert made(lake, **changes).fingerprint != made(lake).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"features": (Number("value"), "total")},
        {"gate": Gate("auc", at_least=0.9, rows=2)},
        {"candidates": (replace(TOY.require_training().candidates[0], name="other", volume_gb=20),)},
    ],
)
def test_what_does_not_change_the_rows_does_not_change_the_snapshot(lake: Lake, changes: dict[str, Any]) -> None:
    put_days(lake, range(1, 9))

    assert made(lake, **changes) == made(lake)


def test_other_rows_are_another_snapshot_and_the_old_one_stays(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    first = made(lake)
    before = channels(lake, first)
    put_rows(lake, "running", "2013-01-01", rows(30))

    second = made(lake)

    assert second.fingerprint != first.fingerprint
    assert channels(lake, first) == before
    assert channels(lake, second)["train"].startswith("0,30,")


def test_bounds_include_both_ends_and_open_or_empty_partitions_are_left_out(lake: Lake) -> None:
    put_days(lake, range(1, 9))
    put_rows(lake, "running", "2013-01-05", rows(5).iloc[:0])
    put_rows(lake, "running", "2013-01-06", rows(6), state="open")

    snapshot = made(lake, "2013-01-03", "2013-01-07")

    assert sorted(snapshot.revisions) == ["dt=2013-01-03", "dt=2013-01-04", "dt=2013-01-07"]
    with pytest.raises(SluiceError, match="'soon' is not a date"):
        made(lake, "soon")


def test_partition_that_waits_for_a_later_one_is_left_out_though_it_was_made(lake: Lake) -> None:
    """GIVEN a step that looks ahead now, and has made its last partition when it did not."""
    put_days(lake, range(1, 9))
    for day in range(1, 9):
        put_raw(lake, EVENTS, f"2013-01-{day:02d}", [message("{}")])
        put_rows(lake, "doubled", f"2013-01-{day:02d}", rows(day))
    running = replace(TOY.steps[-1], reads=(Input("doubled", look_back=1, look_ahead=2),))
    looking = replace(TOY, steps=(*TOY.steps[:-1], running))

    snapshot = make_snapshot(workspace_of(lake, looking))

    assert sorted(snapshot.revisions) == [f"dt=2013-01-{day:02d}" for day in range(1, 7)]
    ends = replace(looking, end=datetime(2013, 1, 8, tzinfo=UTC))
    assert sorted(make_snapshot(workspace_of(lake, ends)).revisions)[-1] == "dt=2013-01-08"


def test_rows_without_a_label_are_left_out(lake: Lake) -> None:
    put_days(lake, range(1, 4))
    put_rows(lake, "running", "2013-01-01", rows(1, late=pd.array([0, None, 1], dtype="Int64")))

    snapshot = made(lake)

    assert snapshot.rows["train"] == 2
    assert channels(lake, snapshot)["train"] == "0,1,0.3333333333333333\n1,3,1e-7\n"


def test_booleans_become_numbers_and_a_feature_without_any_value_stays_missing(lake: Lake) -> None:
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

    assert channels(lake, made(lake))["train"] == "1,1,nan\n0,,nan\n1,0,nan\n"


def test_missing_column_is_named(lake: Lake) -> None:
    put_days(lake, range(1, 4))
    with pytest.raises(DeclarationError, match="step 'running' writes no column nothing in dt=2013-01-01, which tr"):
        made(lake, features=("value", "nothing"))


@pytest.mark.parametrize("days", [0, 1, 2])
def test_fewer_than_three_partitions_are_refused(lake: Lake, days: int) -> None:
    put_days(lake, range(1, days + 1))

    with pytest.raises(MissingResource, match=rf"has {days} closed partitions .*run toy_transform on more"):
        made(lake)


@pytest.mark.parametrize(
    ("late", "message"),
    [([1, 1, 1], "have (one label|a label 'late' that is 1)"), (pd.array([None] * 3, dtype="Int64"), "have no l")],
)
@pytest.mark.parametrize(("day", "channel"), [(1, "train"), (2, "validation"), (3, "test")])
def test_channel_with_one_label_is_refused(lake: Lake, day: int, channel: str, late: Any, message: str) -> None:
    """An AUC of one class does not exist: better no job than one whose model can't be judged."""
    put_days(lake, range(1, 4))
    put_rows(lake, "running", f"2013-01-0{day}", rows(day, late=late))

    with pytest.raises(MissingResource, match=f"the {channel} rows dt=2013-01-0{day} of .* {message}"):
        made(lake)
    assert not [key for key in keys_below(lake, "toy/snapshots/") if key.endswith("snapshot.json")]


def test_rows_are_read_partition_by_partition(lake: Lake) -> None:
    put_days(lake, [1, 3])

    frames = list(read_rows(lake, "running", [FIRST, FIRST.shift(1), FIRST.shift(2)]))

    assert [frame["value"].tolist() for frame in frames] == [[1, 2, 3], [3, 4, 5]]


def test_missing_snapshot_is_reported(lake: Lake) -> None:
    with pytest.raises(MissingResource, match=r"snapshots/nothing/snapshot.json is gone"):
        read_snapshot(lake, "nothing")


def put_flights(lake: Lake) -> pd.DataFrame:
    """Put twelve days of rows of all kinds; return them with their day, in order."""
    random = np.random.default_rng(3)
    days = []
    for day in range(1, 13):
        frame = pd.DataFrame(
            {
                "late": random.integers(0, 2, 40),
                "carrier": random.choice(np.array(["UA", "AA", "HA", "B6", None], dtype=object), 40, p=PROBABILITIES),
                "hour": pd.array(random.choice([5, 17, 9], 40), dtype="Int64").astype("Int64"),
                "origin": random.choice(["EWR", "JFK", "LGA"], 40),
                "distance": np.where(random.random(40) < 0.2, np.nan, random.uniform(100, 900, 40).round(1)),
                "delay": np.where(random.random(40) < 0.2, np.nan, random.uniform(-9, 9, 40)),
                "airport": random.choice(["north", "south"], 40),
                "weekend": random.random(40) < 0.3,
            }
        )
        frame.loc[frame.index[:3], "hour"] = pd.NA
        put_rows(lake, "running", f"2013-01-{day:02d}", frame)
        days.append(frame.assign(day=day))
    return pd.concat(days, ignore_index=True)


PROBABILITIES = [0.4, 0.3, 0.02, 0.18, 0.1]
FLIGHTS = (
    "distance",
    Number("delay", fill=-1),
    Category("carrier", at_least=0.05),
    Category("hour", encoding="ordinal"),
    Category("origin", encoding="target_mean"),
)
SLICED = Gate("auc", at_least=0.6, rows=1, slices=("airport", "origin", "weekend"))
BOTH = (*TOY.require_training().candidates, LINEAR)


def expected_columns(flights: pd.DataFrame, part: pd.Series, *, filled: bool) -> pd.DataFrame:
    """The columns of some rows, computed with pandas alone; the first eight days train, in five folds."""
    train, some = flights[flights["day"] <= 8], flights[part]
    columns = {"late": some["late"].astype(float)}
    columns["distance"] = some["distance"].fillna(train["distance"].mean()) if filled else some["distance"]
    columns["delay"] = some["delay"].fillna(-1) if filled else some["delay"]
    shares = train["carrier"].value_counts() / len(train)
    own = sorted(shares[shares >= 0.05].index)
    for carrier in own:
        columns[f"carrier={carrier}"] = (some["carrier"] == carrier).astype(float)
    columns["carrier (other)"] = (some["carrier"].notna() & ~some["carrier"].isin(own)).astype(float)
    hours = some["hour"].map({5: 1.0, 9: 2.0, 17: 3.0}).astype(float)
    columns["hour"] = hours.fillna(0.0) if filled else hours
    means = []
    for day, origin in zip(some["day"], some["origin"], strict=True):
        others = train[(train["day"] - 1) % 5 != (day - 1) % 5] if day <= 8 else train
        same = others[others["origin"] == origin]["late"]
        means.append((same.sum() + 20 * others["late"].mean()) / (len(same) + 20))
    columns["origin"] = pd.Series(means, index=some.index)
    return pd.DataFrame(columns)


@pytest.mark.parametrize("form", ["gaps", "filled"])
def test_channels_hold_what_pandas_computes_from_the_same_rows(lake: Lake, form: str) -> None:
    flights = put_flights(lake)

    snapshot = made(lake, features=FLIGHTS, candidates=BOTH, gate=SLICED)

    day = flights["day"]
    for channel, part in {"train": day <= 8, "validation": day.isin([9, 10]), "test": day >= 11}.items():
        found = pd.read_csv(io.StringIO(channels(lake, snapshot, form)[channel]), header=None)
        expected = expected_columns(flights, part, filled=form == "filled")
        assert found.isna().any(axis=None) == (form == "gaps")
        assert tuple(expected.columns[1:]) == snapshot.encoding.names
        np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=1e-12)


def test_raw_rows_of_what_validates_and_tests_are_kept_in_the_order_of_the_channel(lake: Lake) -> None:
    flights = put_flights(lake)

    snapshot = made(lake, features=FLIGHTS, gate=SLICED)

    for channel, days in {"validation": [9, 10], "test": [11, 12]}.items():
        kept = pq.read_table(
            io.BytesIO(body_of(lake, f"toy/snapshots/{snapshot.fingerprint}/rows/{channel}/part-0.parquet"))
        ).to_pylist()
        some = flights[flights["day"].isin(days)]
        names = ["late", "distance", "delay", "carrier", "hour", "origin", "airport", "weekend"]
        texts = some[names].assign(weekend=some["weekend"].astype(str)).astype(object)
        assert kept == texts.where(texts.notna(), None).to_dict("records")
        rows = snapshot_rows(lake, snapshot.fingerprint, channel)
        assert rows["late"].tolist() == [float(line[0]) for line in channels(lake, snapshot)[channel].splitlines()]
        assert rows["hour"].dtype == "Int64"
    assert keys_below(lake, f"toy/snapshots/{snapshot.fingerprint}/rows/train") == []


def test_raw_rows_can_be_encoded_by_another_snapshot(lake: Lake) -> None:
    """So a model is judged by the rows of a later snapshot: as if its own encoding had read the step's rows."""
    flights = put_flights(lake)
    old = made(lake, "2013-01-01", "2013-01-06", features=FLIGHTS, gate=SLICED)
    changed = ("distance", "delay", Category("carrier", encoding="ordinal"), "hour", Category("origin"))
    new = made(lake, features=changed, gate=SLICED)

    found = old.encoding.encode(snapshot_rows(lake, new.fingerprint, "test"), filled=True)

    pd.testing.assert_frame_equal(found, old.encoding.encode(flights[flights["day"] >= 11], filled=True))


def test_all_objects_have_the_same_bytes_in_another_lake(lake: Lake) -> None:
    other = Lake(lake.s3, f"{lake.bucket[:50]}-other", "toy")
    lake.s3.create_bucket(Bucket=other.bucket)
    for each in (lake, other):
        put_flights(each)

    digests = [
        {key: sha256(body_of(each, key)).hexdigest() for key in keys_below(each, "toy/snapshots/")}
        for each in (lake, other)
        if made(each, features=FLIGHTS, candidates=BOTH, gate=SLICED)
    ]

    assert digests[0] == digests[1]
    assert len(digests[0]) == 10


def test_only_the_forms_that_candidates_take_are_written(lake: Lake) -> None:
    put_days(lake, range(1, 5))

    of_trees, of_lines = made(lake), made(lake, candidates=(LINEAR,))

    assert (of_trees.forms, of_lines.forms) == (("gaps",), ("filled",))
    names = {key.removeprefix("toy/snapshots/").partition("/")[::2] for key in keys_below(lake, "toy/snapshots/")}
    assert {rest for name, rest in names if name == of_lines.fingerprint} == {
        *(f"filled/{channel}/part-0.csv" for channel in CHANNELS),
        *(f"rows/{channel}/part-0.parquet" for channel in ("validation", "test")),
        "snapshot.json",
        "profile.json",
    }


def test_snapshot_has_each_format_that_a_candidate_takes_and_no_other(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    (trees,) = TOY.require_training().candidates
    candidates = (
        replace(trees, channel_format="parquet"),
        LINEAR,
        replace(LINEAR, name="l", channel_format="recordio"),
    )

    snapshot = made(lake, candidates=candidates)

    assert snapshot.forms == ("filled", "filled-recordio", "gaps-parquet")
    prefix = f"toy/snapshots/{snapshot.fingerprint}/"
    assert {
        key.removeprefix(prefix)
        for key in keys_below(lake, prefix)
        if not key.startswith((f"{prefix}rows/", f"{prefix}snapshot", f"{prefix}profile"))
    } == {
        f"{folder}/{channel}/part-0.{extension}"
        for channel in CHANNELS
        for folder, extension in (("filled", "csv"), ("filled-recordio", "recordio"), ("gaps-parquet", "parquet"))
    }
    assert channels(lake, snapshot, "filled") == channels(lake, made(lake, candidates=(LINEAR,)), "filled")


@pytest.mark.parametrize("candidates", [TOY.require_training().candidates, EVERY_FORMAT], ids=["csv", "every format"])
def test_memory_holds_a_few_partitions_however_many_there_are(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, candidates: Any
) -> None:
    put_days(lake, range(1, 31))
    read, alive, most = raw_rows._frame, set[int](), 0

    def counted(*arguments: Any) -> pd.DataFrame:
        nonlocal most
        frame = read(*arguments)
        alive.add(id(frame))
        weakref.finalize(frame, alive.discard, id(frame))
        most = max(most, len(alive))
        return frame

    monkeypatch.setattr(raw_rows, "_frame", counted)

    snapshot = made(lake, candidates=candidates)

    assert snapshot.rows["train"] == 66
    assert 1 < most <= 10


def test_gap_leaves_partitions_out(lake: Lake) -> None:
    put_days(lake, range(1, 11))

    by_share = made(lake, split=TimeSplit(0.2, 0.2, gap=1))
    by_date = made(lake, split=DateSplit(date(2013, 1, 5), date(2013, 1, 9), gap=2))

    assert by_share.partitions == {
        "train": "dt=2013-01-01..dt=2013-01-04",
        "validation": "dt=2013-01-06..dt=2013-01-07",
        "test": "dt=2013-01-09..dt=2013-01-10",
    }
    assert by_date.partitions == {
        "train": "dt=2013-01-01..dt=2013-01-02",
        "validation": "dt=2013-01-05..dt=2013-01-06",
        "test": "dt=2013-01-09..dt=2013-01-10",
    }


def test_date_that_leaves_a_part_empty_is_named(lake: Lake) -> None:
    put_days(lake, range(1, 5))

    with pytest.raises(NotEnoughData, match=r"4 closed partitions .* leave none for test by DateSplit\(.*run toy_tr"):
        made(lake, split=DateSplit(date(2013, 1, 3), date(2013, 1, 9)))


def test_fewer_rows_than_a_candidate_trains_on_are_refused(lake: Lake) -> None:
    put_days(lake, range(1, 5))
    patient = LinearLearner({"predictor_type": "binary_classifier", "mini_batch_size": 7})

    with pytest.raises(NotEnoughData, match=r"the train rows dt=2013-01-01..dt=2013-01-02 are 6, but candidate"):
        made(lake, candidates=(patient,))
    assert made(lake, candidates=(LINEAR,)).rows["train"] == 6
    with pytest.raises(NotEnoughData, match="but candidate linear trains on at least 7: run toy_transform on more"):
        made(lake, candidates=(patient,))


def test_fewer_test_rows_than_the_gate_decides_on_are_refused(lake: Lake) -> None:
    put_days(lake, range(1, 5))

    with pytest.raises(NotEnoughData, match="the test rows dt=2013-01-04 are 3, but the gate decides on at least 4"):
        made(lake, gate=Gate("auc", at_least=0.6, rows=4))


def test_snapshot_of_another_version_is_reported_in_one_line(lake: Lake) -> None:
    lake.create(lake.layout.snapshot("f" * 32), b'{"schema_version": 1, "fingerprint": "f"}')

    with pytest.raises(MissingResource, match=r"snapshot\.json was written by an older version of Sluice") as refused:
        read_snapshot(lake, "f" * 32)
    assert "\n" not in str(refused.value)


def test_mean_label_of_one_partition_can_not_be_taken_out_of_fold(lake: Lake) -> None:
    put_whole_days(lake, range(1, 4))

    with pytest.raises(NotEnoughData, match="feature total: the target mean needs the labels of two train partitions"):
        made(lake, features=(Category("total", encoding="target_mean"),))


def test_refused_upload_of_a_channel_is_the_call_that_was_refused(cloud: Cloud, workspace: Workspace) -> None:
    """boto3 wraps it in an error of its own, which says nothing about a retry."""
    put_days(workspace.lake, range(1, 5))
    s3 = cloud.client("s3")

    def throttle(params: Any, **_: Any) -> None:
        if "train" in params["url_path"]:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your rate"}}, "PutObject")

    s3.meta.events.register("before-call.s3.PutObject", throttle)
    busy = replace(workspace, lake=replace(workspace.lake, s3=s3))

    with pytest.raises(ClientError, match="SlowDown") as failure:
        make_snapshot(busy)

    assert is_transient(failure.value)
    assert make_snapshot(workspace).rows["train"] > 0

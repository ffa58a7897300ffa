"""The rows of a group lie side by side in one channel, and what can't be ranked is refused before a job is paid for."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_svmlight_file
from tests.draining import workspace_of
from tests.sluice.lake_contents import body_of, keys_below, put_rows
from tests.sluice.ranked import put_results, ranked, results
from tests.sluice.toy import TOY

from sluice.dataset.snapshot import CHANNELS, Snapshot, make_snapshot, snapshot_rows
from sluice.declaration import Gate, LinearLearner
from sluice.errors import DeclarationError, NotEnoughData
from sluice.lake.store import Lake

DAYS = {"train": range(1, 5), "validation": [5], "test": [6]}


def made(lake: Lake, **changes: Any) -> Snapshot:
    return make_snapshot(workspace_of(lake, ranked(**changes)))


def side_by_side(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with those of a query at the place of its first one, by pandas alone."""
    return pd.concat([some for _, some in rows.groupby("query", sort=False)])


def test_rows_of_a_group_lie_side_by_side_in_their_own_order(lake: Lake) -> None:
    rows = put_results(lake, range(1, 7))

    snapshot = made(lake)

    for channel, days in DAYS.items():
        body = body_of(lake, f"toy/snapshots/{snapshot.fingerprint}/gaps-libsvm/{channel}/part-0.libsvm")
        features, labels, groups = load_svmlight_file(io.BytesIO(body), query_id=True, zero_based=True, n_features=2)
        expected = pd.concat([side_by_side(rows[rows["day"] == day]) for day in days])
        assert labels.tolist() == expected["relevance"].tolist()
        assert features[:, 0].toarray()[:, 0].tolist() == expected["value"].tolist()
        assert groups.tolist() == pd.factorize(expected["query"])[0].tolist()
        assert (np.diff(groups) >= 0).all()
        if channel != "train":
            kept = snapshot_rows(lake, snapshot.fingerprint, channel)  # type: ignore[arg-type]
            pd.testing.assert_frame_equal(
                kept[["query", "value"]], expected[["query", "value"]].reset_index(drop=True), check_dtype=False
            )


def test_groups_may_be_numbers_and_slice_the_rows(lake: Lake) -> None:
    for day in range(1, 7):
        rows = results(day)
        put_rows(lake, "running", f"2013-01-{day:02d}", rows.assign(query=100 * day + pd.factorize(rows["query"])[0]))

    snapshot = made(lake, gate=Gate("ndcg", at_least=0.5, rows=1, slices=("query", "device")))

    kept = snapshot_rows(lake, snapshot.fingerprint, "test")
    assert kept["query"].tolist() == sorted(kept["query"], key=kept["query"].tolist().index)
    assert set(kept["query"]) == set(range(600, 612))


@pytest.mark.parametrize(
    ("day", "place", "parts"),
    [(3, "dt=2013-01-02", ("train", "train")), (5, "dt=2013-01-02", ("train", "validation"))],
)
def test_group_in_two_partitions_is_refused(lake: Lake, day: int, place: str, parts: tuple[str, str]) -> None:
    put_results(lake, range(1, 7))
    put_rows(lake, "running", f"2013-01-{day:02d}", results(day).assign(query="2-1"))

    with pytest.raises(DeclarationError) as refused:
        made(lake)

    assert str(refused.value) == (
        f"step 'running': group query='2-1' has rows in {place} ({parts[0]}) and in dt=2013-01-{day:02d} ({parts[1]}), "
        f"and a group is ranked as a whole; write all of its rows in one partition, or give each partition's rows a "
        f"group of their own"
    )
    assert not [key for key in keys_below(lake, "toy/snapshots/") if key.endswith("snapshot.json")]


@pytest.mark.parametrize(("channel", "use"), [("train", "no order to learn"), ("test", "no order by which a model")])
@pytest.mark.parametrize("change", [{"query": "rows"}, {"relevance": "queries"}])
def test_rows_without_an_order_are_refused(lake: Lake, channel: str, use: str, change: dict[str, str]) -> None:
    """GIVEN groups of one row, or of one relevance each, THEN there is nothing to compare."""
    put_results(lake, range(1, 7))
    for day in DAYS[channel]:
        rows = results(day)
        if "query" in change:
            rows["query"] = [f"{day}-{n}" for n in range(len(rows))]
        else:
            rows["relevance"] = pd.factorize(rows["query"])[0] % 3
        put_rows(lake, "running", f"2013-01-{day:02d}", rows)

    with pytest.raises(NotEnoughData, match=f"the {channel} rows .* have no group of 'query' whose rows differ in 'r"):
        made(lake)
    with pytest.raises(NotEnoughData, match=use):
        made(lake)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"query": None}, r"step 'running': group 'query' is missing in \d+ of \d+ rows in dt=2013-01-02; write it in"),
        ({"query": 0.5}, "group 'query' has .* that are not text, a whole number .*, such as 0.5"),
        (
            {"relevance": 5},
            r"label 'relevance' has .* that Ranking\('query'\) does not take, such as 5: a relevance is",
        ),
    ],
)
def test_group_or_relevance_of_another_kind_is_refused(lake: Lake, columns: dict[str, Any], message: str) -> None:
    put_results(lake, range(1, 7))
    put_rows(lake, "running", "2013-01-02", results(2).assign(**columns))

    with pytest.raises(DeclarationError, match=message):
        made(lake)


def test_rows_without_the_column_of_the_groups_are_refused(lake: Lake) -> None:
    put_results(lake, range(1, 7))
    put_rows(lake, "running", "2013-01-02", results(2).drop(columns="query"))

    with pytest.raises(
        DeclarationError, match="step 'running' writes no column query in dt=2013-01-02, which training"
    ):
        made(lake)


def test_last_column_that_libsvm_can_not_show_is_refused(lake: Lake) -> None:
    for day in range(1, 7):
        put_rows(lake, "running", f"2013-01-{day:02d}", results(day).assign(total=np.nan if day < 5 else 1.0))

    with pytest.raises(DeclarationError, match="feature total is missing in every train row, and it is the last one"):
        made(lake)
    assert made(lake, features=("total", "value")).rows["train"] > 0


def test_last_column_of_libsvm_needs_a_value_also_beside_a_format_without_gaps(lake: Lake) -> None:
    for day in range(1, 7):
        rows = pd.DataFrame({"late": [0, 1, 0], "value": [day, 2, 3], "total": [None] * 3})
        put_rows(lake, "running", f"2013-01-{day:02d}", rows.astype({"total": float}))
    (trees,) = TOY.require_training().candidates
    lines = LinearLearner({"predictor_type": "binary_classifier", "mini_batch_size": 2})
    training = replace(TOY.require_training(), candidates=(replace(trees, channel_format="libsvm"), lines))

    with pytest.raises(DeclarationError, match="a column of libsvm is known by its values only"):
        make_snapshot(workspace_of(lake, replace(TOY, training=training)))


def test_all_channels_have_the_same_bytes_in_another_lake(lake: Lake) -> None:
    other = Lake(lake.s3, f"{lake.bucket[:50]}-other", "toy")
    lake.s3.create_bucket(Bucket=other.bucket)
    for each in (lake, other):
        put_results(each, range(1, 7))

    one, two = made(lake), made(other)

    for channel in CHANNELS:
        key = f"toy/snapshots/{one.fingerprint}/gaps-libsvm/{channel}/part-0.libsvm"
        assert body_of(lake, key) == body_of(other, key)
    assert one == two

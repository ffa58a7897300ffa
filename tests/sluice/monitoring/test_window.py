"""The rows of a window are evenly spread, and what was trained on costs nothing."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from tests.sluice.lake_contents import partition, put_rows
from tests.sluice.monitoring.looks import put_days, watched
from tests.sluice.ranked import TRAINING, put_results, results
from tests.sluice.serving.live import Live

from sluice.errors import DeclarationError
from sluice.lake.store import Lake
from sluice.monitoring import window
from sluice.monitoring.window import newest_partitions, read_window
from sluice.workspace import Workspace


def test_rows_are_evenly_spread_over_the_partitions(live: Live, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_MOST_ROWS", 40)
    workspace = watched(live, lake)
    for day, first in ((9, 0), (10, 50), (11, 51)):
        numbers = range(first, {9: 50, 10: 51, 11: 100}[day])
        put_rows(lake, "running", f"2013-01-{day:02d}", pd.DataFrame({"late": 1.0, "value": numbers, "total": 0}))

    found = read_window(workspace, newest_partitions(workspace, partition("2013-01-08")), ("value", "total"))

    assert found.rows == 100
    assert found.features["value"].tolist() == list(range(0, 100, 4))
    assert found.judged["value"].tolist() == list(range(0, 100, 4))
    assert found.labels.tolist() == [1] * 25


def test_groups_stay_whole(live: Live, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN more rows than are judged THEN every second query is left out with all of its rows."""
    monkeypatch.setattr(window, "_MOST_ROWS", 60)
    workspace = ranks(watched(live, lake))
    rows = put_results(lake, (9, 10))
    known = rows.assign(relevance=rows["relevance"].where(rows.index % 5 > 0))  # the other outcomes are not there yet
    for day in (9, 10):
        put_rows(lake, "running", f"2013-01-{day:02d}", known[known["day"] == day])

    found = read_window(workspace, newest_partitions(workspace, partition("2013-01-08")), ("value", "total"))

    judged = known[known["relevance"].notna()]
    queries = pd.concat([judged[judged["day"] == day]["query"].drop_duplicates() for day in (9, 10)])
    step = next(each for each in (2, 4, 8) if judged["query"].isin(queries[::each]).sum() <= 60)
    kept = judged[judged["query"].isin(queries[::step])]
    assert found.rows == len(rows)
    assert found.judged["value"].tolist() == kept["value"].tolist()
    assert found.labels.tolist() == kept["relevance"].tolist()
    assert found.groups is not None
    assert found.groups.tolist() == pd.factorize(kept["query"])[0].tolist()


def test_group_with_more_rows_than_are_judged_is_kept(live: Live, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_MOST_ROWS", 3)
    workspace = ranks(watched(live, lake))
    put_rows(lake, "running", "2013-01-09", results(9).assign(query="one"))

    found = read_window(workspace, [partition("2013-01-09")], ("value", "total"))

    assert len(found.judged) == len(results(9))


def test_rows_without_the_column_of_the_groups_are_refused(live: Live, lake: Lake) -> None:
    workspace = ranks(watched(live, lake))
    put_rows(lake, "running", "2013-01-09", results(9).drop(columns="query"))

    with pytest.raises(
        DeclarationError, match="writes no column query in dt=2013-01-09, which training declares as its"
    ):
        read_window(workspace, [partition("2013-01-09")], ("value", "total"))


def ranks(workspace: Workspace) -> Workspace:
    return replace(workspace, pipeline=replace(workspace.pipeline, training=TRAINING))


def test_only_manifests_of_the_window_are_read(live: Live, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = watched(live, lake, window=2)
    put_days(lake, range(1, 15), rows=3)
    read: list[str] = []
    listed: list[str] = []
    manifest, objects = Lake.manifest, Lake.objects

    def noted_manifest(self: Lake, dataset: str, of: object) -> object:
        read.append(of.key)  # type: ignore[attr-defined]
        return manifest(self, dataset, of)  # type: ignore[arg-type]

    def noted_objects(self: Lake, prefix: str, after: str = "") -> object:
        for each in objects(self, prefix, after):
            listed.append(each[0].split("/")[2])
            yield each

    monkeypatch.setattr(Lake, "manifest", noted_manifest)
    monkeypatch.setattr(Lake, "objects", noted_objects)

    found = newest_partitions(workspace, partition("2013-01-08"))

    assert [each.key for each in found] == ["dt=2013-01-13", "dt=2013-01-14"]
    assert read == ["dt=2013-01-14", "dt=2013-01-13"]
    assert min(listed) == "dt=2013-01-09"


def test_rows_without_the_label_column_are_refused(live: Live, lake: Lake) -> None:
    workspace = watched(live, lake)
    put_rows(lake, "running", "2013-01-09", pd.DataFrame({"value": [1.0], "total": [1.0]}))

    with pytest.raises(DeclarationError, match="step 'running' writes no column late in dt=2013-01-09, which training"):
        read_window(workspace, [partition("2013-01-09")], ("value", "total"))

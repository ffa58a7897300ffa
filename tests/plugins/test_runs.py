"""What a run is about: the snapshot of a training, refused before anything is paid; the partitions of a scoring."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from tests.sluice.lake_contents import put_rows

from sluice.dataset.snapshot import read_snapshot
from sluice.declaration.loading import load_pipeline
from sluice.errors import NotEnoughData, QuotaTooLow, SluiceError
from sluice.workspace import Workspace
from sluice_airflow import connection
from sluice_airflow.policy import transformed
from sluice_airflow.runs import partitions_to_score, snapshot_of_run


def context(run_type: str, date: datetime | None = None, **bounds: str) -> Any:
    params = {"from": None, "to": None, **bounds}
    return {"params": params, "dag_run": SimpleNamespace(run_type=run_type, logical_date=date)}


@pytest.fixture(scope="module")
def rows(parcels: Workspace) -> Workspace:
    """``parcels`` with ten days of rows."""
    frame = pd.DataFrame({"weight": range(100), "distance": range(100), "late": [0, 1] * 50})
    for day in range(1, 11):
        put_rows(parcels.lake, "features", f"2013-01-{day:02d}", frame)
    return parcels


def test_snapshot_has_the_partitions_of_the_range(rows: Workspace) -> None:
    fingerprint = snapshot_of_run("parcels", context("manual", to="2013-01-08"))

    assert sorted(read_snapshot(rows.lake, fingerprint).revisions) == [f"dt=2013-01-0{day}" for day in range(1, 9)]


def test_scheduled_run_without_enough_data_is_skipped(rows: Workspace) -> None:
    with pytest.raises(AirflowSkipException, match="each needs at least one"):
        snapshot_of_run("parcels", context("scheduled", to="2013-01-01"))
    with pytest.raises(NotEnoughData, match="each needs at least one"):
        snapshot_of_run("parcels", context("manual", to="2013-01-01"))


@pytest.mark.parametrize("run_type", ["manual", "scheduled"])
def test_instances_that_the_account_has_not_fail_the_first_task(
    rows: Workspace, monkeypatch: pytest.MonkeyPatch, run_type: str
) -> None:
    training = rows.pipeline.require_training()
    large = tuple(replace(each, instance_type="ml.p3.2xlarge") for each in training.candidates)
    declared = replace(rows.pipeline, training=replace(training, candidates=large))
    monkeypatch.setattr(connection, "open_workspace", lambda _: replace(rows, pipeline=declared))

    with pytest.raises(QuotaTooLow, match=r"pipeline parcels needs a quota of 3 for 'ml\.p3\.2xlarge for training job"):
        snapshot_of_run("parcels", context(run_type))


def scored(context: Any) -> list[str]:
    return [each.key for each in partitions_to_score("flights", context)]


def test_scoring_that_transform_runs_have_started_is_about_all_their_partitions() -> None:
    """An event that somebody has made by hand has no partitions."""
    extras = ({"partitions": "dt=2013-01-03"}, {"partitions": "dt=2013-01-01..dt=2013-01-02,dt=2013-01-03"}, {})
    events = {transformed(load_pipeline("flights")): [SimpleNamespace(extra=extra) for extra in extras]}

    started = {**context("asset_triggered"), "triggering_asset_events": events}

    assert scored(started) == ["dt=2013-01-01", "dt=2013-01-02", "dt=2013-01-03"]


def test_scoring_of_a_range_or_of_a_date_is_about_these() -> None:
    assert scored(context("manual", **{"from": "2013-01-01", "to": "2013-01-02"})) == ["dt=2013-01-01", "dt=2013-01-02"]
    assert scored(context("manual", datetime(2013, 1, 5, 7, tzinfo=UTC))) == ["dt=2013-01-05"]
    with pytest.raises(SluiceError, match="no logical date and names no range"):
        scored(context("manual"))

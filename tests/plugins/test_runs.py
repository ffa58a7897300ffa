"""The first task of a training run: what it freezes, and what it refuses before anything is paid."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from tests.sluice.lake_contents import put_rows

from sluice.dataset.snapshot import read_snapshot
from sluice.errors import NotEnoughData, QuotaTooLow
from sluice.workspace import Workspace
from sluice_airflow import connection
from sluice_airflow.runs import snapshot_of_run


def context(run_type: str, **bounds: str) -> Any:
    params = {"from": None, "to": None, **bounds}
    return {"params": params, "dag_run": SimpleNamespace(run_type=run_type)}


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

    with pytest.raises(QuotaTooLow, match=r"pipeline parcels needs a quota of 1 for 'ml\.p3\.2xlarge for training job"):
        snapshot_of_run("parcels", context(run_type))

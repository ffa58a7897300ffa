"""Puts files as the output of the step that training reads, and freezes them as the task before a paid job does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from io import BytesIO
from typing import Any

import pyarrow.parquet as pq
import pytest

from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Binary, DateSplit, Gate, Input, Pipeline, Regression, Step, XGBoost
from sluice.errors import SluiceError
from sluice.lake.manifests import Manifest
from sluice.lake.store import Lake
from tests.calendars import utc
from tests.cases.case import Case
from tests.draining import workspace_of
from tests.sluice.toy import TOY

PROBLEMS = {"binary:logistic": (Binary(), "auc"), "reg:squarederror": (Regression(), "rmse")}


def check(case: Case, request: pytest.FixtureRequest) -> None:
    lake: Lake = request.getfixturevalue("lake")
    for variant in case.given["variants"]:
        of_variant = replace(lake, pipeline=variant["name"])
        put(case, of_variant, case.given["dataset"], variant)
        right = case.right["variants"][variant["name"]]
        if "refused" not in right:
            assert make_snapshot(workspace_of(of_variant, declared(case, variant))).fingerprint
            continue
        with pytest.raises(SluiceError) as refused:
            make_snapshot(workspace_of(of_variant, declared(case, variant)))
        for word in right["refused"]["must_name"]:
            assert word in str(refused.value)


def put(case: Case, lake: Lake, dataset: str, variant: Mapping[str, Any]) -> None:
    for key, name in variant["step_output"].items():
        partition = utc(key)
        body = case.read(name)
        rows = pq.read_metadata(BytesIO(body)).num_rows
        made = Manifest(
            dataset=dataset,
            partition=key,
            state="closed",
            revision=1,
            files=(lake.put(lake.layout.output(dataset, partition, name), body, rows),),
            rows_out=rows,
            written_at=lake.now(),
        )
        lake.update_manifest(dataset, partition, lambda _, made=made: made)  # type: ignore[misc]


def declared(case: Case, variant: Mapping[str, Any]) -> Pipeline:
    problem, metric = PROBLEMS[variant["objective"]]
    split = {channel: date.fromisoformat(keys[0].removeprefix("dt=")) for channel, keys in variant["split"].items()}
    training = replace(
        TOY.require_training(),
        rows=case.given["dataset"],
        label=variant["label"],
        features=tuple(variant["features"]),
        split=DateSplit(split["validation"], split["test"]),
        candidates=(XGBoost({"objective": variant["objective"], "num_round": 5}),),
        problem=problem,
        gate=Gate(metric, **({"at_least": 0.5} if metric == "auc" else {"at_most": 1e9}), rows=1),
    )
    return replace(
        TOY,
        name=variant["name"],
        start=datetime.combine(split["train"], time(), UTC),
        steps=(TOY.steps[0], Step(case.given["dataset"], run="steps:doubled", reads=(Input("conform"),))),
        training=training,
    )

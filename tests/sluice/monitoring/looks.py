"""A lake of a test's own behind the endpoint that all tests share, and rows that come after the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from tests.sluice.lake_contents import keys_below, put_rows
from tests.sluice.serving.live import Live

from sluice.declaration import Deployment, Monitoring
from sluice.lake.store import Lake
from sluice.workspace import Workspace

NOW = datetime(2013, 2, 1, 12, tzinfo=UTC)


def watched(live: Live, lake: Lake, endpoint: str | None = None, **bounds: Any) -> Workspace:
    """Return the workspace of a pipeline that watches an endpoint, by a lake that has what was proven and no rows."""
    name = endpoint or live.endpoint
    source = live.workspace.lake
    for prefix in (f"toy/snapshots/{live.fingerprint}/", "toy/deployments/"):
        for key in keys_below(source, prefix):
            lake.s3.copy_object(Bucket=lake.bucket, Key=key, CopySource={"Bucket": source.bucket, "Key": key})
    return replace(
        live.workspace,
        pipeline=replace(live.workspace.pipeline, deployment=Deployment(name, monitoring=Monitoring(**bounds))),
        resources=replace(live.workspace.resources, bucket=lake.bucket),
        lake=replace(lake, now=lambda: NOW),
    )


def new_rows(seed: int, count: int, *, flipped: bool = False, shift: float = 0) -> pd.DataFrame:
    """Return rows of the relation that the live model has learned, or of the opposite one."""
    random = np.random.default_rng(seed)
    value, total = random.uniform(-1, 1, (2, count)).round(3)
    late = (value + random.normal(0, 0.6, count) > 0).astype(int)
    return pd.DataFrame({"late": 1 - late if flipped else late, "value": value + shift, "total": total})


def put_days(lake: Lake, days: Sequence[int], *, rows: int = 60, **kind: Any) -> pd.DataFrame:
    """Put days of January 2013, of which the first eight have trained; return their rows."""
    frames = [new_rows(day, rows, **kind) for day in days]
    for day, frame in zip(days, frames, strict=True):
        put_rows(lake, "running", f"2013-01-{day:02d}", frame)
    return pd.concat(frames, ignore_index=True)

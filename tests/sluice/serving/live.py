"""Two trained models behind endpoints, and the first model read back without the library."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
import xgboost
from tests.draining import workspace_of
from tests.sluice.lake_contents import body_of, put_rows
from tests.sluice.toy import TOY

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration.training import Deployment
from sluice.declaration.xgboost import XGBoost
from sluice.lake.store import Lake
from sluice.serving.endpoint import find_endpoint, start_change
from sluice.training.jobs import Job, completed_job, find_job, launch_training
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Live:
    """``job`` trained on the snapshot ``fingerprint``; ``other_job`` on the same rows, to be worse at them."""

    workspace: Workspace
    fingerprint: str
    job: Job
    other_job: Job
    endpoint: str
    wrong_endpoint: str

    @property
    def validation_auc(self) -> float:
        return self.job.metrics["validation:auc"]

    def predictions(self, rows: Sequence[str]) -> list[float]:
        """Return the scores of the job's own model for rows of CSV."""
        key = self.job.model_uri.removeprefix(f"s3://{self.workspace.lake.bucket}/")
        with tarfile.open(fileobj=io.BytesIO(body_of(self.workspace.lake, key)), mode="r:gz") as archive:
            file = archive.extractfile("xgboost-model")
            assert file is not None
            booster = xgboost.Booster()
            booster.load_model(bytearray(file.read()))
        table = np.array([[float(field or "nan") for field in row.split(",")] for row in rows])
        scores: list[float] = booster.predict(xgboost.DMatrix(table)).tolist()
        return scores

    def auc_of(self, channel: str) -> float:
        """Return the AUC of the job's own model on the rows of a channel, by its definition."""
        key = f"toy/snapshots/{self.fingerprint}/{channel}/part-0.csv"
        lines = body_of(self.workspace.lake, key).decode().splitlines()
        labels = [line.partition(",")[0] for line in lines]
        scored = list(zip(labels, self.predictions([line.partition(",")[2] for line in lines]), strict=True))
        pairs = [
            (one > other) + (one == other) / 2
            for (of_one, one), (of_other, other) in product(scored, scored)
            if (of_one, of_other) == ("1", "0")
        ]
        return float(np.mean(pairs))


SETTINGS: Mapping[str, str | int | float] = TOY.training.candidate.hyperparameters


def trained(workspace: Workspace, fingerprint: str, **settings: str | int | float) -> Job:
    """Return the completed job of the pipeline with some hyperparameters of its own."""
    candidate = XGBoost({**SETTINGS, **settings})
    pipeline = replace(workspace.pipeline, training=replace(workspace.pipeline.training, candidate=candidate))
    launched = launch_training(replace(workspace, pipeline=pipeline), fingerprint)

    def probe() -> bool:
        job = find_job(workspace, launched.job_name)
        return job is not None and job.ended

    wait_for(probe, what=f"the end of {launched.job_name}")
    return completed_job(workspace, launched.job_name)


def serving(workspace: Workspace, endpoint: str, job: Job) -> None:
    """Deploy, and wait until the endpoint has settled."""
    pipeline = replace(workspace.pipeline, deployment=Deployment(endpoint))
    start_change(replace(workspace, pipeline=pipeline), job)
    settled(workspace, endpoint)


def settled(workspace: Workspace, endpoint: str) -> None:

    def probe() -> bool:
        found = find_endpoint(workspace, endpoint)
        return found is None or found.settled

    wait_for(probe, what=f"endpoint {endpoint} to settle")


def put_learnable(lake: Lake, days: int) -> None:
    random = np.random.default_rng(5)
    for day in range(1, days + 1):
        value, total = random.uniform(-1, 1, (2, 60)).round(3)
        late = (value + random.normal(0, 0.6, 60) > 0).astype(int)
        put_rows(lake, "running", f"2013-01-{day:02d}", pd.DataFrame({"late": late, "value": value, "total": total}))


def make_live(aws: Aws, resources: Resources) -> Live:
    """Make a model behind ``toy-live``, and one that is worse at the same rows behind ``toy-wrong``."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="toy-live")
    lake = Lake(s3, "toy-live", "toy")
    put_learnable(lake, 8)
    workspace = Workspace(TOY, replace(resources, bucket="toy-live"), lake, aws)
    fingerprint = make_snapshot(workspace_of(lake, TOY)).fingerprint
    job = trained(workspace, fingerprint)
    other = trained(workspace, fingerprint, num_round=1, max_depth=1)
    serving(workspace, "toy-live", job)
    serving(workspace, "toy-wrong", other)
    return Live(workspace, fingerprint, job, other, "toy-live", "toy-wrong")

"""Two trained and judged models behind endpoints, and the first model read back without the library."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
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
from sluice.declaration.candidates import Candidate
from sluice.declaration.deployment import Deployment
from sluice.declaration.xgboost import XGBoost
from sluice.evaluation.judge import judge
from sluice.evaluation.scoring import launch_scoring
from sluice.evaluation.transforms import find_scoring
from sluice.evaluation.verdict import Verdict, record_verdict
from sluice.lake.store import Lake
from sluice.serving.deployment import Done, Failed, Step, Wait, advance, start
from sluice.serving.endpoint import find_endpoint
from sluice.serving.plan import Target
from sluice.serving.recipe import recipe_of_model
from sluice.training.jobs import Job
from sluice.training.kinds import TRAINING, kind_of
from sluice.training.launching import launch_training
from sluice.training.models import Model, model_of
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Live:
    """``model`` was trained on the snapshot ``fingerprint``; ``other`` on the same rows, to be worse at them."""

    workspace: Workspace
    fingerprint: str
    job: Job
    model: Model
    other: Model
    verdict: int
    endpoint: str
    wrong_endpoint: str

    def target(self, workspace: Workspace, model: Model) -> Target:
        """Return the target of a model of the verdict, as the workspace's pipeline declares its deployment."""
        return Target(model=model, recipe=recipe_of_model(workspace, model), verdict=self.verdict)

    def predictions(self, rows: Sequence[str]) -> list[float]:
        """Return the scores of the job's own model for rows of CSV."""
        return predictions(self.workspace.lake, self.job, rows)

    def auc_of(self, channel: str) -> float:
        """Return the AUC of the job's own model on the rows of a channel, by its definition."""
        return auc_of(self.workspace.lake, self.fingerprint, self.job, channel)


def predictions(lake: Lake, job: Job, rows: Sequence[str]) -> list[float]:
    """Return the scores of the XGBoost model of a job for rows of CSV."""
    with tarfile.open(
        fileobj=io.BytesIO(body_of(lake, job.model_uri.removeprefix(f"s3://{lake.bucket}/"))), mode="r:gz"
    ) as archive:
        file = archive.extractfile("xgboost-model")
        assert file is not None
        booster = xgboost.Booster()
        booster.load_model(bytearray(file.read()))
    table = np.array([[float(field or "nan") for field in row.split(",")] for row in rows])
    scores: list[float] = booster.predict(xgboost.DMatrix(table)).tolist()
    return scores


def auc_of(lake: Lake, fingerprint: str, job: Job, channel: str) -> float:
    """Return the AUC of the XGBoost model of a job on the rows of a channel, by its definition."""
    lines = body_of(lake, f"toy/snapshots/{fingerprint}/gaps/{channel}/part-0.csv").decode().splitlines()
    labels = [line.partition(",")[0] for line in lines]
    scored = list(zip(labels, predictions(lake, job, [line.partition(",")[2] for line in lines]), strict=True))
    pairs = [
        (one > other) + (one == other) / 2
        for (of_one, one), (of_other, other) in product(scored, scored)
        if (of_one, of_other) == ("1", "0")
    ]
    return float(np.mean(pairs))


SETTINGS: Mapping[str, str | int | float] = TOY.training.candidates[0].hyperparameters


def train(workspace: Workspace, fingerprint: str, candidate: Candidate) -> Job:
    """Return the completed job of a candidate: of a tuning, the best training job."""
    launched = launch_training(workspace, candidate, fingerprint)

    kind = kind_of(workspace.pipeline, launched.job_name)

    def probe() -> bool:
        job = kind.find(workspace, launched.job_name)
        return job is not None and job.ended

    wait_for(probe, what=f"the end of {launched.job_name}")
    return kind.completed(workspace, launched.job_name)


def trained(workspace: Workspace, fingerprint: str, **settings: str | int | float) -> Model:
    """Return the model of the pipeline's XGBoost with some hyperparameters of its own."""
    candidate = XGBoost({**SETTINGS, **settings})
    return model_of(candidate, train(workspace, fingerprint, candidate), fingerprint)


def score(workspace: Workspace, model: Model, fingerprint: str) -> None:
    """Score the rows of a snapshot with a model."""
    name = launch_scoring(workspace, model, fingerprint).job_name

    def probe() -> bool:
        job = find_scoring(workspace, name)
        return job is not None and job.ended

    wait_for(probe, what=f"the end of {name}")
    scoring = find_scoring(workspace, name)
    assert scoring is not None
    assert scoring.completed, scoring.failure_reason


def judged(workspace: Workspace, models: Sequence[Model], champion: Model | None, fingerprint: str) -> Verdict:
    """Return the verdict on models, after each has scored the rows."""
    for model in [*models, *([champion] if champion else [])]:
        score(workspace, model, fingerprint)
    return judge(workspace, models, champion, fingerprint)


def at_endpoint(workspace: Workspace, endpoint: str) -> Workspace:
    """Return the workspace of the same pipeline with another endpoint."""
    return replace(workspace, pipeline=replace(workspace.pipeline, deployment=Deployment(endpoint)))


def deploy(workspace: Workspace, target: Target) -> Done | Failed:
    """Deploy, and take each step once the endpoint has settled."""
    return follow(workspace, target, start(workspace, target))


def follow(workspace: Workspace, target: Target, step: Step) -> Done | Failed:
    """Take the steps after this one."""
    take: Callable[[Workspace, Target], Step]
    while isinstance(step, Wait):
        settled(workspace, workspace.pipeline.require_deployment().endpoint)
        take = advance if step.begun else start
        step = take(workspace, target)
    return step


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
    workspace = at_endpoint(Workspace(TOY, replace(resources, bucket="toy-live"), lake, aws), "toy-live")
    fingerprint = make_snapshot(workspace_of(lake, TOY)).fingerprint
    model = trained(workspace, fingerprint)
    other = trained(workspace, fingerprint, num_round=1, max_depth=1)
    verdict = record_verdict(lake, judged(workspace, [model, other], None, fingerprint))
    live = Live(
        workspace=workspace,
        fingerprint=fingerprint,
        job=TRAINING.completed(workspace, model.job),
        model=model,
        other=other,
        verdict=verdict,
        endpoint="toy-live",
        wrong_endpoint="toy-wrong",
    )
    for endpoint, served in ((live.endpoint, model), (live.wrong_endpoint, other)):
        at = at_endpoint(workspace, endpoint)
        step = deploy(at, live.target(at, served))
        assert isinstance(step, Done), step
    return live

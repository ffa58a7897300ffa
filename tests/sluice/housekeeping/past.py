"""A pipeline with a past: three models that were judged, deployed one after another, and have left everything behind.

Nothing was trained: each model is a copy of one that was, so an endpoint really serves it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.sluice.lake_contents import body_of, keys_below
from tests.sluice.serving.live import Live, settled
from tests.sluice.toy import toy

from localcloud.testing.waiting import wait_for
from sluice.declaration.deployment import Deployment
from sluice.evaluation.verdict import Figure, Judgement, Verdict, record_verdict
from sluice.lake.store import Lake
from sluice.serving.endpoint import find_endpoint
from sluice.serving.plan import Target
from sluice.serving.recipe import make, recipe_of_model
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.models import Model
from sluice.workspace import Workspace

FINGERPRINTS = ("a" * 32, "b" * 32, "c" * 32)
EMPTY_SNAPSHOT = b'{"revisions": {}}'
SNAPSHOT_FILES = ("profile.json", "gaps/train/part-0.csv", "inputs/0123456789abcdef/test.csv")


@dataclass(frozen=True)
class Past:
    """The deployment ``n`` of ``targets`` is number ``n + 1``, as is the verdict, which judged its predecessor as well.

    Each was trained on the snapshot ``n`` of ``FINGERPRINTS``, and judged by it.
    """

    workspace: Workspace
    models: tuple[Model, ...]
    targets: tuple[Target, ...]

    @property
    def endpoint(self) -> str:
        return str(self.workspace.pipeline.require_deployment().endpoint)

    def scores(self, model: int, verdict: int) -> str:
        """Return the name of the scoring of a model for a verdict, both counted from 0."""
        return f"{self.workspace.pipeline.name}-scores-{model:08x}{verdict:08x}"

    def serve(self, deployment: int) -> None:
        """Make a deployment live, by SageMaker's own calls."""
        sagemaker, config = self.workspace.aws.client("sagemaker"), self.targets[deployment].config
        if find_endpoint(self.workspace, self.endpoint) is None:
            sagemaker.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=config)
        else:
            sagemaker.update_endpoint(EndpointName=self.endpoint, EndpointConfigName=config)
        settled(self.workspace, self.endpoint)
        found = find_endpoint(self.workspace, self.endpoint)
        assert found is not None
        assert found.serves(config), found

    def after(self, time: timedelta) -> Workspace:
        """Return the workspace as it is after some time."""
        later = datetime.now(UTC) + time
        return replace(self.workspace, lake=replace(self.workspace.lake, now=lambda: later))

    def remains(self) -> set[tuple[str, str]]:
        """Return kinds and names of what exists, read without the library."""
        sagemaker, name = self.workspace.aws.client("sagemaker"), self.workspace.pipeline.name
        keys = [key.split("/") for key in keys_below(self.workspace.lake, f"{name}/")]
        folders = {
            *(("snapshot", key[2]) for key in keys if key[1] == "snapshots"),
            *(("artefact", key[2]) for key in keys if key[1] == "models"),
            *(("scores", key[3]) for key in keys if key[1:3] == ["evaluations", "scores"]),
        }
        configs = sagemaker.list_endpoint_configs(NameContains=self.endpoint, MaxResults=100)["EndpointConfigs"]
        models = sagemaker.list_models(NameContains=f"{name}-", MaxResults=100)["Models"]
        return {
            *folders,
            *(("endpoint configuration", each["EndpointConfigName"]) for each in configs),
            *(("model", each["ModelName"]) for each in models),
        }

    def of_first(self) -> set[tuple[str, str]]:
        """Return what only the first deployment and the verdicts on its model have left."""
        job = self.models[0].job
        return {
            ("endpoint configuration", self.targets[0].config),
            ("model", job),
            ("artefact", job),
            ("scores", self.scores(0, 0)),
            ("scores", self.scores(0, 1)),
            ("snapshot", FINGERPRINTS[0]),
        }

    def of_second(self) -> set[tuple[str, str]]:
        """Return what only the second deployment has left; the last verdict judged its model as well."""
        return {("endpoint configuration", self.targets[1].config), ("scores", self.scores(1, 1))}


def make_past(live: Live, bucket: str) -> Iterator[Past]:
    """Make a past in a bucket of a test's own, with an endpoint that is deleted in the end."""
    name, endpoint = f"p{zlib.crc32(bucket.encode()):08x}", f"h-{bucket}"[:40].strip("-")
    lake = Lake(live.workspace.lake.s3, bucket, name)
    workspace = Workspace(
        toy(name=name, deployment=Deployment(endpoint)),
        replace(live.workspace.resources, bucket=bucket),
        lake,
        live.workspace.aws,
    )
    trained = body_of(live.workspace.lake, live.model.artefact.removeprefix(f"s3://{live.workspace.lake.bucket}/"))
    models = tuple(_model(workspace, live.model, number, trained) for number in range(3))
    targets = tuple(
        Target(model=model, recipe=recipe_of_model(workspace, model), verdict=number)
        for number, model in enumerate(models, 1)
    )
    past = Past(workspace, models, targets)
    for number, target in enumerate(targets):
        make(workspace, target.recipe)
        for key in SNAPSHOT_FILES:
            lake.put(f"{name}/snapshots/{FINGERPRINTS[number]}/{key}", b"1,0.5\n")
        lake.put(f"{name}/snapshots/{FINGERPRINTS[number]}/snapshot.json", EMPTY_SNAPSHOT)
        _judge(past, number)
        record_deployment(
            lake,
            DeploymentRecord(
                endpoint=endpoint, model=target.model, verdict=number + 1, metrics={"auc": 0.9}, recipe=target.recipe
            ),
        )
    _wait_for_a_later_verdict(past)
    yield past
    settled(workspace, endpoint)
    if find_endpoint(workspace, endpoint) is not None:
        workspace.aws.client("sagemaker").delete_endpoint(EndpointName=endpoint)


def _model(workspace: Workspace, trained: Model, number: int, artefact: bytes) -> Model:
    job = f"{workspace.pipeline.name}-xgboost-{number:016x}"
    key = f"{workspace.pipeline.name}/models/{job}/output/model.tar.gz"
    workspace.lake.put(key, artefact)
    changes = {"job": job, "artefact": workspace.lake.uri(key), "snapshot": FINGERPRINTS[number]}
    return trained.model_copy(update=changes)


def _judge(past: Past, number: int) -> None:
    """Record a verdict on a model and its predecessor, with their scores."""
    lake, judgements = past.workspace.lake, []
    for each in (number, number - 1)[: 2 if number else 1]:
        folder = f"{lake.pipeline}/evaluations/scores/{past.scores(each, number)}/"
        lake.put(f"{folder}test.csv.out", b"0.5\n")
        judgements.append(
            Judgement(
                model=past.models[each], scores=folder, rows=1, metrics={"auc": Figure(value=0.9)}, validation=None
            )
        )
    verdict = Verdict(
        snapshot=FINGERPRINTS[number],
        metric="auc",
        rules={},
        challengers=(past.models[number].job,),
        champion=past.models[number - 1].job if number else None,
        judgements=tuple(judgements),
        winner=past.models[number].job,
        reasons=("it is better",),
    )
    assert record_verdict(lake, verdict) == number + 1


def _wait_for_a_later_verdict(past: Past) -> None:
    """Write the newest verdict until S3, whose times have no fractions, has it later than all else."""
    lake = past.workspace.lake
    folders = [f"{lake.pipeline}/{folder}" for folder in ("snapshots", "models", "evaluations/scores")]
    put_later(lake, f"{lake.pipeline}/evaluations/verdicts/000003.json", *folders)


def put_later(lake: Lake, key: str, *than: str) -> None:
    """Write an object again until S3, whose times have no fractions, has it later than what is below some prefixes."""
    body = body_of(lake, key)

    def written(prefix: str) -> Any:
        listed = lake.s3.list_objects_v2(Bucket=lake.bucket, Prefix=prefix)["Contents"]
        return max(each["LastModified"] for each in listed)

    others = max(written(prefix) for prefix in than)

    def probe() -> bool:
        lake.put(key, body)
        return bool(written(key) > others)

    wait_for(probe, what=f"a later {key}")


@contextmanager
def superseded_snapshot(lake: Lake) -> Iterator[list[str]]:
    """Give a lake two snapshots, of 17 bytes each, and a verdict on the second; yield their fingerprints."""
    old, newest = (f"{lake.pipeline}/snapshots/{each}/snapshot.json" for each in FINGERPRINTS[:2])
    lake.put(old, EMPTY_SNAPSHOT)
    number = record_verdict(
        lake,
        Verdict(
            snapshot=FINGERPRINTS[1],
            metric="auc",
            rules={},
            challengers=(),
            champion=None,
            judgements=(),
            winner=None,
            reasons=("no model",),
        ),
    )
    verdict = f"{lake.pipeline}/evaluations/verdicts/{number:06d}.json"
    put_later(lake, verdict, old)
    lake.put(newest, EMPTY_SNAPSHOT)
    put_later(lake, newest, verdict)
    yield list(FINGERPRINTS[:2])
    for key in (old, newest, verdict):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)

"""Partitions are scored by the live model, once for each content, and the scores are a dataset of the lake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.calendars import utc_ranges
from tests.sluice.lake_contents import body_of, keys_below, manifest_json, put_rows, rows_of
from tests.sluice.serving.live import Live, predictions, train
from tests.sluice.toy import toy

from localcloud.testing.waiting import wait_for
from sluice.aws.clients import Aws
from sluice.dataset.snapshot import make_snapshot
from sluice.declaration import Deployment, Gate, Multiclass, Scoring, XGBoost
from sluice.errors import DeclarationError, MissingResource, SluiceError
from sluice.evaluation.transforms import find_scoring
from sluice.scoring.batches import launch_batch
from sluice.scoring.writing import announce_scores, write_scores
from sluice.serving.champion import require_live
from sluice.serving.recipe import Recipe
from sluice.serving.records import DeploymentRecord, record_deployment
from sluice.training.jobs import completed_job
from sluice.training.models import Model, model_of
from sluice.workspace import Workspace

DAYS = "dt=2013-03-01..dt=2013-03-03"
SCORING = Scoring(keep=("event_id", "event_time"))


def rows(day: str, count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng([seed, int(day[-2:])])
    value, total = random.uniform(-1, 1, (2, count)).round(3)
    value[::7] = np.nan
    return pd.DataFrame(
        {
            "event_id": [f"{day}-{n}" for n in range(count)],
            "event_time": pd.date_range(f"{day}T01:00:00Z", periods=count, freq="min"),
            "value": value,
            "total": total,
        }
    )


def expected(workspace: Workspace, live: Live, model: Model, day: str) -> Any:
    """Return the scores of a model for the rows of a day, from its artefact."""
    lines = [
        f"{'' if row['value'] is None else row['value']},{row['total']}"
        for row in rows_of(workspace.lake, "running", f"dt={day}")
    ]
    job = completed_job(live.workspace, model.job)
    return pytest.approx(predictions(live.workspace.lake, job, lines), rel=1e-5)


@pytest.fixture
def own(live: Live, own_name: str) -> Workspace:
    """The toy without an endpoint, with a lake of three days; the first model of ``live`` is live."""
    workspace = live.workspace
    workspace.aws.client("s3").create_bucket(Bucket=own_name)
    lake = replace(workspace.lake, bucket=own_name)
    key = f"toy/snapshots/{live.fingerprint}/snapshot.json"
    lake.put(key, body_of(workspace.lake, key))
    own = replace(
        workspace,
        lake=lake,
        resources=replace(workspace.resources, bucket=own_name),
        pipeline=toy(deployment=None, scoring=SCORING),
    )
    for day, count in (("2013-03-01", 20), ("2013-03-02", 0), ("2013-03-03", 30)):
        put_rows(lake, "running", day, rows(day, count))
    make_live(own, live.model)
    return own


def make_live(workspace: Workspace, model: Model) -> None:
    record_deployment(
        workspace.lake, DeploymentRecord(endpoint=None, model=model, verdict=1, metrics={"auc": 0.9}, recipe=None)
    )


def score(workspace: Workspace, ranges: str = DAYS) -> tuple[str | None, dict[str, Any]]:
    """Score partitions as the DAG does; return the name of the transform job, and what was written."""
    job = require_live(workspace).job
    name = launch_batch(workspace, job, ranges)
    if name is not None:
        wait_for(lambda: (found := find_scoring(workspace, name)) and found.ended, what=f"the end of {name}")
        found = find_scoring(workspace, name)
        assert found is not None
        assert found.completed, found.failure_reason
    return name, write_scores(workspace, job, ranges)


def recorded(workspace: Workspace) -> tuple[Workspace, list[str]]:
    """Return a workspace whose calls that change something are recorded."""
    calls: list[str] = []

    def note(model: Any, **_: Any) -> None:
        if model.name.startswith(("Create", "Put", "Delete", "Update", "Stop")):
            calls.append(model.name)

    aws = Aws(workspace.aws.session, workspace.aws.endpoint)
    for service in ("sagemaker", "s3"):
        aws.client(service).meta.events.register("before-call", note)
    return replace(workspace, aws=aws, lake=replace(workspace.lake, s3=aws.client("s3"))), calls


def test_rows_get_the_scores_of_the_live_model(own: Workspace, live: Live) -> None:
    name, summary = score(own)

    assert name is not None
    assert summary == {"partitions": DAYS, "rows": 50}
    for day, count in (("2013-03-01", 20), ("2013-03-03", 30)):
        found = rows_of(own.lake, "scores", f"dt={day}")
        assert [list(row) for row in found] == [["event_id", "event_time", "score"]] * count
        kept = rows(day, count)[["event_id", "event_time"]]
        assert [(row["event_id"], row["event_time"]) for row in found] == list(kept.itertuples(index=False, name=None))
        assert [row["score"] for row in found] == expected(own, live, live.model, day)
        manifest = manifest_json(own.lake, "scores", f"dt={day}")
        assert (manifest["state"], manifest["revision"], manifest["rows_in"], manifest["rows_out"]) == (
            "closed",
            1,
            count,
            count,
        )
        assert manifest["first_event_time"] == f"{day}T01:00:00Z"
    assert rows_of(own.lake, "scores", "dt=2013-03-02") == []
    assert manifest_json(own.lake, "scores", "dt=2013-03-02")["state"] == "closed"
    announced = [announce_scores(own, live.model.job, utc_ranges(DAYS), "run") for _ in range(2)]
    assert announced == [3, 0]


@pytest.mark.usefixtures("no_wire")
def test_scoring_again_creates_and_writes_nothing(own: Workspace) -> None:
    score(own)
    again, calls = recorded(own)

    assert score(again) == (None, {"partitions": "", "rows": 0})
    assert calls == []


def test_changed_partition_is_scored_again_and_no_other(own: Workspace, live: Live) -> None:
    score(own)
    put_rows(own.lake, "running", "2013-03-03", rows("2013-03-03", 40, seed=1))

    with pytest.raises(SluiceError, match=r"^dt=2013-03-03 has no scores of the model of toy-xgboost-"):
        announce_scores(own, live.model.job, utc_ranges(DAYS), "run")
    name, summary = score(own)

    assert summary == {"partitions": "dt=2013-03-03", "rows": 40}
    job = own.aws.client("sagemaker").describe_transform_job(TransformJobName=name)
    folder = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{own.lake.bucket}/")
    assert [key.split("/")[-1][:13] for key in keys_below(own.lake, folder)] == ["dt=2013-03-03"]
    found = [row["score"] for row in rows_of(own.lake, "scores", "dt=2013-03-03")]
    assert found == expected(own, live, live.model, "2013-03-03")
    assert manifest_json(own.lake, "scores", "dt=2013-03-03")["revision"] == 2
    assert manifest_json(own.lake, "scores", "dt=2013-03-01")["revision"] == 1


def test_new_champion_scores_what_is_asked_for_and_the_former_one_is_not_paid_for_again(
    own: Workspace, live: Live
) -> None:
    score(own)
    before = manifest_json(own.lake, "scores", "dt=2013-03-01")["files"]
    make_live(own, live.other)

    _, summary = score(own, "dt=2013-03-01")

    assert summary["partitions"] == "dt=2013-03-01"
    found = [row["score"] for row in rows_of(own.lake, "scores", "dt=2013-03-01")]
    assert found == expected(own, live, live.other, "2013-03-01")
    assert f"models/{live.other.job}" in manifest_json(own.lake, "scores", "dt=2013-03-01")["inputs"]
    assert f"models/{live.model.job}" in manifest_json(own.lake, "scores", "dt=2013-03-03")["inputs"]

    make_live(own, live.model)
    assert score(own) == (None, {"partitions": "dt=2013-03-01", "rows": 20})
    assert manifest_json(own.lake, "scores", "dt=2013-03-01")["files"] == before


def test_run_that_died_goes_on_with_the_answers_that_it_has(own: Workspace, live: Live) -> None:
    """After the launch the job is adopted; after a part was written, no further job is needed for the rest."""
    job = live.model.job
    first = launch_batch(own, job, DAYS)
    again, calls = recorded(own)
    assert launch_batch(again, job, DAYS) == first
    assert "CreateTransformJob" not in calls
    wait_for(lambda: find_scoring(own, first).ended, what=f"the end of {first}")
    write_scores(own, job, "dt=2013-03-01")
    calls.clear()

    assert launch_batch(again, job, DAYS) is None
    assert write_scores(again, job, DAYS)["partitions"] == "dt=2013-03-02..dt=2013-03-03"
    assert "CreateTransformJob" not in calls


def test_classes_have_a_column_each_and_the_most_probable_one(own: Workspace) -> None:
    for day in range(1, 7):
        frame = rows(f"2013-01-{day:02d}", 60).fillna(0)
        put_rows(own.lake, "running", f"2013-01-{day:02d}", frame.assign(late=(frame["value"] * 1.5 + 1.5).astype(int)))
    trees = XGBoost({"objective": "multi:softprob", "num_class": 3, "num_round": 3, "nthread": 1})
    gate = Gate("accuracy", at_least=0.5, rows=1)
    training = replace(own.pipeline.training, problem=Multiclass(3), candidates=(trees,), gate=gate)
    own = replace(own, pipeline=replace(own.pipeline, training=training))
    fingerprint = make_snapshot(own, "2013-01-01", "2013-01-06").fingerprint
    make_live(own, model_of(trees, train(own, fingerprint, trees), fingerprint))

    score(own, "dt=2013-03-01")

    found = rows_of(own.lake, "scores", "dt=2013-03-01")
    assert list(found[0]) == ["event_id", "event_time", "class", "score_0", "score_1", "score_2"]
    for row in found:
        probabilities = [row[f"score_{label}"] for label in range(3)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["class"] == probabilities.index(max(probabilities))
    assert len({row["class"] for row in found}) > 1


def refuse(own: Workspace, error: type[SluiceError], message: str, ranges: str = DAYS) -> None:
    """Require that a launch fails in one line, before a job is created."""
    recording, calls = recorded(own)
    with pytest.raises(error, match=message) as refused:
        launch_batch(recording, require_live(recording).job, ranges)
    assert "\n" not in str(refused.value)
    assert "CreateTransformJob" not in calls


def test_what_can_not_be_scored_is_refused_before_it_is_paid_for(own: Workspace) -> None:
    refuse(own, MissingResource, "is not complete in dt=2013-03-04; run toy_transform", "dt=2013-03-03..dt=2013-03-04")
    put_rows(own.lake, "running", "2013-03-04", rows("2013-03-04", 5), state="open")
    refuse(own, MissingResource, "is not complete in dt=2013-03-04", "dt=2013-03-04")

    put_rows(own.lake, "running", "2013-03-04", rows("2013-03-04", 5).drop(columns="event_time"))
    refuse(own, DeclarationError, "writes no column event_time in dt=2013-03-04, which the scoring", "dt=2013-03-04")

    put_rows(own.lake, "running", "2013-03-04", rows("2013-03-04", 5).drop(columns="total"))
    refuse(own, DeclarationError, "step 'running' in dt=2013-03-04: the rows have no column total", "dt=2013-03-04")

    put_rows(own.lake, "running", "2013-03-04", rows("2013-03-04", 5).assign(value="much"))
    refuse(own, DeclarationError, "step 'running' in dt=2013-03-04: column 'value': .* not a number", "dt=2013-03-04")


def test_model_that_is_gone_or_was_never_live_is_named(own: Workspace, live: Live) -> None:
    gone = live.model.model_copy(update={"artefact": own.lake.uri("toy/models/gone/output/model.tar.gz")})
    make_live(own, gone)
    refuse(own, MissingResource, rf"^the model of {gone.job}, which is live, is gone: s3://.* removed; train again$")

    served = replace(own, pipeline=toy(scoring=SCORING, deployment=Deployment("toy-nowhere")))
    config: Any = {"EndpointConfigName": "toy-nowhere-1"}
    record_deployment(
        own.lake,
        DeploymentRecord(
            endpoint="toy-nowhere", model=gone, verdict=1, metrics={}, recipe=Recipe(models=(), config=config)
        ),
    )
    refuse(served, MissingResource, "^endpoint toy-nowhere does not serve the model that was proven last; run `sluice")

    never = replace(own, lake=replace(own.lake, pipeline="never"), pipeline=replace(own.pipeline, name="never"))
    refuse(never, MissingResource, "^no model of never is live; run never_train first$")


def test_rows_that_change_while_they_are_scored_are_not_written(own: Workspace, live: Live) -> None:
    job = live.model.job
    name = launch_batch(own, job, DAYS)
    wait_for(lambda: find_scoring(own, name).ended, what=f"the end of {name}")
    put_rows(own.lake, "running", "2013-03-03", rows("2013-03-03", 31, seed=2))

    with pytest.raises(SluiceError, match=r"the answers for dt=2013-03-03, is not there: the rows have changed"):
        write_scores(own, job, DAYS)

    assert manifest_json(own.lake, "scores", "dt=2013-03-01")["state"] == "closed"
    assert keys_below(own.lake, "toy/scores/dt=2013-03-03") == []


def test_answers_of_another_kind_are_refused(own: Workspace, live: Live) -> None:
    job = live.model.job
    name = launch_batch(own, job, "dt=2013-03-01")
    wait_for(lambda: find_scoring(own, name).ended, what=f"the end of {name}")
    (key,) = keys_below(own.lake, f"toy/batches/{job}/answers/")

    own.lake.put(key, b"0.5\n")
    with pytest.raises(SluiceError, match=r"has 1 answers for 20 rows; remove it, then clear `launch`"):
        write_scores(own, job, "dt=2013-03-01")
    own.lake.put(key, b"0.5,0.5\n" * 20)
    with pytest.raises(SluiceError, match=r"are not those of Binary\(\) \(line 1 has 2 numbers, not 1\)"):
        write_scores(own, job, "dt=2013-03-01")

    own.lake.s3.delete_object(Bucket=own.lake.bucket, Key=key)
    assert launch_batch(own, job, "dt=2013-03-01") == f"{name}-2"

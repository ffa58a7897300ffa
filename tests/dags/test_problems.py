"""Pipelines of every kind of problem, from events to a live endpoint, by ``airflow dags test``.

``flights`` is binary (:mod:`tests.dags.test_dags_run`). Here are ten classes, a count, a ranking, a lake without a
model, and a model without an endpoint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome
from tests.dags.own_pipelines import World, world_of
from tests.sluice.lake_contents import rows_of

from pipelines.flights import data
from sluice.sending.lanes import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
NAMES = ("digits", "departures", "searches", "archive", "pumps")


@pytest.fixture(scope="module")
def world(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, airflow_home: AirflowHome) -> Iterator[World]:
    with world_of(airflow_home, cloud, tmp_path_factory.mktemp("problems"), NAMES) as world:
        yield world


def event(name: str, group: str, at: datetime, **body: Any) -> Event:
    return Event(name, group, at, json.dumps({"id": name, "at": at.isoformat(), **body}))


# Ten classes


@pytest.fixture(scope="module")
def digits(world: World) -> tuple[Any, Any]:
    """Run the pipeline on twelve days of drawings; return the pixels and the digits of the days that test."""
    drawn = load_digits()
    moments = [FIRST + timedelta(days=12 * n // len(drawn.target), seconds=n) for n in range(len(drawn.target))]
    events = [
        event(f"drawing-{n:04d}", "pen", at, pixels=",".join(str(int(each)) for each in pixels), digit=int(digit))
        for n, (at, pixels, digit) in enumerate(zip(moments, drawn.data, drawn.target, strict=True))
    ]
    world.run("digits", events)
    world.airflow.dags_test("digits_train", "2013-01-12", poll_seconds=0.5).succeeded()
    tests = [n for n, at in enumerate(moments) if at.date().isoformat() in ("2013-01-11", "2013-01-12")]
    return drawn.data[tests], drawn.target[tests]


def test_better_of_two_models_of_ten_classes_is_live(world: World, digits: tuple[Any, Any]) -> None:
    pixels, labels = digits
    record = world.stored("digits", "deployments/000001.json")
    verdict = world.stored("digits", "evaluations/verdicts/000001.json")
    reached = {each["model"]["candidate"]: each["metrics"]["accuracy"]["value"] for each in verdict["judgements"]}

    named = [{f"pixel_{place}": value for place, value in enumerate(row)} for row in pixels]
    printed = world.sluice("predict", "digits", given="\n".join(map(json.dumps, named)))

    answers = np.loadtxt(io.StringIO(printed), delimiter=",")
    assert answers.shape == (len(labels), 10)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    accuracy = float((answers.argmax(axis=1) == labels).mean())
    assert accuracy == pytest.approx(record["metrics"]["accuracy"], abs=1e-9)
    assert accuracy > 0.85
    assert set(reached) == {"xgboost", "linear"}
    assert reached[record["model"]["candidate"]] == max(reached.values())
    losses = [-np.log(answers[row, label]) for row, label in enumerate(labels)]
    assert float(np.mean(losses)) == pytest.approx(record["metrics"]["multiclass_log_loss"], rel=1e-4)


# A count


def hours() -> pd.DataFrame:
    """Return the departures of each airport and hour (UTC) of forty days."""
    flights = data.flights()
    counted = flights.groupby(["origin", "time_hour"]).size().rename("departures").reset_index()
    at = pd.to_datetime(counted["time_hour"], utc=True)
    return counted.assign(at=at)[(at >= FIRST) & (at < FIRST + timedelta(days=40))]


@pytest.fixture(scope="module")
def departures(world: World) -> pd.DataFrame:
    """Run the pipeline; return the hours of the days that test."""
    rows = hours()
    events = [
        event(f"{origin}-{at:%Y-%m-%dT%H}", origin, at.to_pydatetime(), origin=origin, departures=int(count))
        for origin, at, count in zip(rows["origin"], rows["at"], rows["departures"], strict=True)
    ]
    world.run("departures", events)
    world.airflow.dags_test("departures_train", "2013-02-09", poll_seconds=0.5).succeeded()
    return rows[rows["at"] >= FIRST + timedelta(days=34)]


def test_count_is_predicted_from_raw_rows_by_name(world: World, departures: pd.DataFrame) -> None:
    record = world.stored("departures", "deployments/000001.json")
    named = [
        {"origin": row.origin, "hour": row.at.hour, "weekday": row.at.day_name()} for row in departures.itertuples()
    ]

    printed = world.sluice("predict", "departures", given="\n".join(map(json.dumps, named)))

    counts, answers = departures["departures"].to_numpy(), np.array([float(line) for line in printed.splitlines()])
    deviance = float(np.mean(2 * (counts * np.log(counts / answers) - counts + answers)))
    assert deviance == pytest.approx(record["metrics"]["poisson_deviance"], rel=1e-4)
    assert deviance < 0.5 * float(np.mean(2 * (counts * np.log(counts / counts.mean()))))
    rmse = float(np.sqrt(np.mean((counts - answers) ** 2)))
    assert rmse == pytest.approx(record["metrics"]["rmse"], rel=1e-4)


def test_live_model_is_the_best_of_its_tuning(world: World, departures: pd.DataFrame) -> None:
    model, sagemaker = world.stored("departures", "deployments/000001.json")["model"], world.cloud.client("sagemaker")

    [tuning] = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    name = tuning["HyperParameterTuningJobName"]
    best = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)["BestTrainingJob"]
    trained = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    described = [sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"]) for each in trained]

    assert tuning["TrainingJobStatusCounters"]["Completed"] == len(described) == 2
    assert model["job"] == best["TrainingJobName"]
    assert model["seconds"] == sum(each["BillableTimeInSeconds"] for each in described)


def test_each_airport_is_judged_by_itself(world: World, departures: pd.DataFrame) -> None:
    (judgement,) = world.stored("departures", "evaluations/verdicts/000001.json")["judgements"]

    assert {each["value"]: each["rows"] for each in judgement["slices"]} == departures.groupby(
        "origin"
    ).size().to_dict()
    assert all(each["reached"] > 0 for each in judgement["slices"])


def test_features_are_listed_with_their_kinds(world: World) -> None:
    assert world.sluice("features", "departures").splitlines() == [
        "origin\tcategory",
        "hour\tnumber",
        "weekday\tcategory",
    ]


# A ranking


def offers(days: Sequence[int]) -> pd.DataFrame:
    """Return the offers of ten searches a day: what is cheap in its search and has stars is of interest."""
    random = np.random.default_rng(6)
    made = []
    for day in days:
        sizes = random.integers(4, 12, 10)
        rows = pd.DataFrame({"day": day, "search": np.repeat(100 * day + np.arange(10), sizes)})
        rows["price"] = (random.lognormal(0, 0.5, len(rows)) * rows["search"]).round(2)
        rows["stars"] = random.integers(1, 6, len(rows))
        share = rows["price"] / rows.groupby("search")["price"].transform("max")
        interest = rows["stars"] / 2 - 3 * share + random.normal(0, 0.3, len(rows))
        made.append(rows.assign(share=share, interest=np.clip(interest.round() + 1, 0, 3).astype(int)))
    return pd.concat(made, ignore_index=True).sample(frac=1, random_state=1, ignore_index=True)


def mean_ndcg(rows: pd.DataFrame, answers: Any) -> float:
    """Return the NDCG of the searches by its definition; a search whose offers have one interest is left out."""
    found = []
    for _, some in rows.assign(score=answers).groupby("search"):
        discounts, gains = 1 / np.log2(np.arange(2, len(some) + 2)), 2.0 ** some["interest"] - 1
        # Offers of one score share the mean discount of their places.
        places = some["score"].rank(ascending=False, method="first").astype(int).to_numpy()
        shared = pd.Series(discounts[places - 1]).groupby(some["score"].to_numpy()).transform("mean")
        if some["interest"].nunique() > 1:
            best = (np.sort(gains)[::-1] * discounts).sum()
            found.append((gains.to_numpy() * shared.to_numpy()).sum() / best)
    return float(np.mean(found))


@pytest.fixture(scope="module")
def searches(world: World) -> pd.DataFrame:
    """Run the pipeline on ten days, train, and watch it on two more; return all offers."""
    rows = offers(range(1, 13))
    events = [
        event(
            f"offer-{row.Index}",
            str(row.search),
            FIRST + timedelta(days=row.day - 1, seconds=row.Index),
            search=row.search,
            price=row.price,
            stars=row.stars,
            interest=row.interest,
        )
        for row in rows.itertuples()
    ]
    before = FIRST + timedelta(days=10)
    world.run("searches", [each for each in events if each.event_time < before])
    world.airflow.dags_test("searches_train", "2013-01-10", poll_seconds=0.5).succeeded()
    world.run("searches", [each for each in events if each.event_time >= before])
    world.airflow.dags_test("searches_monitor", "2013-01-12").succeeded()
    return rows


def asked(world: World, rows: pd.DataFrame) -> Any:
    named = [{"stars": row.stars, "share": row.share} for row in rows.itertuples()]
    return np.array(
        [
            float(line)
            for line in world.sluice("predict", "searches", given="\n".join(map(json.dumps, named))).splitlines()
        ]
    )


def test_scores_rank_the_offers_of_each_search(world: World, searches: pd.DataFrame) -> None:
    record = world.stored("searches", "deployments/000001.json")
    test = searches[searches["day"].isin([9, 10])]

    answers = asked(world, test)

    assert mean_ndcg(test, answers) == pytest.approx(record["metrics"]["ndcg"], abs=1e-6)
    assert mean_ndcg(test, answers) > 0.9 > mean_ndcg(test, -answers)


def test_live_ranking_is_judged_by_the_searches_of_new_days(world: World, searches: pd.DataFrame) -> None:
    report = world.stored("searches", "monitoring/000001.json")
    new = searches[searches["day"] > 10]

    assert report["partitions"] == "dt=2013-01-11..dt=2013-01-12"
    assert report["judged"] == len(new)
    assert report["metrics"]["ndcg"]["value"] == pytest.approx(mean_ndcg(new, asked(world, new)), abs=1e-6)
    assert report["metrics"]["ndcg"]["low"] < report["metrics"]["ndcg"]["value"] < report["metrics"]["ndcg"]["high"]


# A lake


def test_pipeline_may_end_at_its_lake(world: World) -> None:
    events = [event(f"reading-{n}", f"meter-{n % 3}", FIRST + timedelta(hours=n), value=n) for n in range(60)]

    world.run("archive", events)

    found = [
        row["value"] for day in (1, 2, 3) for row in rows_of(world.lake("archive"), "conform", f"dt=2013-01-0{day}")
    ]
    assert sorted(found) == list(range(60))
    assert "archive ends at its lake: it declares no training" in world.sluice("status", "archive")


# A model without an endpoint


@pytest.mark.slow  # tests/sluice/scoring covers the library
def test_model_without_an_endpoint_scores_the_lake(world: World) -> None:
    random = np.random.default_rng(3)
    events = []
    for n in range(600):
        vibration, at = float(random.uniform(-1, 1)), FIRST + timedelta(minutes=24 * n)
        known = {"failed": int(vibration + random.normal(0, 0.4) > 0)} if n < 540 else {}
        events.append(event(f"reading-{n}", f"pump-{n % 3}", at, vibration=round(vibration, 3), heat=n % 24, **known))
    world.run("pumps", events)
    days = {"from": "2013-01-08", "to": "2013-01-10"}

    early = world.airflow.dags_test("pumps_score", "2013-01-10", poll_seconds=0.5, **days)
    assert early.status != 0
    assert "no model of pumps is live; run pumps_train first" in early.output

    world.airflow.dags_test("pumps_train", "2013-01-10", poll_seconds=0.5).succeeded()
    assert world.stored("pumps", "deployments/000001.json")["endpoint"] is None
    world.airflow.dags_test("pumps_score", "2013-01-10", poll_seconds=0.5, **days).succeeded()

    scored = [row for day in (8, 9, 10) for row in rows_of(world.lake("pumps"), "risks", f"dt=2013-01-{day:02d}")]
    assert {tuple(row) for row in scored} == {("event_id", "event_time", "score")}
    scores = {row["event_id"]: row["score"] for row in scored}
    assert len(scored) == len(scores) == 180
    vibrations = {f"reading-{n}": json.loads(events[n].body)["vibration"] for n in range(420, 600)}
    assert np.corrcoef([vibrations[name] for name in scores], list(scores.values()))[0, 1] > 0.8
    jobs = world.cloud.client("sagemaker").list_transform_jobs(NameContains="pumps-scores-")["TransformJobSummaries"]
    assert len(jobs) == 2  # one has judged, one has scored
    assert "pumps: batch scoring" in world.sluice("status", "pumps")

    first = world.stored("pumps", "deployments/000001.json")
    other = {**first, "model": {**first["model"], "job": f"pumps-xgboost-{'0' * 16}"}}
    world.lake("pumps").put("pumps/deployments/000002.json", json.dumps(other).encode())
    world.airflow.dags_test("pumps_rollback", "2013-01-10").succeeded()
    assert world.stored("pumps", "deployments/000003.json")["model"] == first["model"]

    # A run that died before it wrote a manifest: the next one needs no job.
    manifest = "pumps/risks/dt=2013-01-09/_manifest.json"
    world.cloud.client("s3").delete_object(Bucket=world.lake("pumps").bucket, Key=manifest)
    world.airflow.dags_test("pumps_score", "2013-01-09", poll_seconds=0.5).succeeded()
    assert len(rows_of(world.lake("pumps"), "risks", "dt=2013-01-09")) == 60

    world.airflow.dags_test("pumps_score", "2013-01-09", poll_seconds=0.5).succeeded()
    assert len(world.cloud.client("sagemaker").list_transform_jobs(NameContains="pumps-")["TransformJobSummaries"]) == 2

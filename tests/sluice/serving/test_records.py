"""What went live is recorded under the next number."""

from __future__ import annotations

import json

import pytest
from tests.clients import MODEL
from tests.sluice.lake_contents import body_of, keys_below

from sluice.errors import MissingResource
from sluice.lake.store import Lake
from sluice.serving.recipe import Recipe
from sluice.serving.records import (
    DeploymentRecord,
    deployment_record,
    deployment_records,
    last_proven,
    record_deployment,
    require_proven,
)


def record(config: str, endpoint: str = "toy-late") -> DeploymentRecord:
    recipe = Recipe(models=(), config={"EndpointConfigName": config})
    return DeploymentRecord(endpoint=endpoint, model=MODEL, verdict=3, metrics={"auc": 0.65}, recipe=recipe)


def test_records_are_numbered_from_one_and_read_oldest_first(lake: Lake) -> None:
    assert deployment_records(lake) == {}

    numbers = [record_deployment(lake, record(name)) for name in ("a", "b", "a")]

    assert numbers == [1, 2, 3]
    assert [(number, each.config) for number, each in deployment_records(lake).items()] == [
        (1, "a"),
        (2, "b"),
        (3, "a"),
    ]
    assert keys_below(lake, "toy/deployments/") == [f"toy/deployments/00000{n}.json" for n in (1, 2, 3)]
    stored = json.loads(body_of(lake, "toy/deployments/000001.json"))
    assert (stored["metrics"], stored["model"]["job"], stored["verdict"]) == ({"auc": 0.65}, MODEL.job, 3)


def test_latest_record_is_not_written_again(lake: Lake) -> None:
    """A task that is retried after it recorded."""
    assert [record_deployment(lake, record("a")) for _ in range(3)] == [1, 1, 1]
    assert len(deployment_records(lake)) == 1


def test_newest_record_of_an_endpoint_is_what_was_proven_last(lake: Lake) -> None:
    for each in (record("a"), record("b"), record("c", endpoint="toy-other")):
        record_deployment(lake, each)

    assert last_proven(lake, "toy-late") == record("b")
    assert last_proven(lake, "toy-never") is None
    assert require_proven(lake, "toy-late") == record("b")
    with pytest.raises(MissingResource, match="no model was proven to be live at endpoint toy-never; run"):
        require_proven(lake, "toy-never")


def test_record_is_found_by_its_number_or_the_numbers_are_named(lake: Lake) -> None:
    for name in ("a", "b"):
        record_deployment(lake, record(name))

    assert deployment_record(lake, 1) == record("a")
    with pytest.raises(MissingResource, match=r"/toy/deployments/ has no deployment 7; it has 1, 2$"):
        deployment_record(lake, 7)


def test_records_of_an_older_version_are_left_out_and_keep_their_numbers(lake: Lake) -> None:
    lake.create("toy/deployments/000001.json", b'{"schema_version": 1, "endpoint": "toy-late", "config": "old"}')

    assert deployment_records(lake) == {}
    assert record_deployment(lake, record("a")) == 2
    assert list(deployment_records(lake)) == [2]

"""What went live is recorded under the next number, once, whatever else is deployed at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.conftest import Cloud
from tests.sluice.lake_contents import body_of, keys_below

from sluice.errors import ConflictingWrite
from sluice.lake.store import Lake
from sluice.serving.records import DeploymentRecord, deployment_records, record_deployment


def record(config: str) -> DeploymentRecord:
    return DeploymentRecord(
        endpoint="toy-late", config=config, job="job", snapshot="f" * 32, validation_auc=0.7, test_auc=0.65
    )


def test_records_are_numbered_from_one_and_read_oldest_first(lake: Lake) -> None:
    assert deployment_records(lake) == []

    numbers = [record_deployment(lake, record(name)) for name in ("a", "b", "a")]

    assert numbers == [1, 2, 3]
    assert [each.config for each in deployment_records(lake)] == ["a", "b", "a"]
    assert keys_below(lake, "toy/deployments/") == [f"toy/deployments/00000{n}.json" for n in (1, 2, 3)]
    assert json.loads(body_of(lake, "toy/deployments/000001.json"))["validation_auc"] == 0.7


def test_latest_record_is_not_written_again(lake: Lake) -> None:
    """A task that is retried after it recorded."""
    assert [record_deployment(lake, record("a")) for _ in range(3)] == [1, 1, 1]
    assert len(deployment_records(lake)) == 1


def test_records_are_in_order_beyond_nine(lake: Lake) -> None:
    for number in range(12):
        record_deployment(lake, record(f"config-{number}"))

    assert [each.config for each in deployment_records(lake)] == [f"config-{number}" for number in range(12)]


def test_deployments_at_once_get_a_number_each_and_none_is_lost(cloud: Cloud, lake: Lake) -> None:
    start = Barrier(8)

    def deploy(name: int) -> int:
        own = Lake(cloud.client("s3"), lake.bucket, "toy")
        start.wait(timeout=30)
        return record_deployment(own, record(f"config-{name}"))

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(deploy, range(8)))

    assert sorted(numbers) == list(range(1, 9))
    records = deployment_records(lake)
    assert {number: records[number - 1].config for number in numbers} == {
        number: f"config-{name}" for name, number in enumerate(numbers)
    }


def test_writer_that_always_conflicts_gives_up(cloud: Cloud, lake: Lake) -> None:
    s3, taken = cloud.client("s3"), iter(range(1000))

    def overtake(**_: object) -> None:
        lake.create(f"toy/deployments/{next(taken) + 1:06d}.json", record("theirs").model_dump_json().encode())

    s3.meta.events.register("before-call.s3.PutObject", overtake)

    with pytest.raises(ConflictingWrite, match=r"/toy/deployments/ keeps being written by other deployments"):
        record_deployment(Lake(s3, lake.bucket, "toy"), record("ours"))
    assert "ours" not in [each.config for each in deployment_records(lake)]

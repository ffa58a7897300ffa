"""Nothing goes live but by the whole way: a snapshot, a training that was waited for, and the gate."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag


@pytest.fixture
def train(dag_bag: DagBag) -> Any:
    return dag_bag.dags["flights_train"]


def test_deploy_comes_after_snapshot_training_and_gate(train: Any) -> None:
    before = train.get_task("deploy").get_flat_relative_ids(upstream=True)
    assert before == {"snapshot", "launch", "wait_for_training", "gate", "announce"}


def test_deploy_is_the_only_leaf(train: Any) -> None:
    # What `airflow dags test` exits with is decided by the leaves.
    assert [task.task_id for task in train.leaves] == ["deploy"]


def test_nothing_lets_deploy_run_after_a_failure(train: Any) -> None:
    assert {task.trigger_rule.value for task in train.tasks} == {"all_success"}


def test_one_after_another(train: Any) -> None:
    order = ["snapshot", "launch", "wait_for_training", "gate", "announce", "deploy"]
    assert [task.task_id for task in train.topological_sort()] == order
    for earlier, later in pairwise(order):
        assert later in train.get_task(earlier).downstream_task_ids

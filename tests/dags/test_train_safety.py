"""A model goes live only after all tasks: the snapshot, trainings that have ended, scores, and a verdict."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


@pytest.fixture
def train(dag_bag: DagBag) -> Any:
    return dag_bag.dags["flights_train"]


ORDER = [
    "snapshot",
    "launch",
    "wait_for_training",
    "score",
    "wait_for_scores",
    "verdict",
    "report",
    "announce",
    "deploy",
]
UPSTREAM = set(ORDER) - {"deploy"}
MAPPED = {"launch", "wait_for_training", "wait_for_scores"}


def test_deploy_comes_after_snapshot_training_sensor_evaluation_and_verdict(train: Any) -> None:
    assert train.get_task("deploy").get_flat_relative_ids(upstream=True) == UPSTREAM


def test_candidates_are_trained_side_by_side(train: Any) -> None:
    assert {task.task_id for task in train.tasks if task.is_mapped} == MAPPED


def test_deploy_is_the_only_leaf(train: Any) -> None:
    # What `airflow dags test` exits with is decided by the leaves.
    assert [task.task_id for task in train.leaves] == ["deploy"]


def test_deploy_never_runs_after_a_failure(train: Any) -> None:
    rules = {task.task_id: task.trigger_rule.value for task in train.tasks}
    assert rules.pop("deploy") == "none_failed"  # it runs after a skip as well, and fails then
    assert set(rules.values()) == {"all_success"}


class Ti:
    """A running `deploy`, with the states of the tasks before it."""

    dag_id, run_id, task_id = "flights_train", "run", "deploy"

    def __init__(self, **states: str) -> None:
        # As Airflow names the instances of a mapped task.
        names = [*UPSTREAM - MAPPED, *(f"{task}_{index}" for task in MAPPED - set(states) for index in (0, 1))]
        self.states = {**dict.fromkeys(names, "success"), **states}

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: self.states}


def before_deploy(train: Any, run_type: str, **states: str) -> None:
    context = {"ti": Ti(**states), "task": train.get_task("deploy"), "dag_run": SimpleNamespace(run_type=run_type)}
    train.get_task("deploy").pre_execute(context)


@pytest.mark.parametrize("skipped", sorted(UPSTREAM))
def test_deploy_fails_after_a_task_that_was_skipped_by_hand(train: Any, skipped: str) -> None:
    with pytest.raises(AirflowFailException, match=f"^{skipped} did not succeed, so deploy does nothing; clear"):
        before_deploy(train, "manual", **{skipped: "skipped"})


def test_deploy_fails_after_one_instance_of_a_mapped_task_that_was_skipped_by_hand(train: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"^wait_for_training did not succeed, so deploy"):
        before_deploy(train, "manual", wait_for_training_1="skipped")


def test_deploy_is_skipped_where_a_scheduled_run_has_nothing_to_train_on(train: Any) -> None:
    with pytest.raises(AirflowSkipException):
        before_deploy(train, "scheduled", **dict.fromkeys(UPSTREAM, "skipped"))
    with pytest.raises(AirflowFailException):
        before_deploy(train, "manual", **dict.fromkeys(UPSTREAM, "skipped"))


def test_deploy_continues_once_all_tasks_before_it_succeeded(train: Any) -> None:
    before_deploy(train, "manual")


def test_tasks_run_one_after_another(train: Any) -> None:
    assert [task.task_id for task in train.topological_sort()] == ORDER
    for earlier, later in pairwise(ORDER):
        assert later in train.get_task(earlier).downstream_task_ids

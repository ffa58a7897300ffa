"""The rules that every DAG and every task follows, so that an operator can run them at night."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from tests.dags.airflow_home import ROOT
from tests.dags.declared import dag_ids, extended_pipelines

from sluice.declaration.loading import load_pipelines
from sluice.pool import INGEST_POOL
from sluice_airflow.policy import Stage

# The example of the documentation has a DAG of every kind.
with extended_pipelines(ROOT / "docs" / "example" / "pipelines"):
    PIPELINES, _ = load_pipelines()
DAG_IDS = [dag_id for pipeline in PIPELINES for dag_id in dag_ids(pipeline)]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ("boto3", "botocore", "numpy", "pandas", "pyarrow", "sagemaker", "xgboost")

# An audit hook sees every use of the network, whichever module makes it.
_IMPORT_DAGS = """
import importlib.util, json, sys

def refuse(event, arguments):
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"{event} while a DAG file was parsed: {arguments}")

import airflow.sdk

sys.addaudithook(refuse)
for place, file in enumerate(sys.argv[1:]):
    spec = importlib.util.spec_from_file_location(f"parsed_{place}", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def dag_bag() -> DagBag:
    with extended_pipelines(ROOT / "docs" / "example" / "pipelines"):
        return DagBag(ROOT / "dags")


@pytest.fixture(params=DAG_IDS)
def dag(request: pytest.FixtureRequest, dag_bag: DagBag) -> Any:
    return dag_bag.dags[request.param]


def test_all_dags_are_tested_in_this_file(dag_bag: DagBag) -> None:
    assert set(DAG_IDS) == set(dag_bag.dags)


def test_docs_describe_input_output_and_what_to_do_on_failure(dag: Any) -> None:
    for words in ("| **in** |", "| **out** |", "| **order** |", "| **re-run** |", "**Params.**", "**If it fails.**"):
        assert words in dag.doc_md, words
    assert dag.description


def test_docs_have_the_names_of_the_pipeline_and_no_placeholder(dag: Any) -> None:
    assert re.search(r"\b(PIPELINE|SOURCE|STEP|SCORES)\b", dag.doc_md) is None
    assert {task.owner for task in dag.tasks} == {"sluice"}


def test_docs_name_every_param(dag: Any) -> None:
    params = dag.doc_md.partition("**Params.**")[2]
    assert [name for name in dag.params if f"`{name}`" not in params] == []


def test_tags_are_the_pipeline_and_a_known_stage(dag: Any) -> None:
    (pipeline,) = [each.name for each in PIPELINES if dag.dag_id in dag_ids(each)]
    (stage,) = dag.tags - {"sluice", pipeline}
    assert dag.tags == {"sluice", pipeline, stage}
    assert stage in get_args(Stage)
    assert stage in dag.dag_id


def test_params_are_typed_and_described(dag: Any) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema.get("type"), name
        assert param.description, name


def test_concurrent_runs_are_limited(dag: Any) -> None:
    # Each run of `transform` is a partition of its own.
    assert dag.max_active_runs == (4 if "transform" in dag.tags else 1)
    assert dag.catchup is False


def test_no_date_of_a_run_is_outside_of_its_dag(dag: Any) -> None:
    """Airflow makes no task for such a date, and marks the run as a success."""
    assert dag.end_date is None
    assert dag.start_date <= datetime(1970, 1, 1, tzinfo=UTC)
    assert {(task.start_date, task.end_date) for task in dag.tasks} == {(dag.start_date, None)}


def test_continuous_dag_backs_off_and_is_paused_after_failures(dag: Any) -> None:
    """Each task backs off for a quarter of an hour, and Airflow pauses the DAG after three such runs."""
    continuous = isinstance(dag.schedule, timedelta)
    assert continuous is bool(dag.tags & {"dispatch", "ingest"})
    assert dag.max_consecutive_failed_dag_runs == (3 if continuous else 0)
    for task in dag.tasks if continuous else ():
        waits = [min(task.retry_delay * 2**n, task.max_retry_delay) for n in range(task.retries)]
        assert task.retry_exponential_backoff
        assert timedelta(minutes=10) < sum(waits, timedelta()) < timedelta(minutes=20), task.task_id


def test_task_that_was_cleared_often_is_still_retried_at_once(dag: Any) -> None:
    """Airflow doubles the wait by the number of the try, which goes on after a clear, such as one for late data."""
    if not isinstance(dag.schedule, timedelta):
        assert max(task.max_retry_delay for task in dag.tasks) <= timedelta(seconds=30)


def test_continuous_dag_starts_no_run_within_its_least_time(dag: Any) -> None:
    """GIVEN runs that end at once; and one that took an hour, after which no run is made up for."""
    if not dag.tags & {"dispatch", "ingest"}:
        return
    timetable, ended = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable, datetime.now(UTC)
    least = timedelta(seconds=30) if "dispatch" in dag.tags else timedelta(minutes=1)

    def after(start: datetime) -> datetime:
        """Return when the run after one that was due at ``start`` may start."""
        found = timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(start), restriction=TimeRestriction(None, None, False)
        )
        return found.run_after

    assert after(ended) == ended + least
    assert ended <= after(ended - timedelta(hours=1)) <= datetime.now(UTC)


def test_every_task_is_retried_and_has_a_time_limit(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries >= 1, task.task_id
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=1), task.task_id


def test_only_landing_takes_slots_of_the_ingest_pool(dag_bag: DagBag) -> None:
    pools = {(dag_id, task.task_id): task.pool for dag_id, dag in dag_bag.dags.items() for task in dag.tasks}
    landing = sorted(task for task, pool in pools.items() if pool == INGEST_POOL)
    ingests = [(dag_id, "drain") for dag_id, dag in dag_bag.dags.items() if "ingest" in dag.tags]
    replays = [(dag_id, "land") for dag_id, dag in dag_bag.dags.items() if "replay" in dag.tags]
    assert landing == sorted(ingests + replays)
    assert {("flights_ingest_queue", "drain"), ("flights_replay", "land")} <= set(landing)


def test_parsing_opens_no_socket_and_loads_nothing_heavy(tmp_path: Path) -> None:
    """GIVEN a fresh process that imports every DAG file, and that an open socket fails."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_DAGS, *map(str, DAG_FILES)],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "sluice.declaration.pipeline" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.name)
def test_dag_file_contains_only_wiring(file: Path) -> None:
    source = file.read_text()
    assert len(source.splitlines()) < 150
    tree = ast.parse(source)
    logic = (ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Match, ast.While)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, logic)] == []
    # What a task does is in the library: its function here prepares one call of it, and returns the result.
    tasks = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.decorator_list]
    assert {task.name: len(task.body) for task in tasks if len(task.body) > 8} == {}

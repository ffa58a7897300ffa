"""The DAGs follow from the pipelines that have a folder, and from nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from tests.dags.airflow_home import ROOT
from tests.dags.declared import dag_ids

from sluice.declaration.folders import pipeline_names
from sluice.declaration.loading import load_pipelines

KINDS = ("dispatch", "housekeeping", "ingest_queue", "redrive", "replay", "rollback", "train", "transform")

_LIST_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
print(json.dumps([{name: sorted(bag.dags[name].task_ids) for name in sorted(bag.dags)}, bag.import_errors]))
"""

_SECOND_PIPELINE = '''
"""Parcels by the hour, from two queues."""

from dataclasses import replace

from pipelines.flights.pipeline import PIPELINE as FLIGHTS
from sluice.declaration.sources import StandardQueue

MESSAGES = StandardQueue("messages", event_id="id", event_time="event_time", group="group")
PIPELINE = replace(FLIGHTS, name="parcels", every="hour", sources=(*FLIGHTS.sources, MESSAGES))
'''


_NEVER = """
PIPELINE = replace(PIPELINE, training=replace(PIPELINE.training, schedule="never"))
"""


def test_all_dags_of_the_folder_are_imported(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}
    flights = [dag_id for dag_id, dag in dag_bag.dags.items() if "flights" in dag.tags]
    assert sorted(flights) == [f"flights_{kind}" for kind in KINDS]


def test_every_pipeline_has_its_dags_and_no_others_exist(dag_bag: DagBag) -> None:
    pipelines, errors = load_pipelines()
    assert (len(pipelines), errors) == (len(pipeline_names()), ())
    assert sorted(dag_bag.dags) == sorted(dag_id for pipeline in pipelines for dag_id in dag_ids(pipeline))


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    """A copy of the package ``pipelines``, to which a test may add folders."""
    package = tmp_path / "pipelines"
    package.mkdir()
    for name in ("__init__.py", "flights"):
        (package / name).symlink_to(ROOT / "include" / "pipelines" / name)
    return package


def add(pipelines: Path, name: str, declaration: str | None) -> None:
    """Add a folder with this ``pipeline.py``, and with the modules of ``flights`` whose names it may use."""
    (pipelines / name).mkdir()
    if declaration is not None:
        (pipelines / name / "pipeline.py").write_text(declaration)
        for module in ("contracts.py", "steps.py"):
            (pipelines / name / module).symlink_to(pipelines / "flights" / module)


def listed(pipelines: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the tasks of the DAGs, and the import errors that Airflow finds with these pipelines."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST_DAGS, str(ROOT / "dags")],
        env={
            **os.environ,
            "PYTHONPATH": f"{pipelines.parent}:{ROOT / 'include'}",
            "AIRFLOW_HOME": str(pipelines.parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    dags, import_errors = json.loads(done.stdout.splitlines()[-1])
    return dags, import_errors


def test_second_folder_adds_its_dags_with_no_other_change(pipelines: Path) -> None:
    add(pipelines, "parcels", _SECOND_PIPELINE)

    dags, import_errors = listed(pipelines)

    assert import_errors == {}
    expected = [f"{name}_{kind}" for name in ("flights", "parcels") for kind in KINDS]
    assert [*dags] == sorted([*expected, "parcels_ingest_queue_messages"])
    assert "land_drops" in dags["parcels_transform"]


_ENDS_EARLY = """
from dataclasses import replace

from pipelines.flights.pipeline import PIPELINE as FLIGHTS
from sluice.declaration import Scoring

PIPELINE = replace(FLIGHTS, name={name!r}, {changes})
"""


def test_pipeline_may_end_at_its_lake_or_at_its_model_or_score_in_batch(pipelines: Path) -> None:
    add(pipelines, "lake", _ENDS_EARLY.format(name="lake", changes="training=None, deployment=None"))
    add(pipelines, "model", _ENDS_EARLY.format(name="model", changes="deployment=None"))
    scoring = "deployment=None, scoring=Scoring(keep=('event_id',))"
    add(pipelines, "scored", _ENDS_EARLY.format(name="scored", changes=scoring))
    conformed = "sources=FLIGHTS.event_sources, steps=FLIGHTS.steps[:1], training=None, deployment=None"
    add(pipelines, "undropped", _ENDS_EARLY.format(name="undropped", changes=conformed))

    dags, import_errors = listed(pipelines)

    assert import_errors == {}
    assert [dag for dag in dags if dag.startswith("lake_")] == [
        f"lake_{kind}" for kind in KINDS if kind not in ("rollback", "train")
    ]
    assert [dag for dag in dags if dag.startswith("model_")] == [
        f"model_{kind}" for kind in KINDS if kind != "rollback"
    ]
    assert dags["undropped_transform"] == ["announce", "conform", "wait"]
    assert [dag for dag in dags if dag.startswith("scored_")] == sorted(f"scored_{kind}" for kind in (*KINDS, "score"))


def test_pipeline_that_is_broken_has_no_dags_and_removes_none_of_others(pipelines: Path) -> None:
    """Its reason is the import error of a file that has no DAG, because an import error stops the DAGs of its file."""
    add(pipelines, "typo", "PIPELINE = (\n")
    add(pipelines, "wrong", _SECOND_PIPELINE.replace("parcels", "wrong").replace('"hour"', '"year"'))
    add(pipelines, "schedule", _SECOND_PIPELINE.replace("parcels", "schedule") + _NEVER)
    add(pipelines, "leaves", "import sys\nsys.exit('no pipeline today')\n")
    add(pipelines, "nothing", None)
    add(pipelines, "Not-A-Name", "")
    add(pipelines, "__pycache__", None)

    dags, import_errors = listed(pipelines)

    assert [*dags] == [f"flights_{kind}" for kind in KINDS]
    assert [Path(file).name for file in import_errors] == ["broken_pipelines.py"]
    (error,) = import_errors.values()
    for line in (
        "pipeline typo can't be loaded: pipelines/typo/pipeline.py line 1: SyntaxError: '(' was never closed",
        "pipeline wrong: every='year' is no partition length; use hour or day or week or month",
        "pipeline schedule: Airflow refuses the training schedule 'never' (",
        "pipeline leaves can't be loaded: pipelines/leaves/pipeline.py line 2: SystemExit: no pipeline today",
        "pipelines/nothing has no pipeline.py; declare the pipeline there, or move the folder",
        "pipeline name 'Not-A-Name' is not allowed: use at most 24 of a-z, 0-9 and '_'",
    ):
        assert line in error
    assert "__pycache__" not in error

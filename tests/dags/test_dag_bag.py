"""The DAGs follow from the pipelines that have a folder, and from nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from tests.dags.airflow_home import ROOT

from sluice.pipeline import pipeline_names

KINDS = ("ingest_queue", "redrive", "replay", "train", "transform")

_LIST_DAGS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
print(json.dumps([sorted(bag.dags), bag.import_errors]))
"""

_SECOND_PIPELINE = '''
"""Parcels by the hour, from two queues."""

from dataclasses import replace

from pipelines.flights.pipeline import PIPELINE as FLIGHTS
from sluice.pipeline import StandardQueue

MESSAGES = StandardQueue("messages", event_id="id", event_time="event_time", group="group")
PIPELINE = replace(FLIGHTS, name="parcels", every="hour", sources=(*FLIGHTS.sources, MESSAGES))
'''


def test_all_dags_of_the_folder_are_imported(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == [f"flights_{kind}" for kind in KINDS]


def test_every_pipeline_has_its_dags_and_there_are_no_others(dag_bag: DagBag) -> None:
    assert pipeline_names()
    assert set(dag_bag.dags) == {f"{name}_{kind}" for name in pipeline_names() for kind in KINDS}


def test_a_second_folder_gives_its_dags_with_no_other_change(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipelines"
    (pipelines / "parcels").mkdir(parents=True)
    for name in ("__init__.py", "flights"):
        (pipelines / name).symlink_to(ROOT / "include" / "pipelines" / name)
    (pipelines / "parcels" / "__init__.py").write_text('"""Parcels."""\n')
    (pipelines / "parcels" / "pipeline.py").write_text(_SECOND_PIPELINE)

    done = subprocess.run(
        [sys.executable, "-c", _LIST_DAGS, str(ROOT / "dags")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'include'}", "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    dag_ids, import_errors = json.loads(done.stdout.splitlines()[-1])
    assert import_errors == {}
    expected = [f"{name}_{kind}" for name in ("flights", "parcels") for kind in KINDS]
    assert dag_ids == sorted([*expected, "parcels_ingest_queue_messages"])

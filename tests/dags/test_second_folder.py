"""Adding a real pipeline is adding its folder: no test has to change."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.dags.airflow_home import ROOT

_DECLARATION = '''
"""Parcels by the hour, from five sources of three kinds, which end in the lake."""

from dataclasses import replace

from pipelines.flights.pipeline import PIPELINE as FLIGHTS
from sluice.declaration import FifoQueue, StandardQueue, Stream

SOURCES = (
    FifoQueue("orders", event_id="id", event_time="event_time"),
    StandardQueue("messages", event_id="id", event_time="event_time", group="group"),
    Stream("clicks", event_id="id", event_time="event_time"),
)
PIPELINE = replace(
    FLIGHTS, name="two_words", every="hour", sources=(*FLIGHTS.sources, *SOURCES), training=None, deployment=None
)
'''
# The tests that read the real folders; those left out make folders of their own.
_TESTS = ("tests/dags/test_dag_bag.py", "tests/dags/test_dag_policy.py")
_LEFT_OUT = "not (second_folder or may_end or is_broken)"


@pytest.mark.slow
def test_second_real_folder_breaks_no_test(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A copy of the package, with one more folder, is before the real one on the path."""
    package = tmp_path / "pipelines"
    package.mkdir()
    for entry in (ROOT / "include" / "pipelines").iterdir():
        (package / entry.name).symlink_to(entry)
    (package / "two_words").mkdir()
    for entry in (package / "flights").iterdir():
        (package / "two_words" / entry.name).symlink_to(entry)
    (package / "two_words" / "pipeline.py").unlink()
    (package / "two_words" / "pipeline.py").write_text(_DECLARATION)

    paths = map(str, pytestconfig.getini("pythonpath"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-k", _LEFT_OUT),
            *("-o", f"pythonpath={shlex.join([str(tmp_path), *paths])}", *_TESTS),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "AIRFLOW"))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-8000:]
    assert "test_docs_name_every_param[two_words_ingest_queue_orders] PASSED" in done.stdout

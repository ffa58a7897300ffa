"""DAGS.md is what the DAG files say, whichever pipelines there are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_dag_files_say(tmp_path: Path) -> None:
    """A pipeline of another folder, broken at that, makes no difference."""
    other = tmp_path / "pipelines" / "other"
    other.mkdir(parents=True)
    (other.parent / "__init__.py").touch()
    (other / "pipeline.py").write_text("PIPELINE = (\n")

    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "dags.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr

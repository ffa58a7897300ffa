"""DAGS.md is generated from the DAG files, whichever pipelines exist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_generated_from_the_dag_files(tmp_path: Path) -> None:
    """A pipeline in another folder makes no difference, even a broken one."""
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

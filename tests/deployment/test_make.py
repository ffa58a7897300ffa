"""``make`` tells what it can do, and says in one line what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.deployment.files import ROOT


def _make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )


def test_help_tells_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)

    told = re.findall(r"^  make (\w+) +\S", _make("help").stdout, flags=re.MULTILINE)

    assert sorted(told) == sorted(targets.split())
    assert _make().stdout == _make("help").stdout


def test_missing_python_is_named(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements-dev.txt", "requirements-cloud.txt"):
        (tmp_path / name).touch()

    done = _make("setup", "PYTHON=python0.0", folder=tmp_path)

    assert done.returncode != 0
    assert done.stderr.startswith("no python0.0 on the PATH: install Python 3.11")


def test_ci_runs_every_check() -> None:
    assert "make check" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    planned = _make("--dry-run", "check").stdout
    for tool in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert tool in planned


def test_no_requirement_names_a_registry() -> None:
    files = sorted(ROOT.glob("requirements*"))
    assert len(files) >= 6
    for file in files:
        assert re.findall(r"https?://|--index-url|--find-links", file.read_text()) == [], file.name

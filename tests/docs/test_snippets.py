"""Python in the documentation is right: what is a complete file is loaded, type-checked and run."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks

PYTHON = [block for block in blocks() if block.language == "python"]

_LOAD = """
import sys
from sluice.declaration.loading import load_pipeline, resolve
from sluice.declaration.steps import Conform

for name in sys.argv[1:]:
    pipeline = load_pipeline(name)
    for step in pipeline.steps:
        resolve(pipeline, step.contract if isinstance(step, Conform) else step.run)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every complete file of the documentation at its path."""
    folder = tmp_path_factory.mktemp("checkout")
    for block in PYTHON:
        if block.title:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    shutil.copy(ROOT / "include" / "pipelines" / "__init__.py", folder / "include" / "pipelines")
    return folder


def _python(checkout: Path, *arguments: str) -> str:
    """Return the output of a Python that finds the files of the documentation first."""
    path = f"{checkout / 'include'}:{ROOT / 'include'}"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path, "MYPYPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pipelines(checkout: Path) -> list[str]:
    return sorted(file.parent.name for file in checkout.glob("include/pipelines/*/pipeline.py"))


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.page.name}:{block.title}")
def test_python_in_the_documentation_parses(block: Block) -> None:
    ast.parse(block.text)


def test_file_that_is_shown_twice_is_shown_equally() -> None:
    """The README and the guide may show the same file, but not differently."""
    shown: dict[str, set[str]] = {}
    for block in PYTHON:
        if block.title:
            shown.setdefault(block.title, set()).add(block.text)
    assert shown
    assert [title for title, texts in shown.items() if len(texts) > 1] == []


def test_pipelines_load_with_their_contracts_and_steps(checkout: Path) -> None:
    assert "parcels" in _pipelines(checkout)
    _python(checkout, "-c", _LOAD, *_pipelines(checkout))


def test_tests_in_the_documentation_pass(checkout: Path) -> None:
    output = _python(checkout, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests")
    assert " passed" in output


@pytest.mark.slow
def test_types_in_the_documentation_are_right(checkout: Path) -> None:
    folders = [checkout / "include" / "pipelines" / name for name in _pipelines(checkout)]
    files = [str(file) for folder in folders for file in folder.glob("*.py")]
    _python(checkout, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *files)

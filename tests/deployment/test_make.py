"""``make`` lists its targets, and reports in one line what is missing."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.deployment.files import ROOT


def _make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)

    listed = re.findall(r"^  make ([a-z-]+) +\S", _make("help").stdout, flags=re.MULTILINE)

    assert sorted(listed) == sorted(targets.split())
    assert _make().stdout == _make("help").stdout


def _bare_checkout(folder: Path) -> None:
    """Make the files that `make setup` and `make clean` read."""
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "requirements-dev.txt", "requirements-cloud.txt", ".env.example"):
        (folder / name).touch()
    (folder / "localcloud").mkdir()
    (folder / "localcloud" / "pyproject.toml").touch()


def test_missing_python_is_named(tmp_path: Path) -> None:
    _bare_checkout(tmp_path)

    done = _make("setup", "PYTHON=python0.0", folder=tmp_path)

    assert done.returncode != 0
    assert done.stderr.startswith("no python0.0 on the PATH: install Python 3.11")


def _fake_python(folder: Path, version: str) -> Path:
    """Make an interpreter that reports this version: the real one with another version number."""
    python = folder / "python"
    python.write_text(
        f"""#!/bin/sh
shift
exec '{sys.executable}' -c "import sys; sys.version_info = ({version.replace(".", ", ")})
$@" """
    )
    python.chmod(0o755)
    return python


@pytest.mark.parametrize("version", ["3.10.14", "3.11.1", "3.12.0", "3.14.2"])
def test_unsupported_python_is_refused_before_anything_is_installed(tmp_path: Path, version: str) -> None:
    _bare_checkout(tmp_path)

    done = _make("setup", f"PYTHON={_fake_python(tmp_path, version)}", folder=tmp_path)

    assert done.returncode != 0
    assert f"is Python {version}: Sluice runs on 3.11, from 3.11.2 on" in done.stderr
    assert not (tmp_path / ".sluice").exists()


def test_unsupported_python_is_refused_after_an_update_too(tmp_path: Path) -> None:
    _bare_checkout(tmp_path)
    uv = tmp_path / ".sluice" / "uv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.touch()

    done = _make("setup", f"PYTHON={_fake_python(tmp_path, '3.12.0')}", folder=tmp_path)

    assert "is Python 3.12.0: Sluice runs on 3.11, from 3.11.2 on" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_clean_deletes_no_lake_without_a_confirmation(tmp_path: Path) -> None:
    _bare_checkout(tmp_path)
    lake = tmp_path / ".sluice" / "cloud"
    lake.mkdir(parents=True)

    done = _make("clean", folder=tmp_path)

    assert done.returncode != 0
    assert done.stderr.startswith("make clean: this would delete the lake in .sluice/cloud; to do it unasked: ")
    assert lake.exists()
    assert _make("clean", "YES=1", folder=tmp_path).returncode == 0
    assert not (tmp_path / ".sluice").exists()


@pytest.mark.parametrize(("answer", "kept"), [("y", False), ("n", True), ("", True)])
def test_clean_asks_for_confirmation_at_a_terminal(tmp_path: Path, answer: str, kept: bool) -> None:
    _bare_checkout(tmp_path)
    lake = tmp_path / ".sluice" / "cloud"
    lake.mkdir(parents=True)
    terminal, end = pty.openpty()
    os.write(terminal, f"{answer}\n".encode())

    subprocess.run(["make", "clean"], cwd=tmp_path, stdin=end, capture_output=True, timeout=60, check=False)

    os.close(terminal)
    os.close(end)
    assert lake.exists() == kept


def test_clean_without_a_lake_needs_no_confirmation(tmp_path: Path) -> None:
    _bare_checkout(tmp_path)
    (tmp_path / ".sluice" / "uv").mkdir(parents=True)

    assert _make("clean", folder=tmp_path).returncode == 0
    assert not (tmp_path / ".sluice").exists()


def test_ci_runs_every_check() -> None:
    assert "make check" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    planned = _make("--dry-run", "check").stdout
    for tool in ("ruff check", "ruff format --check", "lint-imports", "mypy", "localcloud/tests", "pytest"):
        assert tool in planned


def test_no_requirement_names_a_registry() -> None:
    files = sorted(ROOT.glob("requirements*"))
    assert len(files) >= 6
    for file in files:
        assert re.findall(r"https?://|--index-url|--find-links", file.read_text()) == [], file.name

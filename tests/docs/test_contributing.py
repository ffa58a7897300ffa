"""CONTRIBUTING.md and the pre-commit hooks name the checks that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def _targets() -> set[str]:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return set(targets.split())


def test_every_make_target_of_the_guide_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert {"lint", "types", "test"} <= named
    assert named <= _targets()


def test_hooks_run_the_checks_of_make() -> None:
    """The hooks name no tool and no version of their own."""
    config = ROOT / ".pre-commit-config.yaml"
    valid = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert valid.returncode == 0, valid.stdout

    (local,) = yaml.safe_load(config.read_text())["repos"]

    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == ["make lint", "make types"]

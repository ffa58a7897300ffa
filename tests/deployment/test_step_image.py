"""The image of steps has the versions of the workers, the library and the pipelines, and no Airflow."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-step/bin/python"
HANDLERS = ("sluice.compute.handler", "sluice.orchestration.handler", "pipelines.flights.steps", "awslambdaric")


def pinned(file: str) -> dict[str, str]:
    """Return the version of each distribution that a lock has."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / file).read_text(), flags=re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_versions_are_those_of_the_workers() -> None:
    """Other versions of pandas or pyarrow may write other bytes for the same rows (P16)."""
    workers, steps = pinned("requirements.txt"), pinned("requirements-step.txt")

    assert {name: version for name, version in steps.items() if workers.get(name, version) != version} == {}
    assert {"pandas", "pyarrow", "pydantic", "numpy", "boto3"} <= set(steps) & set(workers)


def test_there_is_no_airflow_and_all_handlers_import() -> None:
    assert [name for name in pinned("requirements-step.txt") if "airflow" in name] == []
    imports = "; ".join(f"import {module}" for module in HANDLERS)
    done = subprocess.run(
        [PYTHON, "-c", f"{imports}; import sys; print([m for m in sys.modules if m.split('.')[0] == 'airflow'])"],
        env={"PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_target_of_the_dockerfile_has_the_lock_and_the_code_alone() -> None:
    stage = (ROOT / "Dockerfile").read_text().partition("FROM base AS step\n")[2].partition("\nFROM ")[0]

    assert re.findall(r"^COPY (.*)$", stage, flags=re.MULTILINE) == ["requirements-step.txt .", "include include"]
    assert "--require-hashes -r requirements-step.txt" in stage
    assert 'ENTRYPOINT ["python", "-m", "awslambdaric"]\nCMD ["sluice.compute.handler.handle"]' in stage
    assert "USER sluice" in stage

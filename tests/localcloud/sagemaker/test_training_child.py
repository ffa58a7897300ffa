"""What every training process does around its training."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def started(root: Path, train: str) -> Iterator[subprocess.Popen[str]]:
    """A training process whose training is the given body of a function of ``layout``."""
    (root / "opt/ml/output").mkdir(parents=True)
    script = (
        "import sys, threading\n"
        "from localcloud.sagemaker.training_child import AlgorithmError, UserError, run\n"
        f"def train(layout):\n    {train}\n"
        "sys.exit(run(train))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root)],
        env={"PYTHONPATH": str(ROOT / "include")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_success_is_exit_0(tmp_path: Path) -> None:
    with started(tmp_path, "print('trained')") as child:
        assert child.wait(20) == 0
    assert not (tmp_path / "opt/ml/output/failure").exists()


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("UserError('bad data')", "ClientError: bad data"),
        ("AlgorithmError('it broke')", "AlgorithmError: it broke"),
        ("KeyError('objective')", "AlgorithmError: 'objective'"),
        ("UserError(f'no data in {layout.root}/opt/ml/input')", "ClientError: no data in /opt/ml/input"),
    ],
)
def test_a_failure_is_exit_1_with_its_reason(tmp_path: Path, raised: str, reason: str) -> None:
    with started(tmp_path, f"raise {raised}") as child:
        assert child.wait(20) == 1
    assert (tmp_path / "opt/ml/output/failure").read_text() == reason


def test_a_silent_child_ends_with_the_process_that_holds_its_input(tmp_path: Path) -> None:
    with started(tmp_path, "print('ready', flush=True); threading.Event().wait()") as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(20) == 1

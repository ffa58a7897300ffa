"""What every job's process does around its own work."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VOLUME_BYTES = 1_000_000
MEMORY_BYTES = 2 * 1024**3


@contextlib.contextmanager
def started(root: Path, train: str) -> Iterator[subprocess.Popen[str]]:
    """Run a job's process whose work is the given body of a function of ``layout``."""
    (root / "opt/ml/output").mkdir(parents=True)
    script = (
        "import os, socket, subprocess, sys, threading\n"
        "from localcloud.sagemaker.jobs.child import AlgorithmError, UserError, run\n"
        f"def train(layout):\n    {train}\n"
        "run(train)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root), str(VOLUME_BYTES), str(MEMORY_BYTES)],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_process_that_succeeds_exits_with_0(tmp_path: Path) -> None:
    with started(tmp_path, "print('trained')") as child:
        assert child.wait(20) == 0
    assert not (tmp_path / "opt/ml/output/failure").exists()


def test_what_libraries_do_at_the_end_of_the_interpreter_does_no_harm(tmp_path: Path) -> None:
    """GIVEN a thread of C++ that would abort the process then THEN it has ended with all of its output."""
    with started(tmp_path, "import atexit; atexit.register(os.abort); print('trained')") as child:
        assert child.wait(20) == 0
        assert child.stdout is not None
        assert child.stdout.read() == "trained\n"


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("UserError('bad data')", "ClientError: bad data"),
        ("AlgorithmError('it broke')", "AlgorithmError: it broke"),
        ("KeyError('objective')", "AlgorithmError: KeyError: 'objective'"),
        ("UserError(f'no data in {layout.root}/opt/ml/input')", "ClientError: no data in /opt/ml/input"),
    ],
)
def test_a_process_that_fails_exits_with_1_and_leaves_its_reason(tmp_path: Path, raised: str, reason: str) -> None:
    with started(tmp_path, f"raise {raised}") as child:
        assert child.wait(20) == 1
    assert (tmp_path / "opt/ml/output/failure").read_text() == reason


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param("open(os.path.join(layout.root, '..', 'other', 'secret')).read()", id="read another job's file"),
        pytest.param("os.listdir(os.path.join(layout.root, '..'))", id="list the jobs"),
        pytest.param("open(os.path.join(layout.root, '..', 'other', 'new'), 'w')", id="write beside it"),
        pytest.param(
            "os.rename(layout.failure.parent, os.path.join(layout.root, '..', 'moved'))", id="move a folder out"
        ),
        pytest.param("socket.create_connection(('127.0.0.1', 9), 1)", id="connect"),
        pytest.param("socket.create_server(('127.0.0.1', 0))", id="listen"),
        pytest.param("subprocess.run(['/bin/cat', '../other/secret'], cwd=layout.root, check=True)", id="by a child"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_job_can_not_reach_anything_outside_of_its_folder(tmp_path: Path, reach: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("of another job")
    with started(tmp_path / "own", reach) as child:
        assert child.wait(20) == 1
    failure = (tmp_path / "own/opt/ml/output/failure").read_text()
    assert "Permission denied" in failure or "returned non-zero exit status 1" in failure or "cross-device" in failure


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_job_can_not_run_a_file_that_it_has_written(tmp_path: Path) -> None:
    written = "path = layout.root / 'own'; path.write_text('#!/bin/sh\\n'); path.chmod(0o700); subprocess.run([path])"
    with started(tmp_path, written) as child:
        assert child.wait(20) == 1
    assert "Permission denied" in (tmp_path / "opt/ml/output/failure").read_text()


def test_a_job_may_use_its_own_folder(tmp_path: Path) -> None:
    with started(tmp_path, "os.mkdir(layout.root / 'tmp'); (layout.root / 'tmp/a').write_text('b')") as child:
        assert child.wait(20) == 0
    assert (tmp_path / "tmp/a").read_text() == "b"


def test_a_file_can_not_be_larger_than_the_volume(tmp_path: Path) -> None:
    with started(tmp_path, "(layout.root / 'big').write_bytes(bytes(2_000_000))") as child:
        assert child.wait(20) == 1
    assert "File too large" in (tmp_path / "opt/ml/output/failure").read_text()
    assert (tmp_path / "big").stat().st_size <= VOLUME_BYTES


def test_a_job_has_its_share_of_the_memory(tmp_path: Path) -> None:
    with started(tmp_path, "held = bytearray(3 * 1024**3)") as child:
        assert child.wait(20) == 1
    assert (tmp_path / "opt/ml/output/failure").read_text().startswith("AlgorithmError: OutOfMemory: ")


def test_a_silent_child_ends_with_the_process_that_holds_its_input(tmp_path: Path) -> None:
    with started(tmp_path, "print('ready', flush=True); threading.Event().wait()") as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(20) == 1

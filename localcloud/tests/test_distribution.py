"""The distribution: the wheel's content, its console script and its dependencies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from localcloud.testing.clouds import free_ports
from tests.conftest import PYTHON

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOCALCLOUD"))}
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "localcloud"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("tests", "*.egg-info", "__pycache__", "build"))
    return folder / run(sys.executable, "-c", BUILD, folder, cwd=source).splitlines()[-1]


def test_the_wheel_has_all_modules_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    modules = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    assert sorted(names) == sorted(map(str, [*modules, Path("localcloud/py.typed")]))


def test_the_wheel_has_the_licence_and_the_readme(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [info] = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        licence = archive.read(f"{info}/licenses/LICENSE")
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text().strip()


def test_the_installed_distribution_starts_and_stops(wheel: Path, tmp_path: Path) -> None:
    """Install it in a new environment, with the dependencies of the cloud's environment."""
    run(sys.executable, "-m", "venv", "installed", cwd=tmp_path)
    binaries = tmp_path / "installed/bin"
    run(binaries / "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    of_dependencies, own = (
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
        for python in (PYTHON, binaries / "python")
    )
    Path(own, "dependencies.pth").write_text(of_dependencies)
    assert run(binaries / "pip", "check", cwd=tmp_path) == "No broken requirements found.\n"

    port, sagemaker_port = free_ports(2)
    options = ("--port", port, "--sagemaker-port", sagemaker_port)
    try:
        up = run(binaries / "localcloud", "up", *options, cwd=tmp_path)
        assert [line.split()[:2] for line in up.splitlines()] == [
            ["emulator", f"http://127.0.0.1:{port}"],
            ["sagemaker", f"http://127.0.0.1:{sagemaker_port}"],
        ]
        status = run(binaries / "localcloud", "status", *options, cwd=tmp_path)
        assert [line.split()[-1] for line in status.splitlines()] == ["healthy", "healthy"]
        assert (tmp_path / ".localcloud/emulator/state/state.sqlite").exists()
    finally:
        down = run(binaries / "localcloud", "down", *options, cwd=tmp_path)
    assert down == "stopped: sagemaker, emulator\n"

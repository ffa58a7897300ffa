"""Each failure of the demo shows its cause in the one line that the user reads."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from demo.laptop import Laptop, StepFailed
from deploy.checkout import PORTS, make_checkout
from rich.console import Console

from demo import laptop
from localcloud.testing.processes import is_running


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    """The demo's machine in a folder of the test's own."""
    monkeypatch.setattr(laptop, "ROOT", tmp_path)
    return Laptop(Console(quiet=True))


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise ValueError('the label is constant')", "the label is constant"),
        ("print('first'); print('the disk is full'); raise SystemExit(1)", "the disk is full"),
        ("raise SystemExit(1)", "it wrote nothing"),
        ("import os; os.kill(os.getpid(), 9)", "it wrote nothing"),
    ],
)
def test_failed_step_names_its_cause_and_its_log(demo: Laptop, code: str, cause: str) -> None:
    with pytest.raises(StepFailed, match=rf"^train failed: {cause}; its whole output is in \.sluice/demo/train\.log$"):
        demo._run("train", [sys.executable, "-c", code])


def test_step_that_hangs_is_stopped_and_named(demo: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laptop, "_LONGEST_STEP", 1)

    with pytest.raises(StepFailed, match=r"^train was not done after 1 s and was ended; see \.sluice/demo/train\.log$"):
        demo._run("train", [sys.executable, "-c", "import time; time.sleep(600)"])


def test_step_stops_when_its_probe_finds_no_cloud(demo: Laptop) -> None:
    log, code = demo.folder / "train.log", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

    def probe() -> str:
        if log.read_text():
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return ""

    with pytest.raises(EndpointConnectionError):
        demo._run("train", [sys.executable, "-c", code], probe)

    assert not is_running(int(log.read_text()))


@pytest.mark.parametrize("name", [name for name in PORTS if name.startswith("LOCALCLOUD")])
def test_taken_port_names_the_variable_and_the_file(tmp_path: Path, name: str) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    (checkout.folder / "demo").mkdir()
    for module in (laptop.ROOT / "demo").glob("*.py"):
        (checkout.folder / "demo" / module.name).write_text(module.read_text())
    with socket.create_server(("127.0.0.1", int(checkout.settings[name]))):
        done = subprocess.run(
            [".venv/bin/python", "-m", "demo"],
            cwd=checkout.folder,
            env={**checkout.settings, "COLUMNS": "400", "HOME": os.environ["HOME"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 1
    assert re.fullmatch(rf"demo: port \d+ of 127\.0\.0\.1 is not free .* set {name} in \.env .*\n", done.stdout)

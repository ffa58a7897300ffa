"""A copy of this project with ports of its own, so that a test never meets what its user runs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil
from tests.conftest import free_ports
from tests.deployment.files import ROOT, read_settings

LONGEST = 300
PORTS = ("AIRFLOW__API__PORT", "LOCALCLOUD_PORT", "LOCALCLOUD_SAGEMAKER_PORT", "POSTGRES_PORT")


def _heed_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Checkout:
    """The folder, and the settings that its .env makes."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def web_port(self) -> int:
        return int(self.settings["AIRFLOW__API__PORT"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def ports(self) -> list[int]:
        return [int(self.settings[name]) for name in PORTS]

    def start(self, command: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [".venv/bin/python", "-m", "deploy.laptop", command],
            cwd=self.folder,
            env={**self.settings, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Tests that run in the background ignore SIGINT, and a child process would ignore it as well.
            preexec_fn=_heed_sigint,
        )

    def run(self, command: str, **settings: str) -> tuple[int, str]:
        """Run ``up`` or ``down``; return the exit status and the output."""
        process = self.start(command, **settings)
        output, _ = process.communicate(timeout=LONGEST)
        return process.returncode, output

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Airflow's command line as a user of this checkout does."""
        return subprocess.run(
            [".venv/bin/airflow", *arguments],
            cwd=self.folder,
            env=dict(self.settings),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def log_in(self) -> str:
        """Return a token for Airflow's REST API, for the user and the password that ``make up`` made."""
        passwords = json.loads(Path(self.settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).read_text())
        ((user, password),) = passwords.items()
        body = json.dumps({"username": user, "password": password}).encode()
        request = Request(f"{self.url}/auth/token", data=body, headers={"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            token: str = json.load(answer)["access_token"]
        return token

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the answer of Airflow's REST API: to a POST where there is a body, else to a GET."""
        headers = {"Authorization": f"Bearer {self.log_in()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/api/v2/{path}", data=data, headers=headers)
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def processes(self) -> list[psutil.Process]:
        """Return all processes that run in the folder or from it."""
        found = []
        for process in psutil.process_iter():
            try:
                paths = [process.cwd(), *process.cmdline()]
            except psutil.Error:
                continue
            if any(str(self.folder) in each for each in paths):
                found.append(process)
        return found


def make_checkout(folder: Path, dags: Path = ROOT / "dags", **settings: str) -> Checkout:
    """Make a checkout in a new folder, with other DAGs or settings if given."""
    folder.mkdir()
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for shared in (".venv", ".venv-cloud", "include", "plugins"):
        (folder / shared).symlink_to(ROOT / shared)
    (folder / "dags").symlink_to(dags)
    text = (ROOT / ".env.example").read_text()
    shipped = read_settings(ROOT / ".env.example", ROOT)
    for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        assert text.count(f"\n{name}={shipped[name]}\n") == 1
        text = text.replace(f"\n{name}={shipped[name]}\n", f"\n{name}={port}\n")
    (folder / ".env").write_text(text + "".join(f"{name}={value}\n" for name, value in settings.items()))
    return Checkout(folder, {**read_settings(folder / ".env", folder), "PATH": "/usr/bin:/bin"})

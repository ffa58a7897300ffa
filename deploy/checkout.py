"""A copy of this project with ports and a lake of its own, so that it never meets what its user runs."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 300
PORTS = ("AIRFLOW__API__PORT", "LOCALCLOUD_PORT", "LOCALCLOUD_SAGEMAKER_PORT", "POSTGRES_PORT")
CELERY = ROOT / "deploy" / "celery.env"

_OF_THE_SHELL = ("PWD", "OLDPWD", "SHLVL", "_")


def _heed_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Checkout:
    """The folder, and the settings that its .env makes."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def web_port(self) -> int:
        """The port of Airflow's API server."""
        return int(self.settings["AIRFLOW__API__PORT"])

    @property
    def url(self) -> str:
        """The address of Airflow's web UI."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def ports(self) -> list[int]:
        """All ports of the checkout."""
        return [int(self.settings[name]) for name in PORTS]

    def start(self, command: str, **settings: str) -> subprocess.Popen[str]:
        """Start ``make up`` or ``make down``; return the process.

        Args:
            command: ``up`` or ``down``.
            settings: Settings that differ from .env.
        """
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
        """Run ``up`` or ``down``; return the exit status and the output.

        Args:
            command: ``up`` or ``down``.
            settings: Settings that differ from .env.
        """
        process = self.start(command, **settings)
        output, _ = process.communicate(timeout=LONGEST)
        return process.returncode, output

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Airflow's command line as a user of this checkout does.

        Args:
            arguments: Those of the command line.
        """
        return self.program("airflow", *arguments)

    def program(self, name: str, *arguments: str, seconds: float = LONGEST) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment with the settings of this checkout.

        Args:
            name: The program.
            arguments: Its arguments.
            seconds: How long it may take.
        """
        return subprocess.run(
            [f".venv/bin/{name}", *arguments],
            cwd=self.folder,
            env=dict(self.settings),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def log_in(self) -> str:
        """Return a token for Airflow's REST API, for the user and the password that ``make up`` made."""
        passwords = json.loads(Path(self.settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).read_text())
        ((user, password),) = passwords.items()
        body = json.dumps({"username": user, "password": password}).encode()
        token: str = self._send("auth/token", body, {})["access_token"]
        return token

    def call(self, path: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Return the answer of Airflow's REST API: to a POST where there is a body, else to a GET.

        Args:
            path: The path below ``/api/v2/``.
            body: The body, as JSON.
            method: Another method.
        """
        data = None if body is None else json.dumps(body).encode()
        return self._send(f"api/v2/{path}", data, {"Authorization": f"Bearer {self.log_in()}"}, method)

    def _send(self, path: str, data: bytes | None, headers: Mapping[str, str], method: str | None = None) -> Any:
        request = Request(  # noqa: S310 - the address is that of this checkout
            f"{self.url}/{path}", data=data, headers={**headers, "Content-Type": "application/json"}, method=method
        )
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


def make_checkout(
    folder: Path, dags: Path = ROOT / "dags", *, more: str = "", settings: Mapping[str, str] | None = None
) -> Checkout:
    """Make a checkout in a new folder.

    Args:
        folder: The folder.
        dags: The folder of DAGs.
        more: The text of settings that follow those of .env.example, such as those of Celery.
        settings: Settings that differ.
    """
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for shared in (".venv", ".venv-cloud", ".venv-step", "include", "plugins"):
        (folder / shared).symlink_to(ROOT / shared)
    (folder / "dags").symlink_to(dags)
    text = (ROOT / ".env.example").read_text()
    shipped = read_settings(ROOT / ".env.example", ROOT)
    for name, port in zip(PORTS, _free_ports(len(PORTS)), strict=True):
        if text.count(line := f"\n{name}={shipped[name]}\n") != 1:
            raise ValueError(f".env.example does not set {name} once, so a checkout can't have a port of its own")
        text = text.replace(line, f"\n{name}={port}\n")
    differing = "".join(f"{name}={value}\n" for name, value in (settings or {}).items())
    (folder / ".env").write_text(f"{text}{more}{differing}")
    return Checkout(folder, {**read_settings(folder / ".env", folder), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})


def read_settings(file: Path, root: Path) -> Mapping[str, str]:
    """Return the variables that a file sets, as a shell sees them.

    Args:
        file: A file such as .env.
        root: The folder in which the shell runs.
    """
    done = subprocess.run(
        ["/usr/bin/env", "-i", "/bin/sh", "-c", 'set -a; PWD=$1; . "$2"; exec env --null', "sh", str(root), str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    return {name: value for name, value in variables.items() if name not in _OF_THE_SHELL}


def _free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

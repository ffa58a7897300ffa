"""Prepares what Airflow and the pipelines need before anything runs: the database, the pool, resources at AWS.

`make up` and the `init` service of docker-compose.yaml run it. It is safe to run again. If others can reach the web UI,
it refuses the secrets of .env.example, because these are public.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping

from sluice.declaration.loading import load_pipelines
from sluice.declaration.pipeline import Pipeline
from sluice.pool import INGEST_POOL, INGEST_SLOTS

_LONGEST_COMMAND = 900  # seconds

_RANDOM = 'python3 -c "import secrets; print(secrets.token_hex(32))"'
_FERNET = 'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
# How to make each secret. The values of .env.example contain one of the two marks, as text or in base64.
SECRETS = {
    "AIRFLOW__API_AUTH__JWT_SECRET": _RANDOM,
    "AIRFLOW__API__SECRET_KEY": _RANDOM,
    "AIRFLOW__CORE__FERNET_KEY": _FERNET,
    "POSTGRES_PASSWORD": _RANDOM,
}
_SHIPPED = ("for-local-use-only", "Zm9yIGxvY2FsIHVzZSBvbmx5")


class ShippedSecrets(Exception):
    """A secret of .env.example would protect something that others can reach."""


def require_secrets(settings: Mapping[str, str]) -> None:
    """Refuse the secrets of .env.example on a machine that others can reach.

    Args:
        settings: The environment. ``PUBLISHED_ON`` is the address on which compose publishes the web UI. Without
            compose the web UI listens on ``AIRFLOW__API__HOST``, or on all addresses if that is not set.

    Raises:
        ShippedSecrets: the address is not loopback, and a secret is as shipped.
    """
    address = settings.get("PUBLISHED_ON") or settings.get("AIRFLOW__API__HOST") or "0.0.0.0"  # noqa: S104
    shipped = [name for name in SECRETS if any(mark in settings.get(name, "") for mark in _SHIPPED)]
    if shipped and not _is_loopback(address):
        raise ShippedSecrets(
            f"others can reach {address} (AIRFLOW__API__HOST), but these still have the public values that ship with "
            f"Sluice: {', '.join(shipped)}; set AIRFLOW__API__HOST=127.0.0.1, or make a new value for each in .env; "
            f"{shipped[0]} with `{SECRETS[shipped[0]]}`"
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def airflow_commands() -> list[list[str]]:
    """Return the modules that prepare Airflow, in order, each with its arguments."""
    pool = ["airflow", "pools", "set", INGEST_POOL, str(INGEST_SLOTS), "drains of queues and streams, side by side"]
    return [["airflow", "db", "migrate"], pool]


def provision_commands(pipelines: Iterable[Pipeline]) -> list[list[str]]:
    """Return the modules that make the pipelines' resources, each with its arguments."""
    return [["sluice", "provision", pipeline.name] for pipeline in pipelines]


def main() -> int:
    """Run the commands one after another.

    A pipeline that can't be loaded or provisioned is printed and skipped: its mistake does not stop the others.

    Returns:
        The exit status: that of the first of Airflow's commands that fails; 1 if there are pipelines and none can be
        provisioned, because the fault is then not in a pipeline; else 0.
    """
    try:
        require_secrets(os.environ)
    except ShippedSecrets as error:
        _say(f"prepare: {error}")
        return 1
    pipelines, errors = load_pipelines()
    for broken in errors:
        _say(f"not provisioned: {broken}")
    for command in airflow_commands():
        if status := _run(command):
            return status
    failed = [command for command in provision_commands(pipelines) if _run(command)]
    return 1 if failed and len(failed) == len(pipelines) else 0


def _run(command: list[str]) -> int:
    """Run a module with its arguments; if it fails, show what it printed. Return its exit status."""
    _say(" ".join(command))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LONGEST_COMMAND,
    )
    if done.returncode:
        _say(f"{done.stdout}`{' '.join(command)}` failed with status {done.returncode}; see above")
    return done.returncode


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

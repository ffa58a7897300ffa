"""The Celery workers of this machine, and their broker: programs of deploy/celery.conf."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.health import workers_answer
from deploy.worker import MOST_WORKERS, name_of

ROOT = Path(__file__).resolve().parents[1]
BROKER = ("redis", "relay")

_FOLDERS = ("redis", "relay")  # below .sluice


class WorkersError(Exception):
    """Celery workers can't run here. The message is one line: what is missing or wrong, and the next action."""


def uses_celery(settings: Mapping[str, str]) -> bool:
    """Return whether Airflow's tasks run in Celery workers.

    Args:
        settings: The variables of .env, with their values.
    """
    return settings.get("AIRFLOW__CORE__EXECUTOR") == "CeleryExecutor"


def require_redis(settings: Mapping[str, str]) -> None:
    """Require that the broker is installed, if there are Celery workers.

    Args:
        settings: The variables of .env, with their values.

    Raises:
        WorkersError: it is not.
    """
    if uses_celery(settings) and shutil.which("redis-server") is None:
        raise WorkersError("Celery needs Redis, and redis-server is not installed (Debian: apt install redis-server)")


def make_folders() -> None:
    """Make the folders of the broker and of the relay's sockets."""
    for name in _FOLDERS:
        (ROOT / ".sluice" / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def programs(count: int) -> list[str]:
    """Return supervisord's names of the workers.

    Args:
        count: How many workers.

    Raises:
        WorkersError: there can't be so many.
    """
    if not 1 <= count <= MOST_WORKERS:
        raise WorkersError(f"WORKERS={count} is not usable: give a number from 1 to {MOST_WORKERS}")
    return [f"worker:worker-{number}" for number in range(1, count + 1)]


def answers(count: int) -> bool:
    """Return whether all workers answer a ping.

    Args:
        count: How many workers.
    """
    return workers_answer([name_of(number) for number in range(1, count + 1)])

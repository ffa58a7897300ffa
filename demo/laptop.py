"""Runs the demo's commands on this machine, and starts and stops the embedded cloud."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy.cloud import cloud_status, start_cloud, stop_cloud
from deploy.ports import require_free
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[1]
_LONGEST_TERMINATION = 10  # seconds from SIGTERM to SIGKILL
_LONGEST_STEP = 3600  # seconds; a year of flights lands in less


class StepFailed(Exception):
    """A command of the demo failed. The message has the reason, and the file with the whole output."""


class Laptop:
    """The demo's machine. As a context manager it starts the embedded cloud, unless it runs, and stops it afterwards.

    Args:
        console: Where progress is printed.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.folder = ROOT / ".sluice" / "demo"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._started = False

    def __enter__(self) -> Laptop:
        cloud = cloud_status()
        self._started = not cloud.healthy
        if self._started:
            require_free(os.environ, cloud.missing_ports)
            start_cloud(quiet=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._started:
            stop_cloud(quiet=True)

    def airflow_database(self) -> None:
        """Make an Airflow database only for the demo, so that it does not interfere with a scheduler.

        Raises:
            StepFailed: the command failed.
        """
        self._run("database", [sys.executable, "-m", "airflow", "db", "migrate"])

    def sluice(self, title: str, *arguments: str) -> None:
        """Run the command line ``sluice``.

        Args:
            title: What the progress is called; also the name of the log.
            arguments: Those of the command line.

        Raises:
            StepFailed: the command failed.
        """
        self._run(title, [sys.executable, "-m", "sluice", *arguments])

    def python(self, title: str, module: str, *arguments: str) -> None:
        """Run a Python module that shows its own progress.

        Args:
            title: What the progress is called.
            module: The name of the module.
            arguments: Those of its command line.

        Raises:
            StepFailed: the module failed.
        """
        self.console.print(f"{title}: python -m {module} {' '.join(arguments)}", style="bold", highlight=False)
        done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, timeout=_LONGEST_STEP)
        if done.returncode:
            raise StepFailed(f"{title} failed (exit status {done.returncode}); its message is above")

    def dag(self, dag_id: str, day: date, params: Mapping[str, Any], progress: Callable[[], str]) -> None:
        """Run ``airflow dags test`` of one DAG.

        Args:
            dag_id: The name of the DAG.
            day: The logical date of the run.
            params: The params of the run.
            progress: Called once a second; its text is shown.

        Raises:
            StepFailed: the run failed.
        """
        command = [sys.executable, "-m", "airflow", "dags", "test", dag_id, day.isoformat(), "-c", json.dumps(params)]
        self._run(dag_id, command, progress)

    def _airflow_of_the_demo(self) -> dict[str, str]:
        """Return the settings of the demo's own Airflow. One process writes at a time, so SQLite is enough."""
        home = self.folder / "airflow"
        return {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        }

    def _run(self, title: str, command: list[str], progress: Callable[[], str] = str) -> None:
        log = self.folder / f"{title}.log"
        environment = {**os.environ, **self._airflow_of_the_demo(), "NO_COLOR": "1"}
        clock = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
        )
        with clock, log.open("w") as output:
            task = clock.add_task(title, total=1)
            running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
            with _ended_with_us(running):
                for _ in range(_LONGEST_STEP):
                    with suppress(subprocess.TimeoutExpired):
                        running.wait(timeout=1)
                        break
                    clock.update(task, description=f"{title} {progress()}")
                else:
                    raise StepFailed(f"{title} was not done after {_LONGEST_STEP} s and was ended; see {_shown(log)}")
            if running.returncode:
                raise StepFailed(f"{title} failed: {_reason(log)}; its whole output is in {_shown(log)}")
            clock.update(task, completed=1)


@contextmanager
def _ended_with_us(running: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the command when this context ends: without a cloud its own retries would last for many minutes."""
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(timeout=_LONGEST_TERMINATION)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _reason(log: Path) -> str:
    """Return the last line of a log that names an error, else its last line."""
    text = log.read_text(errors="replace").strip()
    if named := re.findall(r"^(?:.*(?:Exception|Error|error): )(.+)$", text, flags=re.MULTILINE):
        return str(named[-1]).strip()
    return text.splitlines()[-1].strip() if text else "it wrote nothing"


def _shown(log: Path) -> Path:
    return log.relative_to(ROOT)

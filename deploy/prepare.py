"""Makes ready what Airflow and the pipelines need before anything runs: database, pools, and resources at AWS.

Used by `make up` and by the `init` service of docker-compose.yaml. Running it again changes nothing.
"""

from __future__ import annotations

import subprocess
import sys

from sluice.pipeline import pipeline_names

_LONGEST_COMMAND = 900

POOLS = {"sluice_ingest": ("10", "lanes that drain queues and streams")}


def commands() -> list[list[str]]:
    """The modules to run, in order, each with its arguments."""
    pools = [["airflow", "pools", "set", name, slots, about] for name, (slots, about) in POOLS.items()]
    stacks = [["sluice", "provision", name] for name in pipeline_names()]
    return [["airflow", "db", "migrate"], *pools, *stacks]


def main() -> int:
    """Runs the commands one after another; the exit status is that of the first one that fails."""
    for command in commands():
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
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

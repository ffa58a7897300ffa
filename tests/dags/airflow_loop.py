"""Runs one ``airflow`` command after another in one process: importing Airflow takes seconds, a DAG run does not.

Each line of standard input is ``{"command": [...], "environment": {...}, "log": path}``; each line of standard output
is the command's exit status. What the command prints is written to the log.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Sequence

import botocore.loaders
import botocore.session
from airflow.__main__ import main

# Each task opens a boto3 session, which parses the descriptions of its services again. One process per task does that
# once: so does this one.
botocore.session.create_loader = botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)


def run(command: Sequence[str]) -> int:
    """Run a command; return the exit status that a process of its own would have."""
    sys.argv = ["airflow", *command]
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        os.environ.update(request["environment"])
        with open(request["log"], "w") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            status = run(request["command"])
            sys.stdout.flush()
            sys.stderr.flush()
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    serve()

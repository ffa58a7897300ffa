"""``python -m tests.golden FOLDER``: replays a folder of transcripts in an embedded cloud that it starts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.conftest import PYTHON
from tests.golden.replay import Result, replay

from localcloud.testing import transcripts
from localcloud.testing.clouds import running_cloud


def main(arguments: list[str]) -> int:
    """Replay the folder; return 0 if all is as recorded, 1 if not, 2 without cases, 130 after Ctrl-C."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.golden FOLDER\n")
        return 2
    try:
        folders = transcripts.folders(Path(arguments[0]))
    except transcripts.FormatError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="golden-") as state, running_cloud(Path(state), PYTHON) as cloud:
            results = list(replay(cloud, folders))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the embedded cloud is stopped\n")
        return 130
    return report(results)


def report(results: list[Result]) -> int:
    """Print each difference and their numbers by kind; return 1 if there are any but known defects."""
    for result in results:
        _print(result)
    counted = [result for result in results if not result.known_defect]
    failed = sum(1 for result in counted if result.differences)
    sys.stdout.write(f"{len(counted) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


def _print(result: Result) -> None:
    if result.known_defect:
        how = "differs here" if result.differences else "is the same here"
        sys.stdout.write(f"known defect of the container, not counted: {result.name} {how}\n")
    elif result.differences:
        text = "\n".join(result.differences).replace("\n", "\n    ")
        sys.stdout.write(f"FAILED {result.name}\n    {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Work in a process that forks a child for each line it reads, so that what it imports is imported once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import sluice

_ROOT = Path(__file__).parents[2]
_PATH = (str(Path(sluice.__file__).parents[1]), str(_ROOT / "localcloud/src"), str(_ROOT))
_LONGEST_ANSWER = 65536  # bytes

Ask = Callable[..., str]


@contextmanager
def forking(module: ModuleType, *arguments: str, path: tuple[str, ...] = (), **environment: str) -> Iterator[Ask]:
    """Run a module that calls :func:`serve`; yield what asks it for a piece of work, and returns how that ended.

    Args:
        module: The module.
        arguments: Its arguments.
        path: Folders that it imports from beside the project's.
        environment: Variables that it has beside those of this process.
    """
    process = subprocess.Popen(
        [sys.executable, str(module.__file__), *arguments],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join((*path, *_PATH))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def ask(*words: object) -> str:
        print(*words, file=stdin, flush=True)
        return stdout.readline().strip()

    try:
        yield ask
    finally:
        stdin.close()
        process.wait(120)


def serve(work: Callable[..., str]) -> None:
    """Do the work in a child for each line of standard input, with its words; print what it returns, or ``killed``."""
    for line in sys.stdin:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            os.write(write, " ".join(work(*line.split()).split()).encode())
            os._exit(0)
        os.close(write)
        _, status = os.waitpid(pid, 0)
        said = os.read(read, _LONGEST_ANSWER).decode()
        os.close(read)
        sys.stdout.write(("killed" if os.WIFSIGNALED(status) else said) + "\n")
        sys.stdout.flush()

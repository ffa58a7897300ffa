"""Runs a command in place of a container: confined, and ended with the process that started it.

It is started as ``python -m localcloud.launcher`` in a session of its own, and reads an :class:`Order` as one line of
JSON from standard input, as a command line would show secrets. When standard input closes, because its writer was
killed for instance, the whole session is killed. It exits like a shell: 128 and the signal's number for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from localcloud.confinement import confine, limit
from localcloud.sessions import kill_session

SIGNALLED = 128
_UNABLE = 127


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        command: The command line.
        environment: All environment variables.
        folder: The only folder that the command may write.
        working_folder: Where the command starts.
        readable: The folders that it may read, of its interpreter and what it imports.
        largest_file: The size in bytes that no file may exceed.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    working_folder: str
    readable: tuple[str, ...]
    largest_file: int


def launch(order: Order, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, and return its launcher's process. Close its ``stdin`` to end all of it.

    Args:
        order: What to run.
        output: Gets the command's output and errors.
    """
    package_parent = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "localcloud.launcher"],
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": package_parent},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        process.stdin.flush()
    return process


def main() -> int:
    """Run the order, and return the exit status."""
    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_writer, daemon=True).start()
    limit(order["largest_file"])
    confine(Path(order["folder"]), map(Path, order["readable"]), network=True)
    try:
        child = subprocess.Popen(
            order["command"], env=order["environment"], cwd=order["working_folder"], stdin=subprocess.DEVNULL
        )
    except OSError as error:
        sys.stderr.write(f"{order['command'][0]} can't be run: {error}\n")
        return _UNABLE
    code = child.wait()
    kill_session(os.getpid())  # here too: the other thread ends with this one
    return code if code >= 0 else SIGNALLED - code


def _end_with_writer() -> None:
    os.read(sys.stdin.fileno(), 1)
    kill_session(os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())

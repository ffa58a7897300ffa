"""The command line: ``localcloud up|down|status|run``, or ``python -m localcloud …``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

from localcloud import images, supervisor
from localcloud.processes import CloudError
from localcloud.settings import Settings

_NOT_UP = 3
_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run one command, and return its exit status: 0, 1 for an error, 3 for `status` of a cloud that isn't up."""
    parser = _parser()
    options = parser.parse_args(arguments)
    settings = Settings(options.state.resolve(), options.port, options.sagemaker_port, options.images)
    if settings.port == settings.sagemaker_port:
        parser.error(f"--port and --sagemaker-port are both {settings.port}")
    try:
        return _COMMANDS[options.command](settings)
    except CloudError as error:
        _print(f"localcloud: {error}", to=sys.stderr)
        return 1
    except (supervisor.SignalledError, KeyboardInterrupt):
        _print("localcloud: interrupted; nothing that this command started is left", to=sys.stderr)
        return _INTERRUPTED


def _up(settings: Settings) -> int:
    for line in supervisor.up(settings):
        _print(f"{line.name:<10} {line.endpoint}  pid {line.pid}")
    return 0


def _down(settings: Settings) -> int:
    _print(f"stopped: {', '.join(supervisor.down(settings)) or 'nothing ran'}")
    return 0


def _status(settings: Settings) -> int:
    lines = supervisor.status(settings)
    for line in lines:
        pid = f"pid {line.pid}" if line.pid else "not running"
        _print(f"{line.name:<10} {line.endpoint}  {pid}  {'healthy' if line.healthy else 'unhealthy'}")
    return 0 if all(line.healthy for line in lines) else _NOT_UP


def _run(settings: Settings) -> int:
    supervisor.run(settings)
    return 0


_COMMANDS = {"up": _up, "down": _down, "status": _status, "run": _run}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localcloud", description="Start, stop and show an AWS cloud for one machine."
    )
    parser.add_argument(
        "command",
        choices=sorted(_COMMANDS),
        help="up: start in the background; down: stop; status: show; run: stay in the foreground",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=os.environ.get("LOCALCLOUD_STATE", ".localcloud"),
        help="folder of state and logs (LOCALCLOUD_STATE; default .localcloud)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("LOCALCLOUD_PORT", "4566"),
        help="the emulator's port (LOCALCLOUD_PORT; default 4566)",
    )
    parser.add_argument(
        "--sagemaker-port",
        type=_port,
        default=os.environ.get("LOCALCLOUD_SAGEMAKER_PORT", "4567"),
        help="the SageMaker stand-in's port (LOCALCLOUD_SAGEMAKER_PORT; default 4567)",
    )
    parser.add_argument(
        "--images",
        default=os.environ.get(images.SETTING, "{}"),
        help="JSON: what runs in place of container images and Lambda runtimes, by name "
        f"({images.SETTING}; default none; see the README)",
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is not between 1 and 65535")
    return port


def _print(line: str, to: TextIO | None = None) -> None:
    print(line, file=to or sys.stdout, flush=True)


def command() -> int:
    """Run the command of this process's arguments; the entry point of the console script."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command())

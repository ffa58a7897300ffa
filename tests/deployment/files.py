"""The deployment files, read as their tools read them."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def read_settings(file: Path, root: Path) -> Mapping[str, str]:
    """Return the variables that the file sets, as a shell in the folder ``root`` sees them."""
    shell = 'set -a; PWD=$1; . "$2"; exec env --null'
    done = subprocess.run(
        ["env", "-i", "/bin/sh", "-c", shell, "sh", str(root), str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    return {name: value for name, value in variables.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")}


SETTINGS = read_settings(ROOT / ".env.example", ROOT)  # of a machine that has no .env


def read_compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


def read_supervised() -> Mapping[str, list[str]]:
    """Return the command of each component that ``make up`` supervises, from its program's name on."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "deploy" / "supervisord.conf")
    programs = {name.removeprefix("program:") for name in config.sections() if name.startswith("program:")}
    commands = {name: shlex.split(config[f"program:{name}"]["command"]) for name in programs}
    return {name: [Path(command[0]).name, *command[1:]] for name, command in commands.items()}

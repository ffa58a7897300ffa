"""The deployment files, read as their tools read them."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from deploy.checkout import read_settings

ROOT = Path(__file__).resolve().parents[2]


SETTINGS = read_settings(ROOT / ".env.example", ROOT)  # of a machine that has no .env


def read_compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


def read_supervised(file: str = "supervisord.conf") -> Mapping[str, list[str]]:
    """Return the command of each component of the file, from its program's name on."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "deploy" / file)
    programs = {name.removeprefix("program:") for name in config.sections() if name.startswith("program:")}
    commands = {name: shlex.split(config[f"program:{name}"]["command"]) for name in programs}
    return {name: [Path(command[0]).name, *command[1:]] for name, command in commands.items()}

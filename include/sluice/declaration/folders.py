"""Finds the folders of pipelines: those in the package ``pipelines``."""

from __future__ import annotations

import importlib
from pathlib import Path

PACKAGE = "pipelines"


def pipeline_names() -> tuple[str, ...]:
    """Return the names of the folders under ``pipelines``, sorted, without those that begin with ``.`` or ``_``."""
    folders = importlib.import_module(PACKAGE).__path__
    found = {entry.name for folder in folders for entry in Path(folder).iterdir() if entry.is_dir()}
    return tuple(sorted(name for name in found if not name.startswith((".", "_"))))


def package_folders(name: str) -> list[Path]:
    """Return the paths at which the folder of a pipeline may be."""
    return [Path(folder, name) for folder in importlib.import_module(PACKAGE).__path__]

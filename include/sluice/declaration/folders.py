"""Finds the folders of pipelines, which are in the package ``pipelines``."""

from __future__ import annotations

import importlib
from pathlib import Path

PACKAGE = "pipelines"


def pipeline_names() -> tuple[str, ...]:
    """The names of the folders under ``pipelines``, sorted. Those that begin with ``.`` or ``_`` are left out."""
    folders = importlib.import_module(PACKAGE).__path__
    found = {entry.name for folder in folders for entry in Path(folder).iterdir() if entry.is_dir()}
    return tuple(sorted(name for name in found if not name.startswith((".", "_"))))


def package_folders(name: str) -> list[Path]:
    """The paths at which the folder of a pipeline may be."""
    return [Path(folder, name) for folder in importlib.import_module(PACKAGE).__path__]

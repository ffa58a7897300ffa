"""Where pipelines live: one folder each, under the package ``pipelines``."""

from __future__ import annotations

import importlib
from pathlib import Path

PACKAGE = "pipelines"


def pipeline_names() -> tuple[str, ...]:
    """The folders under ``pipelines``, sorted; none is imported. ``.`` or ``_`` in front says: no pipeline."""
    folders = importlib.import_module(PACKAGE).__path__
    found = {entry.name for folder in folders for entry in Path(folder).iterdir() if entry.is_dir()}
    return tuple(sorted(name for name in found if not name.startswith((".", "_"))))


def package_folders(name: str) -> list[Path]:
    """Where the folder of that pipeline may be."""
    return [Path(folder, name) for folder in importlib.import_module(PACKAGE).__path__]

"""A file and its sidecar, which describes it: both are replaced or neither is, whenever the writer dies.

Both are written beside their places first, the file before the sidecar, then moved there in the same order. So the
unfinished files show how far a writer got before it died:

- With an unfinished file, nothing was replaced yet: all unfinished files are removed.
- With an unfinished sidecar alone, its file is already in place, or did not change: the sidecar is moved too, if it is
  whole.

Restores, for :mod:`localcloud.emulator.object_files`: an update of an object of S3 is atomic.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

SIDECAR = ".meta.json"
UNFINISHED = ".tmp"


def replace(place: Path, content: bytes | None, description: bytes) -> None:
    """Replace a file and its sidecar.

    Args:
        place: The path of the file.
        content: The file's new bytes; None to keep the file as it is.
        description: The sidecar's new bytes, a JSON object.

    Raises:
        OSError: They could not be written, and are as before.
    """
    unfinished = Path(f"{place}{UNFINISHED}")
    unfinished_sidecar = Path(f"{place}{SIDECAR}{UNFINISHED}")
    try:
        if content is not None:
            unfinished.write_bytes(content)
        unfinished_sidecar.write_bytes(description)
    except OSError:
        unfinished_sidecar.unlink(missing_ok=True)  # before the file: alone, it would mean that the file is in place
        unfinished.unlink(missing_ok=True)
        raise
    if content is not None:
        unfinished.replace(place)
    unfinished_sidecar.replace(Path(f"{place}{SIDECAR}"))


def finish(folder: Path) -> None:
    """Finish or undo every interrupted write below the folder."""
    unfinished = {Path(parent, name) for parent, _, names in os.walk(folder) for name in names if _is_unfinished(name)}
    for path in unfinished:
        place = path.with_name(path.name.removesuffix(UNFINISHED))
        file = path.with_name(place.name.removesuffix(SIDECAR) + UNFINISHED)
        if place.name.endswith(SIDECAR) and file not in unfinished and _is_whole(path):
            path.replace(place)
    for path in sorted(unfinished, key=_is_file):
        path.unlink(missing_ok=True)


def _is_unfinished(name: str) -> bool:
    return name.endswith(UNFINISHED)


def _is_file(path: Path) -> bool:
    """Return False for sidecars, to remove them before their files: this may be interrupted too."""
    return not path.name.endswith(SIDECAR + UNFINISHED)


def _is_whole(sidecar: Path) -> bool:
    try:
        json.loads(sidecar.read_bytes())
    except ValueError:
        return False
    return True

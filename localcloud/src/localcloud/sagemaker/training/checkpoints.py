"""``/opt/ml/checkpoints``: filled from S3 before a job trains, and copied there while it does (CheckpointConfig)."""

from __future__ import annotations

import time
from pathlib import Path

from localcloud.sagemaker.data.data_sources import name_below
from localcloud.sagemaker.data.s3 import Location, Objects

_SECONDS_BETWEEN = 5.0


class Checkpoints:
    """One job's checkpoints. What the job removes stays in S3, as on the service."""

    def __init__(self, objects: Objects, uri: str, folder: Path) -> None:
        self._objects = objects
        self._location = Location.of(uri)
        self._folder = folder
        self._known: dict[Path, tuple[int, int]] = {}
        self._looked = time.monotonic()

    def restore(self) -> None:
        """Download what earlier jobs have left.

        Raises:
            MissingObjectsError: the bucket doesn't exist.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        prefix = Location(self._location.bucket, self._location.key.rstrip("/") + "/")
        for key in self._objects.keys(prefix):
            self._objects.download_below(Location(prefix.bucket, key), self._folder, name_below(prefix.key, key))
        self._known = self._files()

    def copy_now_and_then(self) -> None:
        """Copy what is new or changed, every few seconds however often this is called."""
        if time.monotonic() - self._looked >= _SECONDS_BETWEEN:
            self.copy()
            self._looked = time.monotonic()

    def copy(self) -> None:
        """Copy what is new or changed since the last time."""
        for path, state in self._files().items():
            if self._known.get(path) != state:
                self._objects.upload(path, self._location.child(*path.relative_to(self._folder).parts))
                self._known[path] = state

    def _files(self) -> dict[Path, tuple[int, int]]:
        """Size and time of change. Files may go while this looks, so each is asked once."""
        found = {}
        for path in self._folder.rglob("*"):
            try:
                state = path.lstat()
            except FileNotFoundError:
                continue
            if path.is_file() and not path.is_symlink() and not _is_marked(path.name):
                found[path] = (state.st_size, state.st_mtime_ns)
        return found


def _is_marked(name: str) -> bool:
    """Hidden files, and those whose suffix tells the platform to leave them alone (``.sagemaker-ignore`` …)."""
    return name.startswith(".") or ".sagemaker-" in name

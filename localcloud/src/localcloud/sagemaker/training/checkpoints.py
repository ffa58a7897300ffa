"""``/opt/ml/checkpoints``: filled from S3 before the training, and copied to S3 during it (CheckpointConfig)."""

from __future__ import annotations

import time
from pathlib import Path

from localcloud.sagemaker.data.data_sources import name_below
from localcloud.sagemaker.data.s3 import Location, Objects

_SECONDS_BETWEEN = 5.0


class Checkpoints:
    """One job's checkpoints. What the job removes stays in S3, as on the service.

    Args:
        objects: The S3 to read and write.
        uri: The ``s3://`` URI of CheckpointConfig.
        folder: The folder of the checkpoints on this machine.
    """

    def __init__(self, objects: Objects, uri: str, folder: Path) -> None:
        self._objects = objects
        self._location = Location.of(uri)
        self._folder = folder
        self._known: dict[Path, tuple[int, int]] = {}
        self._looked = time.monotonic()

    def restore(self) -> None:
        """Download the checkpoints of earlier jobs.

        Raises:
            MissingObjectsError: The bucket doesn't exist.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        prefix = Location(self._location.bucket, self._location.key.rstrip("/") + "/")
        for key in self._objects.keys(prefix):
            self._objects.download_below(Location(prefix.bucket, key), self._folder, name_below(prefix.key, key))
        self._known = self._files()

    def copy_now_and_then(self) -> None:
        """Copy new and changed files, if the last copy is some seconds old."""
        if time.monotonic() - self._looked >= _SECONDS_BETWEEN:
            self.copy()
            self._looked = time.monotonic()

    def copy(self) -> None:
        """Copy the files that are new or changed since the last copy."""
        for path, state in self._files().items():
            if self._known.get(path) != state:
                self._objects.upload(path, self._location.child(*path.relative_to(self._folder).parts))
                self._known[path] = state

    def _files(self) -> dict[Path, tuple[int, int]]:
        """Return size and time of change by file; the job may remove files meanwhile, so each is looked at once."""
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
    """Return whether the platform ignores the file: it is hidden, or has a suffix like ``.sagemaker-ignore``."""
    return name.startswith(".") or ".sagemaker-" in name

"""What takes the place of container images and Lambda runtimes on this machine, which has no containers.

An image is an interpreter with the packages of its environment, and folders to import from. Code runs as its process.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.settings import HOST

SETTING = "LOCALCLOUD_IMAGES"

_MEMBERS = {"python", "path"}
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")  # of a Docker image
_CACHE = "__pycache__"
_OF_ENVIRONMENT = "pyvenv.cfg"
_ROOT = Path("/")


class ImagesError(Exception):
    """The setting can't be used; the message is one line that says why."""


class MissingImageError(LookupError):
    """Nothing on this machine takes the place of the image; the message names the images that exist."""


@dataclass(frozen=True)
class Image:
    """What takes the place of one image.

    Attributes:
        python: The interpreter of the environment that the image has.
        path: The folders to import from, as in PYTHONPATH.
    """

    python: Path
    path: tuple[Path, ...] = ()

    def code(self) -> tuple[Path, ...]:
        """Return the folders that a process of this image reads: its interpreter's, its environment's, and `path`."""
        environment = self.python.parent.parent
        installation = Path(os.path.realpath(self.python)).parent.parent
        return (
            *((environment,) if (environment / _OF_ENVIRONMENT).exists() else ()),
            *((installation,) if installation != _ROOT else ()),
            *self.path,
        )

    def environment(self, scratch: Path, region: str, endpoints: Mapping[str, str]) -> dict[str, str]:
        """Return all environment variables of a process of this image, but for its credentials and its own ones.

        Nothing of the environment of the cloud, or of who started it, is in it.

        Args:
            scratch: The folder that the process may write.
            region: The region in which it was asked for.
            endpoints: The variables with which boto3 finds this cloud, of
                :func:`localcloud.settings.endpoint_variables`.
        """
        return {
            "PATH": os.pathsep.join([str(self.python.parent), *_SYSTEM_PATH]),
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            **endpoints,
        }

    def version(self) -> str:
        """Return a digest of the names, sizes and times of all files in `path`.

        A process that was started before it changed runs old code. Compiled files don't count, as running writes them.
        """
        digest = hashlib.sha256()
        for folder in self.path:
            for file in _files(folder):
                status = file.stat()
                digest.update(f"{file.path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def parse(text: str) -> dict[str, Image]:
    """Return the images of the setting, by name.

    Args:
        text: JSON that maps the last name of an image's repository, such as ``orders`` of
            ``123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/orders:1``, or the name of a Lambda runtime, such as
            ``python3.11``, to ``{"python": "/abs/.venv/bin/python", "path": ["/abs/src"]}``.

    Raises:
        ImagesError: It is something else, or names a file or folder that doesn't exist.
    """
    try:
        named = json.loads(text)
    except ValueError as error:
        raise ImagesError(f"{SETTING} is not JSON: {error}") from error
    if not isinstance(named, dict):
        raise ImagesError(f'{SETTING} has to be a JSON object, such as {{"orders": {{"python": "/…", "path": []}}}}')
    return {name: _parsed(name, described) for name, described in named.items()}


def as_setting(images: Mapping[str, Image]) -> str:
    """Return the text of which `parse` returns the images."""
    return json.dumps(
        {name: {"python": str(image.python), "path": [*map(str, image.path)]} for name, image in images.items()}
    )


def find(images: Mapping[str, Image], uri: str) -> Image:
    """Return the image that a URI or the name of a runtime means, in any registry and with any tag and digest.

    Args:
        images: What `parse` returned.
        uri: Such as ``123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/orders:1@sha256:…``, or ``python3.11``.

    Raises:
        MissingImageError: There is none.
    """
    name = uri.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if name not in images:
        known = ", ".join(sorted(images)) or "none"
        raise MissingImageError(f"nothing here takes the place of image {uri}; {SETTING} has {known}: add {name!r}")
    return images[name]


def _parsed(name: str, described: Any) -> Image:
    where = f"{SETTING}, image {name!r}"
    if not isinstance(described, dict) or "python" not in described or not described.keys() <= _MEMBERS:
        raise ImagesError(f'{where}: it has to have the members "python" and "path", and no others')
    python = _absolute(where, "python", described["python"])
    if not os.access(python, os.X_OK) or not python.is_file():
        raise ImagesError(f"{where}: no interpreter at {python}")
    path = described.get("path", [])
    if not isinstance(path, list):
        raise ImagesError(f'{where}: "path" has to be a list of folders')
    folders = tuple(_absolute(where, "path", folder) for folder in path)
    for folder in folders:
        if not folder.is_dir():
            raise ImagesError(f"{where}: no folder {folder}")
    return Image(python, folders)


def _absolute(where: str, member: str, path: Any) -> Path:
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise ImagesError(f'{where}: "{member}" has to have absolute paths, not {path!r}')
    return Path(path)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != _CACHE:
                yield from _files(Path(entry.path))
        elif entry.is_file():
            yield entry

"""``model.tar.gz``: written reproducibly, opened without trust."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

_MOST_BYTES = 20 * 1024**3  # unpacked; a bound against archives that are made to fill the disk


class UnsafeArchiveError(Exception):
    """The archive is damaged, or holds something that isn't a plain file or folder below its root."""


def pack(folder: Path, archive: Path) -> None:
    """Write the folder's content as a gzipped tar; the same content gives the same bytes."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=_anonymous)


def unpack(archive: Path, folder: Path) -> None:
    """Extract a gzipped tar into the folder.

    Raises:
        UnsafeArchiveError: a link, a device, a path that leaves the folder, too many bytes, or no archive at all.
    """
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise UnsafeArchiveError(f"'{member.name}' is neither a file nor a folder")
            if sum(member.size for member in members) > _MOST_BYTES:
                raise UnsafeArchiveError(f"it holds more than {_MOST_BYTES} bytes")
            tar.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise UnsafeArchiveError(str(error)) from error


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member

"""``model.tar.gz``: written reproducibly, and unpacked with checks."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

_MOST_BYTES = 20 * 1024**3  # unpacked; a limit against archives that are made to fill the disk
_CHUNK = 1 << 20


class UnsafeArchiveError(Exception):
    """The archive is damaged, or has a member that isn't a plain file or folder below its root."""


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's content into an archive, a gzipped tar; the same content gives the same bytes."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=_anonymous)


def unpack(archive: Path, folder: Path) -> None:
    """Extract an archive, a gzipped tar, into a folder.

    Raises:
        UnsafeArchiveError: There is a link, a device, a path that leaves the folder or can't be made, or too many
            bytes; or the archive isn't whole. The message names files by their path in the archive.
    """
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            members = tar.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise UnsafeArchiveError(f"'{member.name}' is neither a file nor a folder")
            if sum(member.size for member in members) > _MOST_BYTES:
                raise _too_large()
            places = [_place(folder, member.name) for member in members]
            _read_to_end(unzipped)
            for member, place in zip(members, places, strict=True):
                _extract(tar, member, place)
    except gzip.BadGzipFile as error:
        raise UnsafeArchiveError(str(error)) from error
    except OSError as error:
        raise UnsafeArchiveError(f"'{_within(folder, error.filename)}': {error.strerror}") from error
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise UnsafeArchiveError(str(error)) from error


def _place(folder: Path, name: str) -> Path:
    """Return the path of a member; an absolute one is below the folder. Links, which could leave it, are refused."""
    parts = PurePosixPath(name.lstrip("/")).parts
    if ".." in parts:
        raise UnsafeArchiveError(f"'{name}' leaves its folder")
    return folder.joinpath(*parts)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write a file or make a folder; tarfile's own filters exist from Python 3.11.4 on only."""
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):  # opening the member below raises if the parent is a file
        place.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is None:
        raise UnsafeArchiveError(f"'{member.name}' is not a file")
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)


def _read_to_end(unzipped: gzip.GzipFile) -> None:
    """Read the whole stream to check the checksum at its end, which is after the end of the tar."""
    while unzipped.read(_CHUNK):
        if unzipped.tell() > _MOST_BYTES:
            raise _too_large()


def _too_large() -> UnsafeArchiveError:
    return UnsafeArchiveError(f"it holds more than {_MOST_BYTES} bytes")


def _within(folder: Path, name: str | None) -> str:
    """Return the name within the folder of a path in an error, which may be resolved."""
    path = Path(name or folder)
    base = next((base for base in (folder, folder.resolve()) if path.is_relative_to(base)), None)
    return path.name if base is None else str(path.relative_to(base))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member

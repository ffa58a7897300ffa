"""Model archives are written reproducibly, and unpacked with checks."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from localcloud.sagemaker.data import archives
from localcloud.sagemaker.data.archives import UnsafeArchiveError


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name, age in (("a", 1_000_000_000), ("b", 1_700_000_000)):
        folder = tmp_path / name
        (folder / "sub").mkdir(parents=True)
        for file in ("model", "sub/extra"):
            (folder / file).write_bytes(b"content")
            os.utime(folder / file, (age, age))
        archives.pack(folder, tmp_path / f"{name}.tar.gz")
        packed.append((tmp_path / f"{name}.tar.gz").read_bytes())
    assert packed[0] == packed[1]


def test_an_archive_unpacks_to_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/model").write_bytes(b"content")
    archives.pack(tmp_path / "in", tmp_path / "a.tar.gz")
    archives.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/sub/model").read_bytes() == b"content"


def malicious(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


@pytest.mark.parametrize(
    "member",
    [
        malicious("../outside", tarfile.REGTYPE),
        malicious("/etc/outside", tarfile.REGTYPE),
        malicious("link", tarfile.SYMTYPE, "/etc/passwd"),
        malicious("link", tarfile.SYMTYPE, "model"),
        malicious("link", tarfile.LNKTYPE, "../../outside"),
        malicious("device", tarfile.CHRTYPE),
        malicious("pipe", tarfile.FIFOTYPE),
    ],
    ids=["parent", "absolute", "link out", "link within", "hard link", "device", "pipe"],
)
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(b""))
    (tmp_path / "deep/out").mkdir(parents=True)
    if member.name.startswith("/"):
        archives.unpack(archive, tmp_path / "deep/out")
        assert (tmp_path / "deep/out/etc/outside").exists(), "an absolute path is below the folder"
    else:
        with pytest.raises(UnsafeArchiveError):
            archives.unpack(archive, tmp_path / "deep/out")
        assert list((tmp_path / "deep/out").iterdir()) == []
    assert not (tmp_path / "deep/outside").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b truncated"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(UnsafeArchiveError):
        archives.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def packed(archive: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("n" * 300, b"")], f"'{'n' * 300}': File name too long"),
        ([("deep/" + "n" * 300, b"")], f"'deep/{'n' * 300}': File name too long"),
        ([("model", b""), ("model/part", b"")], "'model/part': Not a directory"),
        ([("../outside", b"")], "'../outside' leaves its folder"),
    ],
    ids=["long name", "long name below", "file as folder", "outside"],
)
def test_an_error_of_extraction_does_not_show_the_machines_paths(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(UnsafeArchiveError) as refused:
        archives.unpack(packed(tmp_path / "a.tar.gz", *members), tmp_path / "out")
    assert str(refused.value) == message


def test_damage_is_found_at_every_place(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", ("model", bytes(range(256)) * 400))
    sound = archive.read_bytes()
    for place in (-8, -1, len(sound) // 2):  # the checksum, the length, the compressed data
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        archive.write_bytes(damaged)
        with pytest.raises(UnsafeArchiveError):
            archives.unpack(archive, tmp_path / f"out{place}")
        assert not (tmp_path / f"out{place}").exists(), "nothing of a damaged archive is extracted"


def test_an_archive_that_unpacks_to_too_many_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.tar.gz", ("model", bytes(500)))
    archive.write_bytes(archive.read_bytes() + gzip.compress(bytes(50_000)))
    archives.unpack(archive, tmp_path / "out")
    monkeypatch.setattr(archives, "_MOST_BYTES", 40_000)
    with pytest.raises(UnsafeArchiveError, match="it holds more than 40000 bytes"):
        archives.unpack(archive, tmp_path / "other")


def test_python_3_11_2_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Python is 3.11.2; tarfile has filters from 3.11.4 on."""
    monkeypatch.delattr(tarfile, "FilterError")
    monkeypatch.delattr(tarfile, "data_filter")
    archives.unpack(packed(tmp_path / "a.tar.gz", ("./deep/model", b"content")), tmp_path / "out")
    assert (tmp_path / "out/deep/model").read_bytes() == b"content"
    with pytest.raises(UnsafeArchiveError, match=r"'deep/\.\./\.\./outside' leaves its folder"):
        archives.unpack(packed(tmp_path / "b.tar.gz", ("deep/../../outside", b"")), tmp_path / "other")
    (tmp_path / "c.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UnsafeArchiveError, match="Not a gzipped file"):
        archives.unpack(tmp_path / "c.tar.gz", tmp_path / "third")

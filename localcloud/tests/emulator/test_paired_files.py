"""A file and its sidecar agree, even if their writer dies or fails at any step."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.emulator import paired_files

STEPS = 8  # more than a write has


class Killed(BaseException):
    """The writer is killed, so none of its code runs any more."""


class Interrupted:
    """Lets so many steps pass, and raises in the middle of the next, after half of a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        self._patch, self._error = monkeypatch, error
        self.left = 0

    def after(self, steps: int) -> None:
        self.left = steps
        write, replace = Path.write_bytes, Path.replace

        def write_half(path: Path, data: bytes) -> int:
            if self._ends():
                write(path, data[: len(data) // 2])
                raise self._error
            return write(path, data)

        def do_not_replace(path: Path, target: Path) -> Path:
            if self._ends():
                raise self._error
            return replace(path, target)

        self._patch.setattr(Path, "write_bytes", write_half)
        self._patch.setattr(Path, "replace", do_not_replace)

    def _ends(self) -> bool:
        self.left -= 1
        return self.left < 0


def content_of(folder: Path) -> tuple[bytes, str]:
    place = folder / "deep/object"
    sidecar = json.loads(place.with_name("object.meta.json").read_bytes())
    assert sorted(path.name for path in place.parent.iterdir()) == ["object", "object.meta.json"]
    described: str = sidecar["of"]
    return place.read_bytes(), described


def write(folder: Path, content: str | None, described: str) -> None:
    body = None if content is None else content.encode() * 100
    paired_files.replace(folder / "deep/object", body, json.dumps({"of": described}).encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    write(tmp_path, "old", "old")
    return tmp_path


OLD, NEW = (b"old" * 100, "old"), (b"new" * 100, "new")


@pytest.mark.parametrize("steps", range(STEPS))
@pytest.mark.parametrize("again", range(3))
def test_a_writer_that_is_killed_leaves_the_old_or_the_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int, again: int
) -> None:
    """The process that finishes it may be killed too."""
    with monkeypatch.context() as patch:
        killed = run_killed(Interrupted(patch, Killed()), steps, lambda: write(folder, "new", "new"))
    if again:
        with monkeypatch.context() as patch:
            run_killed(Interrupted(patch, Killed()), again - 1, lambda: paired_files.finish(folder))
    paired_files.finish(folder)
    assert content_of(folder) in (OLD, NEW)
    if not killed:
        assert content_of(folder) == NEW
    write(folder, "new", "new")
    assert content_of(folder) == NEW


def run_killed(interrupted: Interrupted, steps: int, work: Callable[[], None]) -> bool:
    interrupted.after(steps)
    try:
        work()
    except Killed:
        return True
    return False


@pytest.mark.parametrize("steps", range(2))
def test_a_write_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    with monkeypatch.context() as patch:
        Interrupted(patch, OSError(errno.ENOSPC, "No space left on device")).after(steps)
        with pytest.raises(OSError, match="No space left"):
            write(folder, "new", "new")
    assert content_of(folder) == OLD


def test_a_description_changes_alone(folder: Path) -> None:
    write(folder, None, "new")
    assert content_of(folder) == (b"old" * 100, "new")

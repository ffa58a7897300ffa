"""The tests mirror the tree: the tests of a module are at the same place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where the code is, and where its tests are.
MIRRORS = {"include/sluice": "tests/sluice", "plugins/sluice_airflow": "tests/plugins"}


def folders() -> Iterator[tuple[Path, Path]]:
    for code, tests in MIRRORS.items():
        for folder in sorted({file.parent for file in (ROOT / code).rglob("*.py")}):
            yield folder, ROOT / tests / folder.relative_to(ROOT / code)


@pytest.mark.parametrize(("code", "tests"), folders(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_each_package_has_tests_at_the_same_place(code: Path, tests: Path) -> None:
    assert list(tests.rglob("test_*.py")), f"{code.relative_to(ROOT)} has no test in {tests.relative_to(ROOT)}"


@pytest.mark.parametrize(("code", "tests"), folders(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_each_file_of_tests_is_named_for_what_it_tests(code: Path, tests: Path) -> None:
    """For a module of the package, or for the package as a whole; more words may follow."""
    names = {module.stem for module in code.glob("*.py")} | {code.name}
    for file in tests.glob("test_*.py"):
        assert any(f"{file.stem}_".startswith(f"test_{name}_") for name in names), file.relative_to(ROOT)


@pytest.mark.parametrize("tests", MIRRORS.values())
def test_each_folder_of_tests_has_its_code(tests: str) -> None:
    expected = {folder for _, folder in folders()}
    assert {file.parent for file in (ROOT / tests).rglob("test_*.py")} <= expected

"""The source of a module is parsed, by several threads at once too."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.declaration import parsing
from sluice.declaration.parsing import definitions, parse_module

_LIBRARY = Path(parsing.__file__).parents[1]


@pytest.fixture
def threads_that_switch_often() -> Iterator[None]:
    """Python changes threads at each collection of garbage, so also within the parser."""

    def run_python(phase: str, info: object) -> None:
        sum(range(20))

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(run_python)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(run_python)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("threads_that_switch_often")
def test_threads_parse_side_by_side() -> None:
    files = sorted(_LIBRARY.rglob("*.py"))[:60]
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(parse_module, files * 5))

    assert [ast.dump(tree) for tree in trees[:60]] == [ast.dump(ast.parse(file.read_bytes())) for file in files]


def test_source_that_has_changed_is_parsed_anew(tmp_path: Path) -> None:
    module = tmp_path / "steps.py"
    names = []
    for name in ("one", "two", "one"):
        module.write_text(f"{name} = 1\n")
        names += [name for name, _ in definitions(parse_module(module).body)]

    assert names == ["one", "two", "one"]


def test_only_this_module_parses() -> None:
    parsers = [file.name for file in _LIBRARY.rglob("*.py") if "ast.parse(" in file.read_text()]

    assert parsers == ["parsing.py"]


def test_definitions_are_the_names_that_a_module_has(tmp_path: Path) -> None:
    module = tmp_path / "steps.py"
    module.write_text(
        "import os.path\nfrom math import pi as circle\nRATE, (LOW, HIGH) = 1, (2, 3)\n"
        "if RATE:\n    def rate(): inner = 1\nelse:\n    class Other: part = 2\nfrom json import *\n"
    )

    names = [name for name, _ in definitions(parse_module(module).body)]

    assert names == ["os", "circle", "RATE", "LOW", "HIGH", "rate", "Other", "*"]

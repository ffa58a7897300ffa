"""Every public function with two or more parameters documents each of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ROOT

# Its source is part of the fingerprint of a step's code: a changed docstring would run every conform step again.
FROZEN = ROOT / "include" / "sluice" / "steps" / "conform.py"
FILES = sorted(
    file
    for folder in (ROOT / "include" / "sluice", ROOT / "plugins")
    for file in folder.rglob("*.py")
    if file != FROZEN
)


def _functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions and methods. An override has the documentation of its base."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            overrides = "override" in map(ast.unparse, node.decorator_list)
            if not (overrides or node.name.startswith("_")):
                yield node


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_parameter_is_documented(file: Path) -> None:
    for function in _functions(ast.parse(file.read_text()).body):
        parameters = [node.arg for node in ast.iter_child_nodes(function.args) if isinstance(node, ast.arg)]
        parameters = [name for name in parameters if name not in ("self", "cls")]
        section = (ast.get_docstring(function) or "").partition("Args:\n")[2].partition("\n\n")[0]
        documented = re.findall(r"^ {4}(\w+): ", section, flags=re.MULTILINE)
        if len(parameters) > 1:
            assert sorted(documented) == sorted(parameters), function.name

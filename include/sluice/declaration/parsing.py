"""Reads the source of a module: its syntax tree, and the names that it defines. Nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock

# CPython 3.11 counts how deep a tree is for all threads together. If two parse at once, one may end with
# "SystemError: AST constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905).
_ONE_AT_A_TIME = Lock()


def parse_module(file: Path) -> ast.Module:
    """Return the syntax tree of a module, which nobody may change: equal sources share it.

    Threads may call it side by side, as they may not :func:`ast.parse`.

    Args:
        file: Its source.

    Raises:
        SyntaxError: the source is not Python.
    """
    return parse_source(file.read_bytes(), str(file))


@lru_cache(maxsize=128)
def parse_source(source: bytes, name: str) -> ast.Module:
    """Return the tree of a source. A step's code is read several times in a run, and seldom changes meanwhile.

    Args:
        source: The source.
        name: The path of its file, for messages.

    Raises:
        SyntaxError: the source is not Python.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source, name)


def definitions(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield each name that statements of a module define, with its node; the name ``*`` for an ``import *``."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], node
            case ast.Assign() | ast.AnnAssign():
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    yield from ((each.id, node) for each in ast.walk(target) if isinstance(each, ast.Name))
            case ast.If() | ast.Try() | ast.With():
                yield from definitions([each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)])
